"""A real Chromium for tests of pages, driven by Playwright: found where the system has it, never a silent absence.

`scripts/setup` installs it when it is missing. Playwright's synchronous interface keeps an event loop in its thread,
so a module's tests share one browser and nothing else runs beside it there.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
MISSING = "No Chromium: run scripts/setup (as root it installs the package), or name one: CUSTODY_CHROMIUM=/path"
AXE = files("axe_playwright_python") / "axe.min.js"


def find_chromium(playwright: Playwright) -> str | None:
    """Return the path of a Chromium: the one that is named, the system's, or Playwright's own download."""
    named = os.environ.get("CUSTODY_CHROMIUM")
    if named:
        return shutil.which(named)
    found = next(filter(None, map(shutil.which, NAMES)), None)
    own = playwright.chromium.executable_path
    return found or (own if os.path.exists(own) else None)  # noqa: PTH110 - a plain question


@contextmanager
def running_chromium() -> Iterator[Browser]:
    """Start a browser; without one, fail where it must be there and say what to install where not."""
    with sync_playwright() as playwright:
        path = find_chromium(playwright)
        if path is None:
            must = bool(os.environ.get("CI")) or os.geteuid() == 0
            (pytest.fail if must else pytest.skip)(MISSING)
        browser = playwright.chromium.launch(executable_path=path, args=[*FLAGS])
        try:
            yield browser
        finally:
            browser.close()


class Watch:
    """What a page did: requests by address, console errors, refusals of its policy, uncaught errors."""

    def __init__(self, context: BrowserContext) -> None:
        self.requests: list[str] = []
        self.wrong: list[str] = []
        context.on("request", lambda request: self.requests.append(request.url))
        context.on("console", lambda said: self.wrong.append(said.text) if said.type in {"error", "warning"} else None)
        context.on("weberror", lambda error: self.wrong.append(str(error.error)))


def axe(page: Page) -> list[dict[str, Any]]:
    """Return the violations that axe-core finds; injected past the page's policy, as only a debugger can."""
    session = page.context.new_cdp_session(page)
    session.send("Runtime.evaluate", {"expression": AXE.read_text()})
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    found = page.evaluate("(tags) => axe.run(document, {runOnly: tags})", tags)
    violations: list[dict[str, Any]] = found["violations"]
    return violations
