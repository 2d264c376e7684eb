"""Whole journeys on PostgreSQL, every statement of which runs on the one node where its ledger lies."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.citus.routing import offences

ROOT = Path(__file__).resolve().parents[2]
JOURNEYS = (
    "tests/journeys/test_offline.py", "tests/custody/test_heads.py", "tests/audit/test_history.py",
    "tests/audit/test_evidence.py", "tests/audit/test_handovers.py", "tests/audit/test_discrepancies.py",
    "tests/audit/test_fsck.py", "tests/keys", "tests/web/test_events.py", "tests/web/test_ledger_doors.py",
)  # fmt: skip
"""Every room's own statements are among what these send."""
OF_THE_OPERATOR = ("app/cli/migrate.py", "app/cli/citus.py")
ALL_LEDGERS = {
    "SELECT ledger.ledger_id, ledger.name FROM ledger": "fsck examines every ledger of the database",
    "SELECT DISTINCT ledger_leaf.ledger_id FROM ledger_leaf": "fsck, when no head row is left",
    "WHERE ledger_id NOT IN (": "fsck looks for rows of no ledger",
}
"""What asks all nodes, by a part of its text: reading only, of no hot path, and none of it is refused."""
STATEMENTS_AT_LEAST = 200


@pytest.mark.slow
@pytest.mark.postgres
def test_every_statement_of_whole_journeys_stays_with_one_ledger(postgres_server, tmp_path):
    seen = tmp_path / "statements.json"
    env = {**os.environ, "RECORDED_STATEMENTS": str(seen), "CUSTODY_TEST_POSTGRES_URL": postgres_server}
    command = [
        sys.executable, "-m", "pytest", "-p", "tests.citus.recording", "-p", "no:cacheprovider", "-n", "0", "-q",
        "-m", "postgres and not slow",
        "-k",
        "not random_journey and not long_journey", *JOURNEYS,
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    ours = {
        " ".join(statement.split()): caller
        for statement, caller in json.loads(seen.read_text()).items()
        if caller.startswith("app/") and caller not in OF_THE_OPERATOR
    }
    assert len(ours) >= STATEMENTS_AT_LEAST
    rooms = {caller.split("/")[1] for caller in ours.values()}
    assert {"audit", "custody", "keys", "ledger", "units"} <= rooms
    found = {statement: (caller, offences(statement)) for statement, caller in ours.items()}
    named = [part for part in ALL_LEDGERS if any(part in statement for statement in found)]
    assert named == list(ALL_LEDGERS), "an exception that nothing needs any more"
    assert {
        statement: told
        for statement, told in found.items()
        if told[1] and not any(part in statement for part in ALL_LEDGERS)
    } == {}


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT ledger_id, name, size FROM ledger WHERE name = %s FOR UPDATE",  # as the head was locked before
        "SELECT hash FROM event WHERE event_id = ANY(%s)",
        "SELECT e.hash FROM event e JOIN event_unit u ON u.leaf_index = e.leaf_index WHERE e.ledger_id = %s",
        "SELECT e.hash FROM event AS e, event_unit AS u WHERE e.ledger_id = %(ledger_id_1)s::BIGINT AND u.unit = %s",
        "SELECT unit FROM unit WHERE ledger_id = %s AND unit IN (SELECT unit FROM event_unit WHERE leaf_index = %s)",
        "UPDATE unit SET ledger_id = %s WHERE ledger_id = %s",
        "INSERT INTO event (hash) VALUES (%s)",
        "DELETE FROM access_token WHERE expires_ms < %s",
        "SELECT item, count(*) FROM unit WHERE ledger_id = %s GROUP BY ROLLUP (item)",
        (
            "WITH RECURSIVE up AS (SELECT unit FROM unit WHERE unit.ledger_id = %s UNION ALL SELECT child FROM containment c "
            "JOIN up ON up.unit = c.parent) SELECT unit FROM up"
        ),
    ],
)
def test_a_statement_that_would_leave_its_node_is_told(statement):
    """Control: the test above is red for each of these."""
    assert offences(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT ledger_id FROM ledger_name WHERE name = %s",
        "SELECT size FROM ledger WHERE ledger_id = %s FOR UPDATE",
        (
            "SELECT e.hash FROM event e LEFT JOIN event_outcome o ON o.ledger_id = e.ledger_id AND o.hash = e.hash "
            "WHERE e.ledger_id = %s AND (e.author, e.event_id) IN (SELECT * FROM unnest(%s::text[], %s::text[]))"
        ),
        (
            "INSERT INTO ledger_tile (ledger_id, level, n, bytes) VALUES (%s, %s, %s, %s) ON CONFLICT (ledger_id, level, n) "
            "DO UPDATE SET bytes = excluded.bytes"
        ),
        "SELECT number, unit, point FROM seal WHERE ledger_id = %s AND number = ANY(%s)",
    ],
)
def test_a_statement_that_stays_on_its_node_is_not(statement):
    assert offences(statement) == []
