"""A ledger that nobody touched has no finding, however many kinds of events it holds."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.audit.fsck import fsck
from app.audit.fsck_tables import CHECKED, EXEMPT, EXEMPT_COLUMNS
from app.db import Database, metadata
from tests.audit.journey import play
from tests.custody.town import Town
from tests.house import House


@pytest.fixture
def town(db, tmp_path: Path) -> Iterator[Town]:
    own = Town(db, tmp_path / "house").settle()
    yield own
    own.recorder._high_water.close()


def test_an_untouched_ledger_has_no_finding(town: Town):
    play(town)
    seen: dict[str, int] = {}
    report = fsck(
        town.db, high_water=town.settings.high_water_file(),
        progress=lambda name, done: seen.update({name: seen.get(name, 0) + done}),
    )  # fmt: skip
    assert [finding.as_json() for finding in report.findings] == []
    assert report.clean
    assert report.events == town.size() == seen["tree"] == seen["replay"]
    assert seen["records"] > 100
    assert report.as_json()["ledgers"][0]["size"] == town.size()


def test_every_table_is_checked_or_exempt_with_a_reason():
    assert set(metadata.tables) | {"alembic_version"} == CHECKED | EXEMPT.keys()
    assert not CHECKED & EXEMPT.keys()
    assert all(len(reason) > 10 for reason in (*EXEMPT.values(), *EXEMPT_COLUMNS.values()))


def test_an_empty_database_is_not_called_clean(db: Database):
    report = fsck(db)
    assert not report.clean
    assert report.findings.not_checked == ["There is no ledger in this database."]


def test_a_pinned_genesis_must_be_leaf_0(house: House):
    with house.db.read() as session:
        genesis = session.exec_driver_sql("SELECT genesis FROM ledger_state").scalar()
    assert fsck(house.db, genesis=genesis).clean
    (finding,) = fsck(house.db, genesis="A" * 43).findings
    assert (finding.where, finding.what, finding.leaf) == ("ledger_leaf[0]", "genesis", 0)
