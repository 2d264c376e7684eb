"""A page that holds the module verify.js and nothing else, for tests that call its functions in a real browser."""

from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page

STATIC = Path(__file__).parents[2] / "app" / "web" / "static"
ORIGIN = "https://module.test"


def module_page(browser: Browser, *, old: str = "", new: str = "") -> Page:
    """Open a page whose `verify` is the module's exports; the files are answered here, no network is touched.

    `old` becomes `new` in the module, to see whether a test notices; it must stand there exactly once.
    """
    page = browser.new_page()
    module = (STATIC / "verify.js").read_text("utf-8")
    assert not old or module.count(old) == 1, old

    def answer(route: Any) -> None:
        name = route.request.url.removeprefix(f"{ORIGIN}/")
        if name == "":
            route.fulfill(content_type="text/html", body="<!doctype html><title>module</title>")
        else:
            route.fulfill(content_type="text/javascript", body=module.replace(old, new) if old else module)

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
