"""Documents that fail the build when they stop being true."""

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TABLES = runpy.run_path(str(ROOT / "scripts" / "readme_tables.py"))
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_readmes_tables_are_complete() -> None:
    assert TABLES["filled"](README) == README, "run `python scripts/readme_tables.py`"


def test_a_table_that_lacks_a_row_is_noticed() -> None:
    """Control: take one row away."""
    row = next(line for line in README.splitlines() if line.startswith("| 423 |"))
    assert TABLES["filled"](README.replace(row + "\n", "")) != README.replace(row + "\n", "")


@pytest.mark.parametrize(
    "page", sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").rglob("*.md")), ids=lambda p: p.name
)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", text):
        if not target.startswith(("http://", "https://", "mailto:")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_decision_record_is_numbered_once() -> None:
    numbers = [path.name[:4] for path in (ROOT / "docs" / "adr").glob("*.md")]
    assert sorted(numbers) == [f"{n:04d}" for n in range(1, len(numbers) + 1)]
