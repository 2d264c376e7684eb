"""The desk's pages in a real Chromium: with scripts off and on, read aloud, printed, in both languages.

`CUSTODY_PICTURES=1` also writes the pictures of `docs/pages`.
"""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page

from tests import small as s
from tests.browser import Watch, axe, running_chromium

PICTURES = Path(__file__).parents[2] / "docs" / "pages"
WIDTHS = {"phone": (360, 740), "desktop": (1280, 900)}
DRAWN = {
    *((name, "desktop") for name in ("overview", "unit", "places", "handovers", "discrepancies", "incidents", "reconciliation")),
    ("overview", "phone"), ("unit", "phone"),
}  # fmt: skip
LONG = {"discrepancies", "unit", "reconciliation"}
DRAWS = bool(os.environ.get("CUSTODY_PICTURES"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_chromium() as running:
        yield running


def pages(stage: Any) -> dict[str, str]:
    story = stage.units["story"]
    return {
        "overview": "/desk", "find": "/desk/units", "unit": f"/desk/units/{story}", "unit-then": f"/desk/units/{story}?size=90",
        "places": f"/desk/places?place={s.CITY}", "station": f"/desk/places?place={s.TPS1}", "handovers": "/desk/handovers",
        "discrepancies": "/desk/discrepancies", "incidents": "/desk/incidents", "incident": f"/desk/incidents/{stage.incident}",
        "reconciliation": "/desk/reconciliation", "figure": "/desk/reconciliation/events?contest=PILGUB&figure=good",
        "nothing": "/desk/handovers?agency=NOBODY", "problem": "/desk/units/0000",
    }  # fmt: skip


@contextmanager
def seated(browser: Browser, stage: Any, width: str = "desktop", **how: Any) -> Iterator[tuple[Page, Watch]]:
    """Sign in through the form, in a context of its own, and watch what the pages do."""
    size = dict(zip(("width", "height"), WIDTHS[width], strict=True))
    context = browser.new_context(viewport=size, locale="id-ID", base_url=str(stage.http.base_url), **how)
    watch = Watch(context)
    page = context.new_page()
    page.set_default_timeout(15_000)
    try:
        sign_in(page, *stage.client())
        yield page, watch
    finally:
        context.close()


def sign_in(page: Page, name: str, secret: str) -> None:
    page.goto("/desk")
    assert page.url.endswith("/desk/masuk")
    page.fill("#klien", name)
    page.fill("#rahasia", secret)
    page.click("main button")
    page.wait_for_url("**/desk")


def cookie(context: BrowserContext) -> dict[str, Any]:
    return next(dict(one) for one in context.cookies() if one["name"] == "custody-desk")


@pytest.mark.parametrize("scripts", [False, True], ids=["without scripts", "with scripts"])
def test_every_page_opens_by_itself_and_asks_for_nothing_else(browser: Browser, plain_stage: Any, scripts: bool):
    with seated(browser, plain_stage, java_script_enabled=scripts) as (page, watch):
        base = str(plain_stage.http.base_url)
        for name, path in pages(plain_stage).items():
            page.goto(path)
            assert page.locator("h1").count() == 1, name
        kept = cookie(page.context)
        assert (kept["httpOnly"], kept["sameSite"], kept["path"]) == (True, "Strict", "/desk")
        expected = "Failed to load resource: the server responded with a status of 404 (Not Found)"
        assert [line for line in watch.wrong if line != expected] == []
        assert all(address.startswith((base, "data:")) for address in watch.requests)
        assert {address.rpartition(".")[2] for address in watch.requests if "/static/" in address} == {"css"}


@pytest.mark.parametrize("width", WIDTHS)
def test_the_pages_shut_nobody_out_and_fit(browser: Browser, plain_stage: Any, width: str):
    found: dict[str, Any] = {}
    with seated(browser, plain_stage, width) as (page, _):
        for name, path in pages(plain_stage).items():
            page.goto(path)
            draw(page, name, width)
            wrong = [(each["id"], [node["html"][:200] for node in each["nodes"]]) for each in axe(page)]
            too_wide = page.evaluate(
                "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
            if wrong or too_wide > 0:
                found[name] = (wrong, too_wide)
    assert found == {}


def draw(page: Page, name: str, width: str) -> None:
    """Write a picture of a page for the documents, when asked to."""
    if DRAWS and (name, width) in DRAWN:
        data = page.screenshot(full_page=name not in LONG)
        keep(Image.open(io.BytesIO(data)), name if width == "desktop" else f"{name}-phone")


def keep(picture: Image.Image, name: str) -> None:
    """Write a picture with few colours, a third of its size."""
    PICTURES.mkdir(exist_ok=True)
    picture.convert("RGB").quantize(48).save(PICTURES / f"{name}.png", optimize=True)


def test_the_form_shuts_nobody_out(browser: Browser, plain_stage: Any):
    context = browser.new_context(base_url=str(plain_stage.http.base_url), locale="id-ID")
    try:
        page = context.new_page()
        page.goto("/desk/masuk")
        assert axe(page) == []
        if DRAWS:
            keep(Image.open(io.BytesIO(page.screenshot())), "sign-in")
        page.keyboard.press("Tab")
        assert page.evaluate("() => document.activeElement.className") == "skip"
        page.fill("#klien", "client-nobody")
        page.fill("#rahasia", "x")
        page.keyboard.press("Enter")
        page.wait_for_selector("#wrong")
        assert axe(page) == []
    finally:
        context.close()


def test_the_pages_shut_nobody_out_in_the_dark(browser: Browser, plain_stage: Any):
    with seated(browser, plain_stage, color_scheme="dark") as (page, _):
        for name in ("overview", "unit", "discrepancies", "reconciliation"):
            page.goto(pages(plain_stage)[name])
            assert axe(page) == [], name


@pytest.mark.parametrize("name", ["overview", "unit", "handovers", "discrepancies", "reconciliation", "places"])
def test_a_page_prints(browser: Browser, plain_stage: Any, name: str, tmp_path: Path):
    with seated(browser, plain_stage, java_script_enabled=False) as (page, _):
        page.goto(pages(plain_stage)[name])
        heading = page.locator("h1").inner_text().split()[0]
        data = page.pdf(prefer_css_page_size=True)
    document = pypdfium2.PdfDocument(data)
    try:
        text = "\n".join(leaf.get_textpage().get_text_range() for leaf in document)
        width, height = document[0].get_size()
        if DRAWS and name == "unit":
            keep(document[0].render(scale=1.5).to_pil(), "unit-printed")
    finally:
        document.close()
    assert (round(width), round(height)) == (595, 842)
    assert heading in text
    assert "Saring" not in text
    assert "Keluar" not in text
    if name == "handovers":
        assert plain_stage.units["late"] in text, "what is folded on the screen stands on paper"


def test_a_supervisor_finds_his_way_without_a_mouse_and_signs_out(browser: Browser, plain_stage: Any):
    with seated(browser, plain_stage) as (page, watch):
        page.goto("/desk/units")
        page.focus("#unit")
        page.keyboard.type(plain_stage.units["story"].lower())
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/desk/units/{plain_stage.units['story']}")
        with page.expect_download() as taken:
            page.get_by_text("Unduh bukti").click()
        assert taken.value.suggested_filename == f"evidence-{plain_stage.units['story']}.zip"
        page.get_by_role("link", name="English").click()
        assert page.locator("html").get_attribute("lang") == "en"
        assert page.url.endswith(plain_stage.units["story"])
        page.get_by_role("link", name="Discrepancies", exact=True).click()
        page.select_option("#status", "open")
        page.get_by_role("button", name="Filter").click()
        assert "status=open" in page.url
        assert page.locator("#caption").inner_text() == "Discrepancies in ledger order"
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url("**/desk/masuk")
        page.goto("/desk")
        assert page.url.endswith("/desk/masuk")
        assert watch.wrong == []
