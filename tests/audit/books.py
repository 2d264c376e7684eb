"""What the auditor's tests share: a town per database for a whole file, viewers, and a count of statements."""

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from app.db import Database
from app.keys.grants import Viewer
from tests import small as s
from tests.custody.town import Town
from tests.postgres import drop_database, fresh_database

BACKENDS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]


@contextmanager
def new_town(request: pytest.FixtureRequest, folder: Path) -> Iterator[Town]:
    """A settled town on the database that the fixture's parameter names."""
    if request.param == "postgresql":
        server = request.getfixturevalue("postgres_server")
        url = fresh_database(server, template=request.getfixturevalue("postgres_template"))
    else:
        shutil.copyfile(request.getfixturevalue("sqlite_template"), folder / "custody.db")
        url = f"sqlite:///{folder / 'custody.db'}"
    town = Town(Database(url), folder / "house").settle()
    try:
        yield town
    finally:
        town.leave()
    if request.param == "postgresql":
        drop_database(url)


def auditor(place: str | None = None) -> Viewer:
    """One who sees every agency inside a place."""
    return Viewer("client-1", s.BWS, place, frozenset({"auditor"}))


def officer(agency: str, place: str | None = None, subject: str = "client-2") -> Viewer:
    """One who sees what the own agency touched inside a place."""
    return Viewer(subject, agency, place, frozenset({"field"}))


def ask(town: Town, question: Any, *args: Any, **kwargs: Any) -> Any:
    """Ask a function of the audit in a session of its own."""
    with town.db.read() as session:
        return question(session, town.recorder.ledger_id, *args, **kwargs)


@contextmanager
def statements(town: Town) -> Iterator[list[tuple[str, Any]]]:
    """Collect the statements that the read engine runs, with their values."""
    ran: list[tuple[str, Any]] = []

    def note(_c: object, _cursor: object, statement: str, values: Any, *_: object) -> None:
        ran.append((statement, values))

    event.listen(town.db.read_engine, "before_cursor_execute", note)
    try:
        yield ran
    finally:
        event.remove(town.db.read_engine, "before_cursor_execute", note)


def plan_steps(town: Town, ran: list[tuple[str, Any]]) -> list[str]:
    """Return every step of SQLite's own plans for the questions among these statements."""
    asked = [(sql, values) for sql, values in ran if sql.startswith(("SELECT", "WITH"))]
    with town.db.read() as session:
        return [
            str(row[3])
            for sql, values in asked
            for row in session.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", tuple(values))
        ]


def walks(steps: list[str], tables: Iterable[str]) -> list[str]:
    """Return the steps over these tables that name no more of the key than the ledger, or name it by a range."""
    named = tuple(f"{verb} {table} " for table in tables for verb in ("SCAN", "SEARCH"))
    return [step for step in steps if step.startswith(named) and not _is_keyed(step)]


def _is_keyed(step: str) -> bool:
    return "AND " in step.rpartition("(")[2] and "<?" not in step and ">?" not in step
