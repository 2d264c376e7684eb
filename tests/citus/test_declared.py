"""What every table says of itself is what a spread database can keep."""

import pytest
from sqlalchemy import Column, ForeignKey, ForeignKeyConstraint, PrimaryKeyConstraint, Table, UniqueConstraint

import tests.citus.routing  # noqa: F401 - fills the metadata
from app.cli.citus import COLUMN, NotSpreadError, kind_of
from app.db import Int, MetaData, metadata

TABLES = sorted(metadata.tables.values(), key=lambda table: table.name)
DIRECTORY = {"ledger_name"}


def wrong(table: Table) -> list[str]:
    """Return what would keep a table from being distributed."""
    found: list[str] = []
    kind = kind_of(table)
    uniques = [c.columns.keys() for c in table.constraints if isinstance(c, UniqueConstraint)]
    uniques += [index.columns.keys() for index in table.indexes if index.unique]
    keys = [table.primary_key.columns.keys(), *uniques] if kind == COLUMN else []
    found += [f"a key without the ledger at its head: {key}" for key in keys if key[:1] != [COLUMN]]
    for foreign in (c for c in table.constraints if isinstance(c, ForeignKeyConstraint)):
        target = foreign.elements[0].column.table
        if foreign.column_keys[:1] != [COLUMN]:
            found.append(f"a foreign key without the ledger at its head: {foreign.column_keys}")
        if kind == "reference" and kind_of(target) == COLUMN:
            found.append(f"a reference table that refers to {target.name}")
    return found


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_table_says_how_it_is_kept_and_can_be_kept_so(table):
    assert wrong(table) == []
    assert kind_of(table) == ("reference" if table.name in DIRECTORY else COLUMN)
    assert not [column for column in table.columns if column.identity or column.autoincrement is True], (
        "numbers of a sequence"
    )


def test_a_table_that_cannot_be_kept_is_told():
    """Control: unique names as `ledger` had them, a key that begins with something else, and a reference upwards."""
    own = MetaData()
    Table("ledger", own, Column(COLUMN, Int, primary_key=True), info={"citus": COLUMN})
    bad = Table(
        "bad", own, Column("name", Int, unique=True), Column("owner", Int, ForeignKey("ledger.ledger_id")),
        Column(COLUMN, Int), PrimaryKeyConstraint("name", COLUMN), info={"citus": COLUMN},
    )  # fmt: skip
    assert len(wrong(bad)) == 3
    reference = Table(
        "some", own, Column(COLUMN, Int, ForeignKey("ledger.ledger_id"), primary_key=True), info={"citus": "reference"}
    )
    assert len(wrong(reference)) == 1
    with pytest.raises(NotSpreadError, match="does not say"):
        kind_of(Table("silent", own, Column("x", Int)))
