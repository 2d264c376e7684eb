"""`scripts/postgres/setup`: roles and privileges, and what it finds of a server, on real servers."""

import re
import subprocess
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import make_url

from app.db import Database
from tests.house import House
from tests.postgres import PostgresServer
from tests.postgresql.hosts import until
from tests.postgresql.scripts import SCRIPTS, run
from tests.postgresql.servers import plain

pytestmark = pytest.mark.postgres


def is_allowed(connection: psycopg.Connection, statement: str) -> bool:
    """Say whether a role may do something to a whole table."""
    try:
        connection.execute(statement + (" SET ledger_id = 1" if statement.startswith("UPDATE") else ""))
    except psycopg.errors.InsufficientPrivilege:
        return False
    except psycopg.Error:
        return True  # for another reason than who asks
    return True


def test_setup_makes_roles_of_which_none_can_change_what_was_recorded(tmp_path: Path) -> None:
    server = PostgresServer()
    try:
        made = run(server, SCRIPTS / "setup", "--host", server.folder)
        assert made.returncode == 0, made.stdout + made.stderr
        assert run(server, SCRIPTS / "setup", "--host", server.folder).returncode == 0, "it may be repeated"
        assert "synchronous_standby_names" in made.stdout
        query = {"host": str(server.folder)}
        writer = make_url(server.url).set(username="custody_writer", database="custody", query=query)
        auditor = writer.set(username="custody_auditor").render_as_string()
        db = Database(writer.render_as_string(), auditor)
        db.check_durability()
        house = House(db, tmp_path / "house")  # the service can do its work as that role
        house.check()
        with db.write() as session:
            tables = session.exec_driver_sql(
                "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace"
            ).scalars()
            kept = [
                name
                for name in tables
                if name.startswith(("event", "ledger_leaf", "ledger_checkpoint", "document"))
                and name != "event_outcome"  # which is written anew when a later leaf says more
            ]
        assert {"event", "ledger_leaf", "ledger_checkpoint"} <= set(kept)
        ways = [way + table for table in kept for way in ("DELETE FROM ", "TRUNCATE ", "UPDATE ")]
        with plain(writer.render_as_string()) as connection:
            assert [way for way in ways if is_allowed(connection, way)] == []
        with plain(auditor) as connection:
            assert connection.execute("SELECT count(*) FROM event").fetchone() != (0,)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("INSERT INTO ledger_checkpoint VALUES (1, 99, '', '', 0)")
        db.close()
        with plain(server.url) as connection:
            connection.execute("ALTER SYSTEM SET synchronous_commit = off")
            connection.execute("SELECT pg_reload_conf()")
        until(
            lambda: run(server, SCRIPTS / "setup", "--check", "--host", server.folder).returncode == 1,
            lambda: "refused",
        )
    finally:
        server.close()


def test_a_setting_of_the_writers_own_is_found_as_the_service_would_find_it() -> None:
    """A role, a database, or a role in a database may switch off what the server has on."""
    server = PostgresServer()

    def examined() -> subprocess.CompletedProcess[str]:
        return run(server, SCRIPTS / "setup", "--check", "--host", server.folder)

    try:
        with plain(server.url) as connection:
            before = examined()
            assert (before.returncode, "no role custody_writer" in before.stdout) == (0, True)
            connection.execute("CREATE ROLE custody_writer LOGIN")
            connection.execute("CREATE DATABASE custody TEMPLATE template0")
            for whose in ("ROLE custody_writer", "DATABASE custody", "ROLE custody_writer IN DATABASE custody"):
                connection.execute(f"ALTER {whose} SET synchronous_commit = off")
                refused = examined()
                assert refused.returncode == 1, whose
                assert re.search("^MUST +synchronous_commit +off", refused.stdout, re.MULTILINE), refused.stdout
                connection.execute(f"ALTER {whose} RESET synchronous_commit")
                assert examined().returncode == 0, "control"
            connection.execute("ALTER ROLE custody_writer NOLOGIN")
            unasked = examined()
            assert (unasked.returncode, "custody_writer cannot ask in custody" in unasked.stderr) == (1, True)
    finally:
        server.close()


def test_scripts_explain_themselves() -> None:
    for script in ("setup", "backup", "restore"):
        for arguments, code in ((["--help"], 0), (["--nonsense"], 2)):
            assert subprocess.run([SCRIPTS / script, *arguments], capture_output=True).returncode == code
