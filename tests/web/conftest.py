"""One running service per database and session; tests add to it and never undo."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.cli.phone import Phone
from tests import small
from tests.postgres import fresh_database
from tests.web.desk_stage import HOSTILE_NAMES, PLAIN_NAMES, Stage, staged
from tests.web.live import Live, living

BACKENDS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]


@pytest.fixture(scope="session", params=BACKENDS)
def live(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A served demo ledger with policy and plan."""
    folder = tmp_path_factory.mktemp("live")
    with living(_url(request, request.param, folder), folder / "data") as found:
        yield found


@pytest.fixture(scope="session")
def lite(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """The same on SQLite alone, where the database makes no difference."""
    folder = tmp_path_factory.mktemp("lite")
    with living(_url(request, "sqlite", folder), folder / "data") as found:
        yield found


def _url(request: pytest.FixtureRequest, backend: str, folder: Path) -> str:
    if backend == "postgresql":
        server = request.getfixturevalue("postgres_server")
        return fresh_database(server, template=request.getfixturevalue("postgres_template"))
    path = folder / "custody.db"
    shutil.copyfile(request.getfixturevalue("sqlite_template"), path)
    return f"sqlite:///{path}"


@pytest.fixture(scope="session")
def officer(live: Live) -> Phone:
    """A logistics officer of the city's commission, at its warehouse."""
    return live.house.enrol("OFF-STORE", small.KPU, "LOGISTIK", small.CITY, access=("field", "operator"))


@pytest.fixture(scope="session")
def store(lite: Live) -> Phone:
    """The same officer on the SQLite service."""
    return lite.house.enrol("OFF-STORE", small.KPU, "LOGISTIK", small.CITY, access=("field", "operator"))


@pytest.fixture(scope="session", params=BACKENDS)
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A town in which much has happened, with places whose names would like to be scripts and formulas."""
    folder = tmp_path_factory.mktemp("stage")
    with staged(_url(request, request.param, folder), folder / "data", HOSTILE_NAMES) as found:
        yield found


@pytest.fixture(scope="session")
def plain_stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The same town on SQLite with names as people give them, for whoever looks at its pages."""
    folder = tmp_path_factory.mktemp("plain")
    with staged(_url(request, "sqlite", folder), folder / "data", PLAIN_NAMES) as found:
        yield found
