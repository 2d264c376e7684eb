"""A page that holds the module verify.js and nothing else, for tests that call its functions in a real browser."""

from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page

STATIC = Path(__file__).parents[2] / "app" / "web" / "static"
ORIGIN = "https://module.test"


def module_page(browser: Browser) -> Page:
    """Open a page whose `verify` is the module's exports; the files are answered here, no network is touched."""
    page = browser.new_page()

    def answer(route: Any) -> None:
        name = route.request.url.removeprefix(f"{ORIGIN}/")
        if name == "":
            route.fulfill(content_type="text/html", body="<!doctype html><title>module</title>")
        else:
            route.fulfill(content_type="text/javascript", body=(STATIC / name).read_text("utf-8"))

    page.route("**/*", answer)
    page.goto(f"{ORIGIN}/")
    page.evaluate("""async () => {
        globalThis.verify = await import("/verify.js");
        globalThis.fromBase64 = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
        globalThis.fromHex = (text) => Uint8Array.from(text.match(/../g) ?? [], (h) => parseInt(h, 16));
        globalThis.codeOf = async (act) => {
            try { await act(); return null; } catch (error) { return error.code ?? `threw ${error}`; }
        };
    }""")
    return page
