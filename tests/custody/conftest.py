"""`town`: a settled ledger of each test's own, on both databases; re-verified when the test is over."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.custody.town import Mould, Town, postgres_mould, sqlite_mould

BACKENDS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]


@pytest.fixture(scope="session")
def sqlite_town_mould(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Mould:
    """The settled town on SQLite that tests get copies of."""
    return sqlite_mould(sqlite_template, tmp_path_factory.mktemp("mould"))


@pytest.fixture(scope="session")
def postgres_town_mould(postgres_template: str, tmp_path_factory: pytest.TempPathFactory) -> Mould:
    """The settled town on PostgreSQL that tests get copies of."""
    return postgres_mould(postgres_template, tmp_path_factory.mktemp("mould"))


@pytest.fixture(scope="session")
def postgres_town(postgres_town_mould: Mould, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """One town on PostgreSQL for many tests, since copying a database takes half a second there."""
    yield from _lent(postgres_town_mould, tmp_path_factory.mktemp("town"))


@pytest.fixture
def alone() -> None:
    """Ask for a town that no other test uses: for tests that move time, sweep, or end the ledger."""


@pytest.fixture
def mended() -> None:
    """Ask for a town that is mended afterwards: for tests that revoke keys or publish documents."""


@pytest.fixture(params=BACKENDS)
def town(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Town]:
    """A settled town with labels to use; its whole ledger is verified again when it is given back."""
    if request.param == "sqlite":
        yield from _lent(request.getfixturevalue("sqlite_town_mould"), tmp_path)
    elif "alone" in request.fixturenames:
        yield from _lent(request.getfixturevalue("postgres_town_mould"), tmp_path)
    else:
        shared = request.getfixturevalue("postgres_town").refresh()
        yield shared
        if "mended" in request.fixturenames:
            shared.mend()


def _lent(mould: Mould, folder: Path) -> Iterator[Town]:
    own = mould.pour(folder)
    try:
        yield own
        own.check()
    finally:
        mould.take_back(own)
