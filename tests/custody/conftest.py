"""`town`: a settled ledger of each test's own, on both databases; re-verified when the test is over."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.custody.town import Mould, Town, postgres_mould, sqlite_mould
from tests.postgres import drop_database

BACKENDS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]


@pytest.fixture(scope="session")
def sqlite_town_mould(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Mould:
    """The settled town on SQLite that tests get copies of."""
    return sqlite_mould(sqlite_template, tmp_path_factory.mktemp("mould"))


@pytest.fixture(scope="session")
def postgres_town_mould(postgres_template: str, tmp_path_factory: pytest.TempPathFactory) -> Mould:
    """The settled town on PostgreSQL that tests get copies of."""
    return postgres_mould(postgres_template, tmp_path_factory.mktemp("mould"))


@pytest.fixture(params=BACKENDS)
def mould(request: pytest.FixtureRequest) -> Mould:
    """The mould of each database in turn."""
    name = "postgres_town_mould" if request.param == "postgresql" else "sqlite_town_mould"
    return request.getfixturevalue(name)


@pytest.fixture
def town(mould: Mould, tmp_path: Path) -> Iterator[Town]:
    """A town of this test's own; the whole ledger is verified again at its end."""
    own = mould.pour(tmp_path)
    try:
        yield own
        own.check()
    finally:
        own.leave()
    if not own.db.is_sqlite:
        drop_database(own.db.url.render_as_string(hide_password=False))
