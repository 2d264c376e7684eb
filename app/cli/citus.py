"""Spread the tables of a PostgreSQL database over the nodes of a Citus cluster, each ledger whole on one of them.

What a table is stands with it, as `info={"citus": ...}`: `"ledger_id"` for what belongs to a ledger, `"reference"`
for what every node keeps whole. Without the extension `citus` in the database nothing here does anything (ADR 22,
docs/citus.md). What Citus refuses decides the order (performance reference, section 7.2):

- Tables with foreign keys between them cannot be distributed one after the other, so the keys come off first and go
  on again at the end, in the same transaction. Triggers are refused and come off for good: there the privileges guard
  what is insert-only, and the proofs do.
- The catalogue of what is distributed is read in a transaction of its own, before: within the one that distributes a
  table that would wait for ever. A lock timeout stands behind it.

What a crash leaves behind: everything as it was, since all of it is one transaction.
"""

from collections.abc import Sequence
from typing import Any, Literal, cast

import sqlalchemy as sa
from alembic.operations import Operations
from sqlalchemy import Connection, Table
from sqlalchemy.pool import NullPool

from app.db import metadata, normal_url
from app.errors import RefusedError

Kind = Literal["ledger_id", "reference"]
COLUMN = "ledger_id"
FIRST = "ledger"
"""The table that every other one's rows are kept beside."""
LOCK_TIMEOUT = "10s"


class NotSpreadError(RefusedError):
    """The tables could not be distributed; the text says why, and nothing has changed."""


def kind_of(table: Table) -> Kind:
    """Return how a table is kept on Citus.

    Raises:
        NotSpreadError: Its declaration does not say so: a mistake of ours, which a test finds.
    """
    told = table.info.get("citus")
    if told not in {COLUMN, "reference"}:
        raise NotSpreadError(f"The table {table.name} does not say how it is kept on Citus.")
    return cast("Kind", told)


def has_citus(connection: Connection) -> bool:
    """Say whether the extension is in this database."""
    if connection.dialect.name != "postgresql":
        return False
    return connection.exec_driver_sql("SELECT 1 FROM pg_extension WHERE extname = 'citus'").scalar() is not None


def distributed(connection: Connection) -> set[str]:
    """Return the tables that Citus keeps already; ask it in a transaction that distributes nothing."""
    rows = connection.exec_driver_sql("SELECT logicalrelid::regclass::text FROM pg_dist_partition")
    return {str(name).removeprefix("public.") for name in rows.scalars()}


def spread(url: str, *, with_rows: bool) -> list[str]:
    """Distribute every table that is not distributed yet; one ledger's rows lie on one node from then on.

    The tables must be declared by now: Alembic's environment, which runs before, imports all of them.

    Args:
        url: URL of the tables' owner on the coordinator.
        with_rows: Whether tables of a database with ledgers in it are to be moved, too, which locks all of them.

    Returns:
        The tables that were distributed; none without the extension, and none when all are.

    Raises:
        NotSpreadError: There are ledgers and nobody has asked for moving them, or the database cannot be spread.
    """
    engine = sa.create_engine(normal_url(url), poolclass=NullPool)
    with engine.connect() as connection:
        if not has_citus(connection):
            return []
        already = distributed(connection)
        missing = [table for table in _ordered() if table.name not in already]
        if missing and FIRST not in already and not with_rows and _has_ledgers(connection):
            raise NotSpreadError(
                "This database has the extension citus, and ledgers that are not distributed. Stop the service, then "
                "`custody migrate --distribute`; see docs/citus.md."
            )
        connection.rollback()
        if missing:
            with connection.begin():
                _spread(connection, missing)
    return [table.name for table in missing]


def create_table(
    op: Operations, name: str, *parts: sa.schema.SchemaItem, kind: Kind = "ledger_id", **options: Any
) -> None:
    """Create a table in a migration; on a database that is spread already it is distributed at once.

    Args:
        op: Alembic's operations.
        name: Name of the table.
        parts: Columns and constraints, foreign keys among them.
        kind: How it is kept on Citus, as the table's declaration says.
        options: As `op.create_table`.
    """
    bind = op.get_bind()
    if "custody.spread" not in bind.info:  # asked before anything is distributed on this connection, and never again
        bind.info["custody.spread"] = has_citus(bind) and FIRST in distributed(bind)
    if not bind.info["custody.spread"]:
        op.create_table(name, *parts, **options)
        return
    foreign = [part for part in parts if isinstance(part, sa.ForeignKeyConstraint)]
    op.create_table(name, *(part for part in parts if not isinstance(part, sa.ForeignKeyConstraint)), **options)
    _careful(bind)
    _distribute(bind, name, kind)
    for part in foreign:
        targets = [element.target_fullname.split(".") for element in part.elements]
        op.create_foreign_key(
            str(part.name), name, targets[0][0], list(part.column_keys), [column for _, column in targets]
        )


def _ordered() -> list[Table]:
    """Return every table: references first, then the one that the others are kept beside, then these."""
    rank = {"reference": 0, COLUMN: 2}
    return sorted(metadata.tables.values(), key=lambda t: (1 if t.name == FIRST else rank[kind_of(t)], t.name))


def _has_ledgers(connection: Connection) -> bool:
    return connection.exec_driver_sql("SELECT 1 FROM ledger_name LIMIT 1").scalar() is not None


def _careful(connection: Connection) -> None:
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
    connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
    connection.exec_driver_sql("SET LOCAL citus.multi_shard_modify_mode = 'sequential'")


def _spread(connection: Connection, tables: Sequence[Table]) -> None:
    _careful(connection)
    names = [table.name for table in tables]
    keys = connection.exec_driver_sql(
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE contype = 'f' AND conparentid = 0 AND conrelid::regclass::text = ANY(%s) ORDER BY 1, 2",
        (names,),
    ).all()
    for table, name, _ in keys:
        connection.exec_driver_sql(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
    _drop_triggers(connection, names)
    for table in tables:
        _distribute(connection, table.name, kind_of(table))
    for table, name, definition in keys:
        connection.exec_driver_sql(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}")


def _drop_triggers(connection: Connection, names: Sequence[str]) -> None:
    """Take the guards off, of the tables and of the ranges of leaves."""
    triggers = connection.exec_driver_sql(
        "SELECT tgrelid::regclass::text, tgname FROM pg_trigger WHERE NOT tgisinternal AND tgparentid = 0 AND "
        "coalesce((SELECT inhparent FROM pg_inherits WHERE inhrelid = tgrelid), tgrelid)::regclass::text = ANY(%s)",
        (list(names),),
    ).all()
    for table, name in triggers:
        connection.exec_driver_sql(f"DROP TRIGGER {name} ON {table}")


def _distribute(connection: Connection, name: str, kind: Kind) -> None:
    if kind == "reference":
        connection.exec_driver_sql("SELECT create_reference_table(%s)", (name,))
    elif name == FIRST:
        connection.exec_driver_sql("SELECT create_distributed_table(%s, %s)", (name, COLUMN))
    else:
        connection.exec_driver_sql(
            "SELECT create_distributed_table(%s, %s, colocate_with => %s)", (name, COLUMN, FIRST)
        )
