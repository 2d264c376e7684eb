"""What scripts/setup finds before it installs anything: a program that is there is never fetched again."""

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PREPARE = runpy.run_path(str(ROOT / "scripts" / "prepare.py"))
find_browser = PREPARE["find_browser"]


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """A machine without any browser."""
    monkeypatch.delenv("CUSTODY_CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path / "downloads"))


def test_a_machine_without_a_browser_is_seen_as_one():
    assert find_browser() is None


@pytest.mark.parametrize("name", ["chromium", "chromium-browser", "google-chrome"])
def test_the_systems_browser_is_found(tmp_path: Path, name: str):
    there = program(tmp_path / "bin" / name)
    assert find_browser() == str(there)


def test_playwrights_download_is_found(tmp_path: Path):
    there = program(tmp_path / "downloads" / "chromium-1255" / "chrome-linux64" / "chrome")
    assert find_browser() == str(there)


def test_the_named_one_comes_first_and_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    program(tmp_path / "bin" / "chromium")
    named = program(tmp_path / "own" / "chrome")
    monkeypatch.setenv("CUSTODY_CHROMIUM", str(named))
    assert find_browser() == str(named)
    monkeypatch.setenv("CUSTODY_CHROMIUM", str(tmp_path / "gone"))
    assert find_browser() is None


def test_an_openssl_program_is_found_or_seen_to_be_missing(tmp_path: Path):
    assert PREPARE["find_openssl"]() is None
    there = program(tmp_path / "bin" / "openssl")
    assert PREPARE["find_openssl"]() == str(there)


def test_only_the_tests_need_a_browser():
    for script in ("run", "check"):
        text = (ROOT / "scripts" / script).read_text(encoding="utf-8")
        assert 'setup" --without-browser' in text or "scripts/setup --without-browser" in text
    assert "--without-browser" not in (ROOT / "scripts" / "test").read_text(encoding="utf-8")
