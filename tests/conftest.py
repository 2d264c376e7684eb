"""Databases for every test: migrated once per process, copied per test, on SQLite and on a real PostgreSQL.

`database_url` runs a test on both; `sqlite_url` and `postgres_url` on one. `db` is the open `Database`, `house`
a founded ledger with policy and plan on it (tests/house.py).
"""

import logging
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from app.cli.migrate import upgrade
from app.db import Database
from tests.house import House
from tests.postgres import drop_database, fresh_database, running_postgres
from tests.strategies import LONG

# Whoever runs the suite under nohup or in the background has these signals ignored, and so would every process that a
# test interrupts by them.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)

# An ordinary run tries the same examples every time and never judges how fast it is: a slow machine is no bug.
settings.register_profile(
    "house", deadline=None, derandomize=not LONG, database=None, print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip
settings.load_profile("house")


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """Take back what a command that ran within a test made of the logs: it writes to that test's own streams."""
    handlers, level = list(logging.root.handlers), logging.root.level
    yield
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


BACKENDS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file that nobody has used."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """One PostgreSQL server for the whole session."""
    with running_postgres() as url:
        yield url


@pytest.fixture(scope="session")
def postgres_template(postgres_server: str) -> str:
    """A migrated PostgreSQL database that nobody has used."""
    url = fresh_database(postgres_server)
    upgrade(url)
    return url


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """A migrated SQLite database of this test's own."""
    path = tmp_path / "custody.db"
    shutil.copyfile(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgres_url(postgres_server: str, postgres_template: str) -> Iterator[str]:
    """A migrated PostgreSQL database of this test's own."""
    url = fresh_database(postgres_server, template=postgres_template)
    yield url
    drop_database(url)


@pytest.fixture(params=BACKENDS)
def database_url(request: pytest.FixtureRequest) -> str:
    """A migrated database of this test's own, on SQLite and on PostgreSQL in turn."""
    return str(request.getfixturevalue("postgres_url" if request.param == "postgresql" else "sqlite_url"))


@pytest.fixture
def db(database_url: str) -> Iterator[Database]:
    """An open database, migrated and empty."""
    database = Database(database_url)
    yield database
    database.close()


@pytest.fixture
def house(db: Database, tmp_path: Path) -> House:
    """A founded ledger with policy and plan."""
    return House(db, tmp_path / "house")
