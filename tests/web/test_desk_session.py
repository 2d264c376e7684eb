"""Signing in at the desk: who gets a session, what the browser keeps, and how it ends."""

import re

import pytest

from app.keys.clients import revoke_client
from app.web.desk.session import MAX_SESSION_SECONDS
from tests import small as s
from tests.web.access_table import DOORS
from tests.web.desk_stage import BROWSER, mark_in, sign_in

PAGES = [door.removeprefix("GET ") for door in DOORS if door.startswith("GET /desk") and "masuk" not in door]
SESSION = "custody-desk"


def filled(stage, path):
    return path.replace("{unit}", stage.units["story"]).replace("{incident}", stage.incident)


@pytest.fixture
def signed_in(stage):
    """A browser with a session of a supervisor."""
    with stage.browser() as browser:
        assert sign_in(browser, *stage.client()).status_code == 303
        yield browser


def moved_to(answer):
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


@pytest.mark.parametrize("path", PAGES)
def test_who_is_signed_out_goes_to_the_form_and_back_to_where_he_wanted(stage, path):
    wanted = filled(stage, path)
    with stage.browser() as browser:
        form = moved_to(browser.get(wanted, params={"size": 9}))
        assert form.startswith("/desk/masuk?ke=%2Fdesk")
        page = browser.get(form)
        fields = dict(zip(("klien", "rahasia"), stage.client("administrator", "auditor"), strict=True))
        back = re.search(r'name="ke" value="([^"]+)"', page.text)[1]
        answer = browser.post("/desk/masuk", data={"tanda": mark_in(page.text), "ke": back, **fields})
        assert moved_to(answer) == f"{wanted}?size=9"


@pytest.mark.parametrize("path", PAGES)
def test_a_program_without_a_token_gets_a_problem_document(stage, path):
    answer = stage.http.get(filled(stage, path))
    assert (answer.status_code, answer.json()["code"]) == (401, "credentials")


def test_the_session_is_a_cookie_that_no_script_and_no_other_site_can_use(stage):
    with stage.browser() as browser:
        answer = sign_in(browser, *stage.client())
        assert moved_to(answer) == "/desk"
        [cookie] = [value for value in answer.headers.get_list("set-cookie") if value.startswith(f"{SESSION}=")]
        parts = {part.strip().lower() for part in cookie.split(";")[1:]}
        assert parts == {"httponly", "samesite=strict", "path=/desk", f"max-age={MAX_SESSION_SECONDS}"}
        assert browser.get("/desk").status_code == 200


def test_over_https_the_cookie_is_this_hosts_alone(stage, monkeypatch):
    public = stage.services.settings.model_copy(update={"public_url": "https://custody.example"})
    monkeypatch.setattr(stage.services, "settings", public)
    form = stage.http.get("/desk/masuk", headers=BROWSER)
    seed = form.headers["set-cookie"].split(";")[0]
    name, secret = stage.client()
    fields = {"tanda": mark_in(form.text), "ke": "/desk", "klien": name, "rahasia": secret}
    answer = stage.http.post("/desk/masuk", data=fields, headers={**BROWSER, "Cookie": seed})
    stage.http.cookies.clear()
    assert moved_to(answer) == "/desk"
    for cookie in (form.headers["set-cookie"], answer.headers["set-cookie"]):
        assert cookie.startswith("__Host-custody-")
        parts = {part.strip().lower() for part in cookie.split(";")[1:]}
        assert {"httponly", "samesite=strict", "path=/", "secure"} <= parts
        assert not any(part.startswith("domain") for part in parts)


def test_no_answer_holds_the_token_or_the_secret(stage, signed_in):
    token = signed_in.cookies[SESSION]
    name, secret = stage.client()
    wrong = sign_in(signed_in, name, secret + "x")
    told = [signed_in.get(filled(stage, path)) for path in PAGES] + [wrong, signed_in.get("/desk/masuk")]
    for answer in told:
        assert token.encode() not in answer.content
        assert secret.encode() not in answer.content
        assert token not in str(answer.url)


def test_a_wrong_name_and_a_wrong_secret_are_told_alike(stage):
    name, secret = stage.client()
    with stage.browser() as browser:
        answers = [
            sign_in(browser, *pair)
            for pair in ((name, "x"), ("client-nobody", secret), ("", ""), ("a" * 80, "b" * 200))
        ]
        assert {answer.status_code for answer in answers} == {401}
        assert all("Nama klien atau rahasianya tidak cocok" in answer.text for answer in answers)
        assert SESSION not in browser.cookies


def form_fields(stage, browser):
    name, secret = stage.client()
    return {"tanda": mark_in(browser.get("/desk/masuk").text), "ke": "/desk", "klien": name, "rahasia": secret}


def test_a_form_of_another_site_begins_no_session(stage):
    with stage.browser() as browser, stage.browser() as other:
        right, strange = form_fields(stage, browser), form_fields(stage, other)["tanda"]
        marks = ["", "x", strange, right["tanda"][:-1]]
        answers = [browser.post("/desk/masuk", data={**right, "tanda": mark}) for mark in marks]
        answers += [
            browser.post("/desk/masuk", data=right, headers={"Sec-Fetch-Site": site})
            for site in ("cross-site", "same-site")
        ]
        answers.append(stage.http.post("/desk/masuk", data=right, headers=BROWSER))  # the mark without its cookie
        assert {answer.status_code for answer in answers} == {403}
        assert all("isi sekali lagi" in answer.text for answer in answers)
        assert SESSION not in browser.cookies
        assert browser.post("/desk/masuk", data=right, headers={"Sec-Fetch-Site": "same-origin"}).status_code == 303
        stage.http.cookies.clear()


def test_signing_out_ends_the_token_and_another_site_cannot(stage, signed_in):
    token = signed_in.cookies[SESSION]
    page = signed_in.get("/desk")
    for fields in ({}, {"tanda": ""}, {"tanda": "x"}):
        assert signed_in.post("/desk/keluar", data=fields or {"x": "y"}).status_code == 403
    refused = signed_in.post(
        "/desk/keluar", data={"tanda": mark_in(page.text)}, headers={"Sec-Fetch-Site": "cross-site"}
    )
    assert refused.status_code == 403
    assert signed_in.get("/desk").status_code == 200
    assert moved_to(signed_in.post("/desk/keluar", data={"tanda": mark_in(page.text)})) == "/desk/masuk"
    assert SESSION not in signed_in.cookies
    again = stage.http.get("/desk", headers={**BROWSER, "Cookie": f"{SESSION}={token}"})
    assert moved_to(again) == "/desk/masuk"
    assert stage.http.get("/v1/agencies", headers={"Authorization": f"Bearer {token}"}).status_code == 401


def test_signing_in_again_ends_the_session_before(stage, signed_in):
    before = signed_in.cookies[SESSION]
    assert sign_in(signed_in, *stage.client()).status_code == 303
    assert signed_in.cookies[SESSION] != before
    assert stage.http.get("/v1/agencies", headers={"Authorization": f"Bearer {before}"}).status_code == 401


def test_a_session_ends_by_itself_and_with_its_client(stage, monkeypatch):
    name, secret = stage.client()
    with stage.browser() as browser:
        sign_in(browser, name, secret)
        later = stage.services.now_ms() + MAX_SESSION_SECONDS * 1000 + 1
        with monkeypatch.context() as patch:
            patch.setattr(stage.services, "clock", type("Later", (), {"now_ms": lambda _: later})())
            gone = browser.get("/desk/handovers", params={"status": "open"})
        assert moved_to(gone) == "/desk/masuk?ke=%2Fdesk%2Fhandovers%3Fstatus%3Dopen"
        assert SESSION not in browser.cookies, "what counts no more is not kept"
        sign_in(browser, name, secret)
        with stage.db.write() as session:
            revoke_client(session, stage.services.ledger_id, name, stage.services.now_ms())
        assert moved_to(browser.get("/desk")) == "/desk/masuk"


@pytest.mark.parametrize(("tokens_live", "lasts"), [(600, 600), (7200, MAX_SESSION_SECONDS)])
def test_a_session_lasts_an_hour_or_as_long_as_tokens_live(stage, monkeypatch, tokens_live, lasts):
    shorter = stage.services.settings.model_copy(update={"access_token_seconds": tokens_live})
    monkeypatch.setattr(stage.services, "settings", shorter)
    with stage.browser() as browser:
        assert f"sesudah {lasts // 60} menit" in browser.get("/desk/masuk").text
        answer = sign_in(browser, *stage.client())
        [cookie] = [value for value in answer.headers.get_list("set-cookie") if value.startswith(f"{SESSION}=")]
        assert f"Max-Age={lasts};" in cookie
        for after, status in ((lasts - 5, 200), (lasts + 1, 303)):
            then = stage.services.now_ms() + after * 1000
            with monkeypatch.context() as patch:
                patch.setattr(stage.services, "clock", type("Later", (), {"now_ms": lambda _, then=then: then})())
                assert browser.get("/desk").status_code == status


def test_a_seed_that_is_none_of_ours_is_exchanged(stage):
    for planted in ("x", "A" * 21, "A" * 23):
        answer = stage.http.get("/desk/masuk", headers={**BROWSER, "Cookie": f"custody-form={planted}"})
        seed = answer.headers["set-cookie"].split(";")[0].removeprefix("custody-form=")
        stage.http.cookies.clear()
        assert (len(seed), seed == planted) == (22, False)


def test_a_mark_of_one_service_is_none_at_another(stage, lite):
    """With a control: it counts where it was made."""
    name, secret = stage.client()
    form = stage.http.get("/desk/masuk", headers=BROWSER)
    seed = form.headers["set-cookie"].split(";")[0]
    stage.http.cookies.clear()
    fields = {"tanda": mark_in(form.text), "ke": "/desk", "klien": name, "rahasia": secret}
    answers = [
        one.http.post("/desk/masuk", data=fields, headers={**BROWSER, "Cookie": seed}).status_code
        for one in (lite, stage)
    ]
    stage.http.cookies.clear()
    lite.http.cookies.clear()
    assert answers == [403, 303]


def test_a_language_in_the_address_does_not_swallow_a_form(stage):
    with stage.browser() as browser:
        answer = browser.post("/desk/masuk?lang=en", data=form_fields(stage, browser))
        assert moved_to(answer) == "/desk"
        assert SESSION in browser.cookies


@pytest.mark.parametrize("https", [False, True])
def test_the_language_is_a_cookie_of_the_desk_alone(stage, monkeypatch, https):
    public = stage.services.settings.model_copy(update={"public_url": "https://custody.example" if https else None})
    monkeypatch.setattr(stage.services, "settings", public)
    answer = stage.http.get("/desk/masuk?lang=en", headers=BROWSER)
    stage.http.cookies.clear()
    parts = {part.strip().lower() for part in answer.headers["set-cookie"].split(";")[1:]}
    assert {"httponly", "samesite=strict", "path=/desk"} <= parts
    assert ("secure" in parts) is https


@pytest.mark.parametrize(
    "wanted",
    [
        "https://evil.example/", "//evil.example", "/\\evil.example", "/desk\\evil", "/deskevil", "/v1/events", "/",
        "javascript:alert(1)", "/desk\r\nX: y", "/desk/\u202e", "desk", "", "/desk/" + "a" * 1600, "/desk@evil.example",
        "/desk/ x", " /desk", "\t//evil.example", "/desk#x",
    ],
)  # fmt: skip
def test_a_sign_in_leads_to_pages_of_the_desk_only(stage, wanted):
    with stage.browser() as browser:
        page = browser.get("/desk/masuk", params={"ke": wanted})
        assert re.search(r'name="ke" value="([^"]*)"', page.text)[1] == "/desk"
        assert moved_to(sign_in(browser, *stage.client(), wanted)) == "/desk"


def test_a_session_in_the_browser_does_not_open_the_api(stage, signed_in):
    assert signed_in.get("/v1/handovers").status_code == 401
    assert signed_in.get("/desk", headers={"Authorization": "Bearer " + "A" * 43}).status_code == 303


@pytest.mark.parametrize(
    "body",
    [b"\xff", b"tanda=a&tanda=b", b"x", b"&".join([b"a%d=b" % n for n in range(9)]), b"tanda=" + b"a" * 2001],
)
def test_a_form_that_cannot_be_read_is_400(stage, body):
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    for path in ("/desk/masuk", "/desk/keluar"):
        answer = stage.http.post(path, content=body, headers={**BROWSER, **kind})
        assert answer.status_code == 400
        assert "tidak dapat dibaca" in answer.text


def test_another_agency_signs_in_as_itself(stage):
    with stage.browser() as browser:
        sign_in(browser, *stage.client("field", agency=s.POS, place=s.CITY))
        page = browser.get("/desk").text
        assert f"{s.POS} · {s.CITY}" in page
        assert "/desk/discrepancies" not in page
        assert "/desk/reconciliation" not in page
        refused = browser.get("/desk/discrepancies")
        assert (refused.status_code, "Peran Anda tidak membuka" in refused.text) == (403, True)
