"""The page /verify and its one-file version in a real Chromium: what people see, and what never leaves the page."""

import json
import re
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from app.audit.page import verify_page
from app.custody.events import TYPES
from tests.browser import Watch, axe, running_chromium
from tests.web.jsmodule import STATIC

VECTORS = Path(__file__).parents[1] / "vectors" / "bundle"
WIDTHS = {"phone": (360, 740), "desktop": (1280, 900)}


def vector(book: str, name: str) -> dict[str, Any]:
    return next(v for v in json.loads((VECTORS / f"{book}.json").read_text("utf-8")) if v["name"] == name)


GOOD = vector("whole", "a box that travelled in a load")
ZIP = b64decode(GOOD["zip"])
GENESIS = GOOD["pins"]["genesis"]
BROKEN = b64decode(vector("signatures", "one bit of an Ed25519 signature")["zip"])
LISTED = vector("ledgers", "a listed ledger among others")
LIST, LIST_KEY = b64decode(LISTED["pins"]["ledgers"]), LISTED["pins"]["ledgers_key"]
UNLISTED = b64decode(vector("ledgers", "a ledger that is not listed")["pins"]["ledgers"])
WITNESSED = vector("policies", "two cosignatures of three")
HEAD = b64decode(vector("heads", "the latest event is proven")["zip"])


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_chromium() as running:
        yield running


@contextmanager
def opened(browser: Browser, address: str, width: str = "desktop") -> Iterator[tuple[Page, Watch]]:
    """Open a page in a context of its own and watch what it does."""
    context = browser.new_context(viewport=dict(zip(("width", "height"), WIDTHS[width], strict=True)), locale="id-ID")
    watch = Watch(context)
    page = context.new_page()
    page.set_default_timeout(15_000)
    try:
        page.goto(address)
        yield page, watch
    finally:
        context.close()


@pytest.fixture(params=["served", "file"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The page as the service serves it, and as it lies in an unpacked zip."""
    if request.param == "served":
        return f"{request.getfixturevalue('lite').http.base_url}/verify"
    (tmp_path / "verify.html").write_bytes(verify_page())
    return (tmp_path / "verify.html").as_uri()


def choose(page: Page, data: bytes, field: str = "bundle") -> None:
    page.set_input_files(f"#{field}", {"name": "bukti.zip", "mimeType": "application/zip", "buffer": data})


def listed(page: Page) -> None:
    """Open the part of the page that asks for a list."""
    page.locator("summary").click()


def verdict(page: Page) -> str:
    page.wait_for_selector("#report:not([hidden])")
    return str(page.locator("#report").get_attribute("class"))


def test_a_good_bundle_passes_a_broken_one_fails_and_nothing_leaves_the_page(browser: Browser, address: str):
    with opened(browser, address) as (page, watch):
        page.fill("#genesis", f"  {GENESIS} ")
        loaded = list(watch.requests)
        page.context.set_offline(True)
        choose(page, ZIP)
        assert verdict(page) == "PASS"
        text = page.locator("#report").inner_text()
        assert "TERBUKTI" in text
        assert "dilepas" in text
        assert "custody.release" in text
        assert "rules_not_judged" in text
        assert "not_latest" in text
        choose(page, BROKEN)
        page.wait_for_selector("#report.FAIL")
        assert "GAGAL" in page.locator("#verdict").inner_text()
        page.fill("#genesis", "")
        choose(page, ZIP)
        page.wait_for_selector("#report.INCOMPLETE")
        assert "genesis_not_pinned" in page.locator("#report").inner_text()
        page.fill("#genesis", "A" * 43)
        page.locator("#genesis").blur()
        page.wait_for_selector("#report.FAIL")
        assert watch.requests == loaded
        assert watch.wrong == []
        stored = page.evaluate(
            "async () => [localStorage.length, sessionStorage.length, (await indexedDB.databases()).length]"
        )
        assert (stored, page.context.cookies()) == ([0, 0, 0], [])


def test_the_watch_sees_a_request_and_the_pages_policy_stops_it(browser: Browser, address: str):
    """Negative control: a page that tried to send something would be stopped, and seen."""
    with opened(browser, address) as (page, watch):
        said = page.evaluate("() => fetch('https://collector.example/').then(() => 'sent', () => 'stopped')")
        assert said == "stopped"
        assert any("Content Security Policy" in line or "collector.example" in line for line in watch.wrong)
        page.evaluate(
            "() => { const s = document.createElement('img'); s.src = 'https://collector.example/x.png'; document.body.append(s); }"
        )
        page.wait_for_timeout(100)
        assert len([line for line in watch.wrong if "collector.example" in line]) >= 2


def test_a_file_can_be_dropped(browser: Browser, address: str):
    with opened(browser, address) as (page, watch):
        page.fill("#genesis", GENESIS)
        page.evaluate(
            """(encoded) => {
                const bytes = Uint8Array.from(atob(encoded), (c) => c.charCodeAt(0));
                const held = new DataTransfer();
                held.items.add(new File([bytes], "bukti.zip"));
                const told = { dataTransfer: held, bubbles: true, cancelable: true };
                document.body.dispatchEvent(new DragEvent("dragover", told));
                document.body.dispatchEvent(new DragEvent("drop", told));
            }""",
            GOOD["zip"],
        )
        assert verdict(page) == "PASS"
        assert watch.wrong == []


def test_a_pinned_policy_counts_witnesses(browser: Browser, address: str):
    with opened(browser, address) as (page, _):
        page.fill("#genesis", GENESIS)
        choose(page, b64decode(WITNESSED["pins"]["policy"]), "policy")
        choose(page, b64decode(WITNESSED["zip"]))
        assert verdict(page) == "PASS"
        assert "w2: sah" in page.locator("#report").inner_text()
        choose(page, b64decode(vector("policies", "one cosignature of three")["zip"]))
        page.wait_for_selector("#report.INCOMPLETE")
        choose(page, b"no policy", "policy")
        page.wait_for_function("() => document.querySelector('#progress').textContent.includes('cut off')")
        assert page.locator("#report").is_hidden()


def test_a_signed_list_stands_instead_of_the_genesis(browser: Browser, address: str):
    with opened(browser, address) as (page, watch):
        assert not page.locator("#ledgers").is_visible()
        listed(page)
        loaded = list(watch.requests)
        choose(page, b64decode(LISTED["zip"]))
        page.wait_for_selector("#report.INCOMPLETE")
        choose(page, LIST, "ledgers")
        stopped(page, "Daftar dan kuncinya diberikan bersama")
        page.fill("#ledgers-key", f" {LIST_KEY}\n")
        page.locator("#ledgers-key").blur()
        page.wait_for_selector("#report.PASS")
        assert "genesis atau daftar" in page.locator("#sentence").inner_text()
        assert page.locator("#progress").inner_text() == ""
        page.fill("#genesis", GENESIS)
        page.locator("#genesis").blur()
        stopped(page, "sebagai ganti sidik genesis")
        page.fill("#genesis", "")
        page.locator("#genesis").blur()
        page.wait_for_selector("#report.PASS")
        choose(page, UNLISTED, "ledgers")
        page.wait_for_selector("#report.FAIL")
        assert "tidak ada di daftar" in page.locator("#report").inner_text()
        assert page.locator("#facts code").all_inner_texts() == ["ledger_not_listed"]
        choose(page, LIST[:-1], "ledgers")
        stopped(page, "Daftar buku besar tidak dapat dipakai")
        choose(page, LIST, "ledgers")
        page.wait_for_selector("#report.PASS")
        page.fill("#ledgers-key", LIST_KEY[:-4])
        page.locator("#ledgers-key").blur()
        stopped(page, "The list of ledgers cannot be used")
        assert watch.requests == loaded
        assert watch.wrong == []


def test_a_browser_that_cannot_verify_blames_neither_list_nor_policy(browser: Browser, address: str):
    with opened(browser, address) as (page, _):
        page.evaluate("() => { crypto.subtle.importKey = () => Promise.reject(new Error('unknown algorithm')); }")
        listed(page)
        choose(page, LIST, "ledgers")
        page.fill("#ledgers-key", LIST_KEY)
        choose(page, b64decode(WITNESSED["pins"]["policy"]), "policy")
        choose(page, b64decode(LISTED["zip"]))
        assert verdict(page) == "INCOMPLETE"
        assert page.locator("#facts code").all_inner_texts() == ["browser"]


def stopped(page: Page, why: str) -> None:
    """Wait until the page says why there is no report."""
    page.wait_for_function("(why) => document.querySelector('#progress').textContent.includes(why)", arg=why)
    assert page.locator("#report").is_hidden()


def test_the_list_can_be_given_without_a_mouse(browser: Browser, address: str):
    with opened(browser, address) as (page, _):
        page.on("filechooser", lambda _: None)
        page.focus("#genesis")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.wait_for_selector("details[open]")
        page.keyboard.press("Tab")
        assert page.evaluate("() => document.activeElement.id") == "ledgers"
        with page.expect_file_chooser() as chosen:
            page.keyboard.press("Space")
        chosen.value.set_files({"name": "ledgers.note", "mimeType": "text/plain", "buffer": LIST})
        page.keyboard.press("Tab")
        assert page.evaluate("() => document.activeElement.id") == "ledgers-key"
        page.keyboard.insert_text(LIST_KEY)
        choose(page, b64decode(LISTED["zip"]))
        assert verdict(page) == "PASS"


def test_what_the_service_hands_out_passes_on_its_own_page(browser: Browser, lite: Any, store: Any):
    (box,) = lite.boxes(store, ["TPS-A-1"])
    answer = lite.get(f"/v1/units/{box}/evidence", "auditor")
    assert answer.status_code == 200
    genesis = lite.http.get("/v1/ledger").json()["genesis"]
    with opened(browser, f"{lite.http.base_url}/verify") as (page, watch):
        page.fill("#genesis", genesis)
        choose(page, answer.content)
        assert verdict(page) == "PASS", page.locator("#report").inner_text()
        assert box in page.locator("#report").inner_text()
        assert watch.wrong == []


def test_it_works_without_a_mouse(browser: Browser, address: str):
    with opened(browser, address) as (page, _):
        page.on("filechooser", lambda _: None)  # from here on choosers are caught: the first key press may come soon
        seen = []
        for _ in range(6):
            page.keyboard.press("Tab")
            seen.append(page.evaluate("() => document.activeElement.id || document.activeElement.localName"))
        assert seen[:4] == ["genesis", "summary", "policy", "bundle"]
        page.fill("#genesis", GENESIS)
        page.focus("#bundle")
        with page.expect_file_chooser() as chosen:
            page.keyboard.press("Space")
        chosen.value.set_files({"name": "bukti.zip", "mimeType": "application/zip", "buffer": ZIP})
        assert verdict(page) == "PASS"
        assert page.evaluate("() => document.activeElement.id") == "report"
        page.keyboard.press("Tab")
        assert page.evaluate("() => document.activeElement.id") == "print"


@pytest.mark.parametrize("width", WIDTHS)
def test_it_is_accessible_and_fits(browser: Browser, address: str, width: str):
    with opened(browser, address, width) as (page, _):
        assert axe(page) == []
        page.fill("#genesis", GENESIS)
        for data in (ZIP, BROKEN, HEAD):
            choose(page, data)
            page.wait_for_timeout(50)
            verdict(page)
            found = axe(page)
            assert found == [], [(one["id"], [node["html"] for node in one["nodes"]]) for one in found]
            assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
        listed(page)
        page.fill("#ledgers-key", LIST_KEY)
        page.locator("#ledgers-key").blur()
        stopped(page, "sebagai ganti sidik genesis")
        assert axe(page) == []
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")


def test_it_prints_the_report_and_not_the_fields(browser: Browser, address: str):
    with opened(browser, address) as (page, _):
        page.fill("#genesis", GENESIS)
        choose(page, ZIP)
        verdict(page)
        page.emulate_media(media="print")
        assert page.locator("#verdict").is_visible()
        assert not page.locator("#bundle").is_visible()
        assert page.pdf().startswith(b"%PDF")


def test_without_scripts_it_says_what_to_do(browser: Browser, address: str):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address)
    assert "custody verify BERKAS.zip --genesis HASH" in page.locator("noscript").inner_text()
    context.close()


def test_what_a_file_says_is_shown_as_text(browser: Browser, tmp_path: Path):
    """Names that look like HTML stay letters: this one stands in a policy, whose witnesses are listed."""
    name = "<img/src=x/onerror=alert(1)>"
    policy = b64decode(WITNESSED["pins"]["policy"]).replace(b" w2 ", f" {name} ".encode())
    with opened(browser, _file(tmp_path)) as (page, watch):
        choose(page, policy, "policy")
        choose(page, b64decode(WITNESSED["zip"]))
        verdict(page)
        assert name in page.locator("#report").inner_text()
        assert page.locator("#report img").count() == 0
        assert watch.wrong == []


def test_only_a_page_from_a_file_warns_of_its_origin(browser: Browser, lite: Any, tmp_path: Path):
    with opened(browser, _file(tmp_path)) as (page, _):
        assert "sejauh sumbernya" in page.locator("#local").inner_text()
    with opened(browser, f"{lite.http.base_url}/verify") as (page, _):
        assert page.locator("#local").is_hidden()


def _file(folder: Path) -> str:
    (folder / "verify.html").write_bytes(verify_page())
    return (folder / "verify.html").as_uri()


def test_the_page_in_the_zip_is_the_served_one_and_always_the_same():
    made = verify_page()
    verify_page.cache_clear()
    assert verify_page() == made
    for name in ("verify.js", "verify.css", "page.css"):
        assert (STATIC / name).read_bytes() in made
    assert b"default-src 'none'" in made
    assert b"connect-src" not in made
    grammar = rb"/^https?:\/\/"  # of the addresses in a list, which the page compares and never opens
    assert made.count(b"http") == made.count(b"http-equiv") + made.count(grammar) == 2


def test_every_code_has_a_sentence(browser: Browser):
    text = (STATIC / "verify.js").read_text("utf-8")
    codes = set(re.findall(r'(?:refuse|Refusal)\(\s*"([a-z0-9_]+)"', text))
    codes |= set(re.findall(r'tell\(\s*"(?:fail|incomplete|note)",\s*"([a-z0-9_]+)"', text))
    assert len(codes) > 60
    page = (STATIC / "verify-page.js").read_text("utf-8")
    table = page[page.index("const MEANINGS") : page.index("};", page.index("const MEANINGS"))]
    known = re.findall(r"^  ([a-z0-9_]+):", table, re.MULTILINE)
    silent = {c for c in codes if c not in known and not any(k.endswith("_") and c.startswith(k) for k in known)}
    assert silent == set()


def test_every_type_of_event_has_a_word():
    page = (STATIC / "verify-page.js").read_text("utf-8")
    table = page[page.index("const ACTS") : page.index("};", page.index("const ACTS"))]
    assert {name for name in TYPES if f'"{name}": "' not in table and f" {name}: " not in table} == set()
