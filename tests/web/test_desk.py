"""The desk's pages over HTTP: what they show to whom, in which form, and that no word of theirs becomes code."""

import csv
import io
import re
from html import escape
from html.parser import HTMLParser
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import event
from starlette.requests import Request

from app.errors import BusyError
from app.ledger.note import Note
from app.web.desk.csvfile import CUT
from app.web.desk.route import page_of
from tests import small as s
from tests.web.access_table import DOORS
from tests.web.desk_stage import BROWSER, FORMULA_NAME, HOSTILE_CODE, HOSTILE_NAME
from tests.web.live import living
from tests.web.stocked import WITNESS

UNIT = re.compile(r"\b[0-9A-HJKMNP-TV-Z]{17}\b")
VIEWERS = {
    "the supervisor everywhere": (("auditor",), s.BWS, None),
    "the supervisor of a village": (("auditor",), s.BWS, "64.74.01.A"),
    "the commission's operator": (("operator",), s.KPU, s.CITY),
    "the carrier": (("operator",), s.POS, None),
    "the police of another village": (("operator",), s.POL, "64.74.01.B"),
    "an agency that touched nothing": (("operator", "integrator"), s.GOV, None),
}
LISTS = {
    "/desk/handovers": "/v1/handovers", "/desk/discrepancies": "/v1/discrepancies", "/desk/incidents": "/v1/incidents",
}  # fmt: skip
TWINS = {
    "GET /desk/units/{unit}": "GET /v1/units/{unit}", "GET /desk/units/{unit}/evidence.zip": "GET /v1/units/{unit}/evidence",
    "GET /desk/units/{unit}/history.json": "GET /v1/units/{unit}/history", "GET /desk/handovers": "GET /v1/handovers",
    "GET /desk/discrepancies": "GET /v1/discrepancies", "GET /desk/incidents": "GET /v1/incidents",
    "GET /desk/incidents/{incident}": "GET /v1/incidents/{incident}", "GET /desk/places": "GET /v1/places",
    "GET /desk/reconciliation": "GET /v1/reconciliation", "GET /desk/reconciliation/events": "GET /v1/reconciliation/events",
}  # fmt: skip
FIGURE = {"contest": "PILGUB", "figure": "good"}
MOST_STATEMENTS = 30


def pages(stage):
    story = stage.units["story"]
    return [
        "/desk", "/desk/units", f"/desk/units/{story}", f"/desk/units/{story}?size=90", f"/desk/units/{stage.units['late']}",
        "/desk/places", f"/desk/places?place={s.TPS1}", f"/desk/places?place={s.CITY}", "/desk/handovers",
        "/desk/discrepancies?limit=200", "/desk/incidents", f"/desk/incidents/{stage.incident}", "/desk/reconciliation",
        "/desk/reconciliation/events?contest=PILGUB&figure=good",
    ]  # fmt: skip


# -- who sees what ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("page", "door"), TWINS.items())
def test_a_page_is_open_to_those_to_whom_its_door_is(page, door):
    assert DOORS[page] == DOORS[door]


def everything(stage, path, who, **query):
    """Return all rows of a list of the API."""
    access, agency, place = who
    rows, cursor = [], {}
    while True:
        told = stage.get(path, *access, agency=agency, place=place, limit=200, **query, **cursor).json()
        rows += told["items"]
        if told["next"] is None:
            return rows
        cursor = {"cursor": told["next"]}


@pytest.mark.parametrize("who", VIEWERS.values(), ids=VIEWERS)
def test_a_page_names_no_unit_that_the_api_would_not_show(stage, who):
    access, agency, place = who
    with stage.db.read() as session:
        units = {row[0] for row in session.exec_driver_sql("SELECT unit FROM unit")}
    asked = {unit: stage.get(f"/v1/units/{unit}", *access, agency=agency, place=place) for unit in sorted(units)}
    seen = {unit for unit, answer in asked.items() if answer.status_code == 200}
    told = {
        unit for page in pages(stage) if (answer := stage.desk(page, *access, agency=agency, place=place)).status_code == 200
        for unit in UNIT.findall(answer.text) if unit in units
    }  # fmt: skip
    ours = {unit for path in LISTS.values() for unit in UNIT.findall(str(everything(stage, path, who)))}
    assert told <= seen | ours, "a page names what no list of the API does"
    for unit, answer in asked.items():
        assert stage.desk(f"/desk/units/{unit}", *access, agency=agency, place=place).status_code == answer.status_code


@pytest.mark.parametrize("who", VIEWERS.values(), ids=VIEWERS)
@pytest.mark.parametrize(("page", "door"), LISTS.items())
def test_a_lists_files_hold_the_rows_of_the_api(stage, who, page, door):
    access, agency, place = who
    rows = everything(stage, door, who)
    told = stage.desk(f"{page}.json?limit=200", *access, agency=agency, place=place).json()["items"]
    assert told == rows[:200]
    lines = read_csv(stage.desk(f"{page}.csv", *access, agency=agency, place=place))
    assert [line["index"] for line in lines] == [str(row["index"]) for row in rows]


@pytest.mark.parametrize("who", VIEWERS.values(), ids=VIEWERS)
def test_the_overviews_figures_are_those_of_the_lists(stage, who):
    access, agency, place = who
    page = stage.desk("/desk", *access, agency=agency, place=place).text
    figures = [int(number.replace(".", "")) for number in re.findall(r"<strong>([\d.]+)</strong>", page)]
    late = len(everything(stage, "/v1/handovers", who, status="overdue"))
    slow = len(everything(stage, "/v1/incidents", who, overdue="true"))
    unexplained = everything(stage, "/v1/discrepancies", who, status="open")
    by_severity = [
        sum(row["severity"] == name for row in unexplained) for name in ("kritis", "tinggi", "sedang", "rendah", "info")
    ]
    assert figures == [late, slow, len(unexplained), *by_severity]


@pytest.mark.parametrize("who", VIEWERS.values(), ids=VIEWERS)
@pytest.mark.parametrize("place", [s.CITY, s.WAREHOUSE, "64.74.01.A", s.TPS1])
def test_what_a_place_holds_is_what_its_stock_says(stage, who, place):
    access, agency, root = who
    stock = stage.get(f"/v1/places/{place}/stock", *access, agency=agency, place=root)
    told = stage.desk(f"/desk/places.json?place={place}", *access, agency=agency, place=root)
    assert told.status_code == stock.status_code
    if stock.status_code != 200:
        return
    held = {}
    for line in stock.json()["lines"]:
        if line["custody"] == "held":
            key = (line["item"], line["contest"])
            held[key] = held.get(key, 0) + line["quantity"]
    assert {(line["item"], line["contest"]): line["held"] for line in told.json()["lines"] if line["held"]} == {
        key: quantity for key, quantity in held.items() if quantity
    }


def test_a_confidential_incident_is_told_to_nobody_else(stage):
    def categories(agency):
        return stage.desk("/desk/incidents", "operator", agency=agency).text

    assert "rahasia</span>" in categories(s.POL)
    assert "rahasia</span>" not in categories(s.KPU)
    assert "rahasia</span>" in stage.desk("/desk/incidents").text


def test_evidence_is_the_apis(stage):
    unit = stage.units["story"]
    mine = stage.desk(f"/desk/units/{unit}/evidence.zip")
    assert (mine.status_code, mine.headers["content-type"]) == (200, "application/zip")
    assert mine.content[:2] == b"PK"
    assert stage.desk(f"/desk/units/{unit}/evidence.zip", "field").status_code == 403
    assert "evidence.zip" not in stage.desk(f"/desk/units/{unit}", "field", agency=s.KPU).text


# -- no word becomes code --------------------------------------------------------------------------------


class Tags(HTMLParser):
    """Collects the elements of a page and the names of their attributes."""

    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.open = set(), set(), []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


def tags(text):
    found = Tags()
    found.feed(text)
    return found


def test_names_and_codes_are_shown_as_they_were_written_and_never_run(stage):
    shown = ""
    for path in pages(stage):
        answer = stage.desk(path)
        assert answer.status_code == 200, (path, answer.text)
        found = tags(answer.text)
        assert not found.tags & {"script", "img", "style", "b", "iframe", "object", "base"}, path
        assert not {name for name in found.attributes if name.startswith("on") or name == "style"}, path
        shown += answer.text
    assert escape(HOSTILE_NAME, quote=True).replace("&#x27;", "&#39;").replace("&quot;", "&#34;") in shown
    assert escape(HOSTILE_CODE, quote=True).replace("&#x27;", "&#39;").replace("&quot;", "&#34;") in shown


@pytest.mark.parametrize(
    "odd", ["<script>alert(1)</script>", '"><img src=x>', "{{7*7}}", "{% raw %}", "'\"`", "\u202e", "%00"]
)
def test_what_is_typed_into_a_filter_comes_back_as_text(stage, odd):
    for path in ("/desk/handovers", "/desk/discrepancies", "/desk/incidents", "/desk/units", "/desk/masuk"):
        for name in ("agency", "owner", "severity", "unit", "ke", "place"):
            answer = stage.desk(path, params={name: odd})
            assert answer.status_code in {200, 400, 404}, answer.text
            assert not tags(answer.text).tags & {"script", "img"}
            assert "49" not in re.findall(r'value="([^"]*)"', answer.text)


def test_the_policy_of_the_gate_covers_every_page(stage):
    for path in pages(stage):
        answer = stage.desk(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src" not in policy
        assert "unsafe-inline" not in policy
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"


def test_a_file_holds_no_formula(stage):
    answer = stage.desk("/desk/handovers.csv")
    names = {line["to_place_name"] for line in read_csv(answer)}
    assert f"'{FORMULA_NAME}" in names
    for line in read_csv(answer):
        assert not [cell for cell in line.values() if cell[:1] in {"=", "+", "@", "-", "\t"}]


# -- lists -----------------------------------------------------------------------------------------------


def read_csv(answer):
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))


@pytest.mark.parametrize("page", ["/desk/handovers", "/desk/discrepancies"])
def test_pages_follow_each_other_and_repeat_nothing(stage, page):
    seen, path = [], f"{page}?limit=3"
    while path is not None:
        answer = stage.desk(path)
        table = answer.text.partition("<tbody>")[2].partition("</tbody>")[0]
        seen += re.findall(r"<tr[ >].*?</tr>", table, re.DOTALL)
        following = re.search(r'rel="next" href="([^"]+)"', answer.text)
        path = following[1].replace("&amp;", "&") if following else None
        if path is not None:
            assert parse_qs(urlsplit(path).query)["limit"] == ["3"]
    everybody = (("auditor",), s.BWS, None)
    assert len(seen) == len(everything(stage, LISTS[page], everybody))


def test_a_file_is_bounded_and_says_where_it_goes_on(stage, monkeypatch):
    whole = [line["id"] for line in read_csv(stage.desk("/desk/discrepancies.csv"))]
    monkeypatch.setattr("app.web.desk.listing.MAX_ROWS", 4)
    got, path = [], "/desk/discrepancies.csv?bom=0"
    while path is not None:
        answer = stage.desk(path)
        lines = [line["id"] for line in read_csv(answer)]
        following = answer.headers.get("link")
        assert ("sebagian" in answer.headers["content-disposition"]) == (following is not None)
        got += lines[:-1] if following else lines
        path = re.match(r"<([^>]+)>", following)[1] if following else None
    assert got == whole
    assert len(whole) > 4


def test_the_parts_of_a_place_are_bounded_in_a_file_and_not_in_json(stage, monkeypatch):
    monkeypatch.setattr("app.web.desk.places.MAX_ROWS", 2)
    path = f"/desk/places.csv?place={s.CITY}&bom=0"
    answer = stage.desk(path)
    whole = [row["place"] for row in stage.desk(f"/desk/places.json?place={s.CITY}").json()["items"]]
    assert len(whole) > 2
    assert [line["place"] for line in read_csv(answer)] == [*whole[:2], CUT]
    assert answer.headers["link"] == f'</desk/places.json?place={s.CITY}&bom=0>; rel="next"'
    monkeypatch.setattr("app.web.desk.places.MAX_ROWS", len(whole))
    assert "link" not in stage.desk(path).headers


def test_one_incident_is_told_to_programs_as_the_api_does(stage):
    told = stage.desk(f"/desk/incidents/{stage.incident}.json")
    assert told.headers["content-type"] == "application/json"
    assert told.json() == stage.get(f"/v1/incidents/{stage.incident}", "auditor", agency=s.BWS).json()
    assert stage.desk("/desk/incidents/nothing.json").status_code == 404


def test_discrepancies_of_a_unit_are_found_by_its_number_as_people_write_it(stage):
    rows = [row for row in everything(stage, "/v1/discrepancies", (("auditor",), s.BWS, None)) if row["unit"]]
    unit = rows[0]["unit"]
    written = f"{unit[:4]}-{unit[4:8]}-{unit[8:12]}-{unit[12:]}".lower()
    found = stage.desk("/desk/discrepancies.json?limit=200", params={"unit": written}).json()["items"]
    assert found == [row for row in rows if row["unit"] == unit] != []


def test_events_behind_a_figure_follow_each_other(stage):
    path, seen = "/desk/reconciliation/events.json?contest=PILGUB&figure=good&limit=2", []
    while path is not None and len(seen) < 200:
        answer = stage.desk(path)
        seen += [row["event"] for row in answer.json()["items"]]
        following = answer.links.get("next")
        path = following["url"] if following else None
    whole = stage.desk("/desk/reconciliation/events.json?contest=PILGUB&figure=good&limit=200").json()["items"]
    assert seen == [row["event"] for row in whole]
    assert len(seen) > 2


def test_a_service_that_is_busy_says_when_to_come_again(stage):
    app = stage.server.config.app
    asked = Request({
        "type": "http", "app": app, "method": "GET", "scheme": "http", "path": "/desk", "query_string": b"", "headers": [],
        "server": ("127.0.0.1", 80),
    })  # fmt: skip
    for seconds, told in ((7, "7"), (0, "1")):
        answer = page_of(asked, BusyError("Too much at once.", retry_after_seconds=seconds))
        assert (answer.status_code, answer.headers["retry-after"]) == (503, told)
        assert "Layanan sedang sibuk" in answer.body.decode()


def test_no_file_is_kept_on_the_way(stage):
    for path in ("/desk/handovers.csv", "/desk/places.csv", f"/desk/units/{stage.units['story']}/history.csv"):
        assert stage.desk(path).headers["cache-control"] == "no-store"


def test_the_mark_of_byte_order_can_be_left_out(stage):
    for path in (
        "/desk/handovers.csv",
        "/desk/reconciliation.csv",
        "/desk/places.csv",
        f"/desk/units/{stage.units['story']}/history.csv",
    ):
        assert stage.desk(path).content.startswith(b"\xef\xbb\xbf")
        assert not stage.desk(f"{path}?bom=0").content.startswith(b"\xef\xbb\xbf")


def test_filters_narrow_a_list_and_empty_ones_do_not(stage):
    late = stage.desk("/desk/handovers?status=overdue&place=&agency=")
    assert (
        late.text.count('class="late"')
        == len(everything(stage, "/v1/handovers", (("auditor",), s.BWS, None), status="overdue"))
        > 0
    )
    assert 'value="overdue" selected' in late.text
    assert "status=overdue" in re.search(r'href="(/desk/handovers\.csv[^"]*)"', late.text)[1]
    for wrong in ("status=none", "limit=0", "limit=999", "cursor=x", "place=" + "A" * 200):
        answer = stage.desk(f"/desk/handovers?{wrong}")
        assert answer.status_code in {400, 422}
        assert "Tidak dapat dibuka" in answer.text
    assert stage.desk("/desk/handovers?place=NOWHERE").status_code == 404


def test_a_pages_files_keep_its_filters(stage):
    for page in ("/desk/incidents?overdue=true&severity=", f"/desk/handovers?status=done&place={s.CITY}"):
        text = stage.desk(page).text
        rows = text.partition("<tbody>")[2].partition("</tbody>")[0].count("<tr")
        csv_link, json_link = (
            link.replace("&amp;", "&") for link in re.findall(r'href="([^"]+\.(?:csv|json)\?[^"]*)"', text)
        )
        assert len(read_csv(stage.desk(csv_link))) == len(stage.desk(json_link).json()["items"]) == rows > 0


def test_every_page_says_of_which_ledger_and_size_it_is(stage):
    size = stage.services.view.published[0]
    for path in pages(stage):
        footer = stage.desk(path).text.partition("<footer>")[2]
        assert stage.services.origin in footer
        assert f"{size} catatan" in footer
        assert "halaman dibuat <time" in footer


def test_an_empty_list_says_what_that_means(stage):
    nothing = {"agency": s.GOV, "place": "64.74.01.B"}
    assert "Belum ada serah terima yang dicatat" in stage.desk("/desk/handovers", "operator", **nothing).text
    assert "yang cocok dengan saringan" in stage.desk("/desk/handovers?status=open", "operator", **nothing).text
    assert "Belum ada insiden yang dilaporkan" in stage.desk("/desk/incidents", "operator", **nothing).text
    assert "belum menemukan ketidaksesuaian" in stage.desk("/desk/discrepancies", "operator", **nothing).text
    assert "Tidak ada serah terima atau insiden" in stage.desk("/desk", "operator", **nothing).text


def test_discrepancies_are_told_in_neutral_words(stage):
    page = stage.desk("/desk/discrepancies?limit=200").text
    assert "terbuka, belum dijelaskan" in page
    assert "ditutup, telah dijelaskan" in page
    assert f"Dijelaskan {s.KPU}:" in page
    assert "1 keberatan tercatat" in page
    assert "bukan tuduhan" in page


# -- one unit, the balance, the first look ---------------------------------------------------------------


def test_a_unit_is_shown_with_its_facets_story_and_gaps(stage):
    page = stage.desk(f"/desk/units/{stage.units['story']}").text
    for words in ("Penguasaan", "Barang dan segel", "Isi sekarang", "Ketidaksesuaian terbuka", "label dipasang pada barang",
                  "dilepas, belum ada yang menerima", "<svg", "/verify", "evidence.zip"):  # fmt: skip
        assert words in page, words
    assert page.count('<li class="gap">') == 2
    assert stage.units["pack"] in page


def test_a_story_can_be_read_as_it_was_known_before(stage):
    unit = stage.units["story"]
    items = stage.get(f"/v1/units/{unit}/history", "auditor").json()["items"]
    size = next(row["index"] for row in items if row["kind"] == "event" and row["type"] == "custody.release") + 1
    page = stage.desk(f"/desk/units/{unit}?size={size}").text
    assert f"ketika buku besar memuat {size} catatan" in page
    assert "masih terbuka" in page
    assert "Keadaan sekarang" in page
    assert "Barang dan segel" not in page
    then = stage.get(f"/v1/units/{unit}/history", "auditor", size=size).json()["items"]
    assert page.count("<li") - stage.desk(f"/desk/units/{unit}?size=1").text.count("<li") >= len(then)


@pytest.mark.parametrize("typed", ["{story}", " {lower} ", "code"])
def test_a_unit_is_found_by_what_people_type(stage, typed):
    story = stage.units["story"]
    asked = HOSTILE_CODE if typed == "code" else typed.format(story=story, lower=story.lower())
    answer = stage.desk("/desk/units", params={"unit": asked})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/desk/units/{story}")


def test_a_misread_label_is_told_before_anything_is_looked_up(stage):
    story = stage.units["story"]
    misread = story[:-1] + ("0" if story[-1] != "0" else "1")
    answer = stage.desk("/desk/units", params={"unit": misread})
    assert (answer.status_code, "salah terbaca" in answer.text) == (422, True)


def test_each_figure_of_the_balance_leads_to_its_events(stage):
    page = stage.desk("/desk/reconciliation").text
    told = stage.get("/v1/reconciliation", "auditor").json()
    [contest] = [one for one in told["contests"] if one["contest"] == "PILGUB"]
    for figure in contest["figures"]:
        link = f"contest=PILGUB&amp;figure={figure['figure']}&amp;"
        assert (link in page) == (figure["count"] > 0), figure["figure"]
        if figure["count"]:
            events = stage.desk("/desk/reconciliation/events", params={"contest": "PILGUB", "figure": figure["figure"]})
            assert f">{figure['events'][0]['event']}<" in events.text
    lines = read_csv(stage.desk("/desk/reconciliation.csv"))
    assert {
        line["name"]: line["quantity"] for line in lines if line["contest"] == "PILGUB" and line["kind"] == "figure"
    } == {one["figure"]: str(one["quantity"]) for one in contest["figures"]}


def test_the_overview_asks_few_questions_however_much_there_is(stage):
    ran = []

    def note(_c, _cursor, statement, *_):
        ran.append(statement)

    counts = set()
    stage.desk("/desk")
    for who in ({}, {"agency": s.KPU, "place": s.CITY}):
        event.listen(stage.services.db.read_engine, "before_cursor_execute", note)
        try:
            assert stage.desk("/desk", **who).status_code == 200
        finally:
            event.remove(stage.services.db.read_engine, "before_cursor_execute", note)
        counts.add(len(ran))
        ran.clear()
    assert max(counts) <= MOST_STATEMENTS, counts
    assert min(counts) > 5


def test_the_overview_tells_how_far_the_witnesses_are(sqlite_url, tmp_path):
    policy = tmp_path / "policy.txt"
    policy.write_text(f"witness w1 {WITNESS.verifier().to_text()}\nquorum w1\n")
    with living(sqlite_url, tmp_path / "data", witness_policy=policy, witness_seconds=3600) as served:
        headers = {**BROWSER, **served.headers("auditor")}
        first = served.http.get("/desk", headers=headers).text
        size = served.services.view.published[0]
        assert "Disaksikan sampai" in first
        assert f"tertinggal {size} catatan" in first
        note = Note.parse(served.http.get(f"/ledger/{served.services.view.name}/checkpoint").content)
        body = Note(note.text, (WITNESS.cosign(note.text, 1_732_000_000),)).to_bytes()
        address = f"/ledger/{served.services.view.name}/cosignatures"
        answer = served.http.post(address, content=body, headers={"Content-Type": "text/plain"})
        assert answer.status_code == 204, answer.text
        then = served.http.get("/desk", headers=headers).text
        assert f"sampai {size} catatan" in then
        assert "tertinggal" not in then


# -- languages and times ---------------------------------------------------------------------------------


def test_english_is_a_link_away_and_stays(stage):
    with stage.browser() as browser:
        page = browser.get("/desk/masuk?ke=/desk/places")
        assert '<html lang="id">' in page.text
        link = re.search(r'href="([^"]+)" hreflang="en"', page.text)[1].replace("&amp;", "&")
        moved = browser.get(link)
        assert moved.headers["location"] == "/desk/masuk?ke=%2Fdesk%2Fplaces"
        english = browser.get(moved.headers["location"])
        assert '<html lang="en">' in english.text
        assert "Client secret" in english.text
        assert "httponly" in moved.headers["set-cookie"].lower()
        back = browser.get("/desk/masuk?lang=id")
        assert '<html lang="id">' in browser.get(back.headers["location"]).text
        assert browser.get("/desk/masuk?lang=xx").status_code == 200


def test_a_link_to_a_language_names_one_language(stage):
    page = stage.http.get("/desk/masuk?ke=/desk/places&lang=xx", headers=BROWSER)
    stage.http.cookies.clear()
    links = re.findall(r'href="([^"]+)" hreflang="(..)"', page.text)
    asked = {code: parse_qs(urlsplit(link.replace("&amp;", "&")).query) for link, code in links}
    assert asked == {code: {"ke": ["/desk/places"], "lang": [code]} for code in ("id", "en") if code in asked}
    assert "en" in asked


@pytest.mark.parametrize(
    "path", ["/desk", "/desk/handovers", "/desk/discrepancies", "/desk/incidents", "/desk/reconciliation"]
)
def test_an_english_page_has_no_indonesian_of_ours_left(stage, path):
    headers = {**stage.headers("auditor", agency=s.BWS), "Accept": "text/html", "Cookie": "custody-language=en"}
    page = stage.http.get(path, headers=headers).text
    for word in ("Tenggat", "Keadaan", "Serah terima", "belum", "terlambat", "Daftar", "Ikhtisar"):
        assert word not in page, word


def test_times_are_the_places_own(stage):
    page = stage.desk("/desk/handovers").text.partition("<footer>")[0]
    times = re.findall(r'<time datetime="([^"]+)" title="([^"]+)">([^<]+)</time>', page)
    assert times
    assert all(
        exact.endswith("Z") and title.endswith(" UTC") and words.endswith(" WITA") for exact, title, words in times
    )


def test_programs_get_problem_documents_at_the_desk_too(stage):
    headers = stage.headers("auditor")
    for path, status in (
        ("/desk/units/0000", 404),
        ("/desk/handovers?status=x", 422),
        ("/desk/incidents/nothing", 404),
    ):
        answer = stage.http.get(path, headers=headers)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
