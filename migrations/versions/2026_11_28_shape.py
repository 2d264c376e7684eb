"""The shape of the tables: fewer bytes an event, leaves in ranges on PostgreSQL, a directory of ledgers.

Why: what nothing reads is not kept twice (`prev` of a link stands in its leaf, `size` alone names a checkpoint);
small tables that are read by key alone lie in their key on SQLite; the names of events are indexed by id first, which
grows with time, so that the index is written at its end. On PostgreSQL the leaves, half of all bytes, lie in ranges of
2^24 (ADR 22), and rows that change often leave room beside themselves. Names and origins of ledgers are unique in
`ledger_name`: on a spread database nothing is unique across ledgers but in such a table.

Leaves that are there stay as they are; new ones are packed (`app.ledger.packing`). Going back spells them out again.
"""

import json
import re
from collections.abc import Callable, Iterator

import sqlalchemy as sa
from alembic import op

from app.ledger.packing import unpack

INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
STR = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

IN_THEIR_KEY = ("event_outcome", "seal", "device", "head_commit", "ledger_cosignature", "ledger_witnessed")
"""Tables of small rows that are read by key alone; where there is another index, SQLite would choose worse plans."""
CHANGING = ("ledger", "unit", "device", "head_record")
"""Rows that change without moving in an index, if their page has room for the next version."""
RANGE = 1 << 24
"""Leaves in one range, of every ledger: some 20 GB."""
AHEAD = 1
LEAVES_AT_ONCE = 1000

revision = "2026_11_28_shape"
down_revision = "2026_11_24_witnessed"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the directory, then reshape."""
    op.create_table(
        "ledger_name",
        sa.Column("ledger_id", INT, autoincrement=False, nullable=False),
        sa.Column("name", STR, nullable=False),
        sa.Column("origin", STR, nullable=False),
        sa.PrimaryKeyConstraint("ledger_id", name=op.f("pk_ledger_name")),
        sa.UniqueConstraint("name", name=op.f("uq_ledger_name_name")),
        sa.UniqueConstraint("origin", name=op.f("uq_ledger_name_origin")),
        sa.UniqueConstraint("ledger_id", "name", "origin", name=op.f("uq_ledger_name_ledger_id_name_origin")),
        sqlite_strict=True,
    )
    op.execute("INSERT INTO ledger_name (ledger_id, name, origin) SELECT ledger_id, name, origin FROM ledger")
    if op.get_bind().dialect.name == "sqlite":
        _reshape_sqlite()
    else:
        _reshape_postgresql()


def downgrade() -> None:
    """Go back, every row kept; `prev` is read from the leaves again."""
    if op.get_bind().dialect.name == "sqlite":
        _restore_sqlite()
    else:
        _restore_postgresql()
    op.drop_table("ledger_name")


# -- SQLite --------------------------------------------------------------------------------------------

_NAMED = (
    "CONSTRAINT fk_ledger_ledger_id_name_origin FOREIGN KEY(ledger_id, name, origin) "
    "REFERENCES ledger_name (ledger_id, name, origin)"
)
_UNIQUE_NAMES = "CONSTRAINT uq_ledger_name UNIQUE (name), \n\tCONSTRAINT uq_ledger_origin UNIQUE (origin)"
_BY_AUTHOR = "CONSTRAINT uq_event_ledger_id_author_event_id_twin UNIQUE (ledger_id, author, event_id, twin)"
_BY_ID = "CONSTRAINT uq_event_ledger_id_event_id_author_twin UNIQUE (ledger_id, event_id, author, twin)"
_SIZE_AND_ROOT = ", \n\tCONSTRAINT uq_ledger_checkpoint_ledger_id_size_root UNIQUE (ledger_id, size, root)"
_LAST = "REFERENCES ledger (ledger_id)"


def _reshape_sqlite() -> None:
    _rebuild("ledger", (_UNIQUE_NAMES, _NAMED))
    _rebuild("ledger_checkpoint", (_SIZE_AND_ROOT, ""))
    _rebuild("event_unit", ("prev TEXT, \n\t", ""), without=("prev",))
    _rebuild("event", (_BY_AUTHOR, _BY_ID))
    for table in IN_THEIR_KEY:
        _rebuild(table, (" STRICT", " WITHOUT ROWID,\n STRICT"))


def _restore_sqlite() -> None:
    for table in IN_THEIR_KEY:
        _rebuild(table, (" WITHOUT ROWID,\n STRICT", " STRICT"))
    _rebuild("event", (_BY_ID, _BY_AUTHOR))
    _rebuild("ledger", (_NAMED, _UNIQUE_NAMES))
    _rebuild("ledger_checkpoint", (_LAST, _LAST + _SIZE_AND_ROOT))
    _rebuild("event_unit", ("seq INTEGER, \n\t", "seq INTEGER, \n\tprev TEXT, \n\t"), fill=_put_links_back)
    _rebuild("ledger_leaf", fill=_spell_leaves)


def _rebuild(
    table: str,
    *changes: tuple[str, str],
    without: tuple[str, ...] = (),
    fill: Callable[[sa.Connection, str], None] | None = None,
) -> None:
    """Make a table again under another definition, with its rows, indexes and triggers (SQLite's own way to do it).

    Nothing refers to these tables by row id, and foreign keys are not enforced on the connection of a migration.
    """
    bind = op.get_bind()
    known = "SELECT sql FROM sqlite_master WHERE tbl_name = ? AND type = ? AND sql IS NOT NULL"
    [definition] = bind.exec_driver_sql(known, (table, "table")).scalars()
    around = [sql for kind in ("index", "trigger") for sql in bind.exec_driver_sql(known, (table, kind)).scalars()]
    columns = [row[1] for row in bind.exec_driver_sql(f"PRAGMA table_info({table})") if row[1] not in without]
    for old, new in changes:
        if definition.count(old) != 1:
            raise RuntimeError(f"{table} is not as the revisions before made it: {old!r} is not in it once.")
        definition = definition.replace(old, new)
    bind.exec_driver_sql(re.sub(rf'^CREATE TABLE "?{table}"?', f"CREATE TABLE {table}_again", definition))
    names = ", ".join(f'"{name}"' for name in columns)
    bind.exec_driver_sql(f"INSERT INTO {table}_again ({names}) SELECT {names} FROM {table} ORDER BY {_key(table)}")
    if fill is not None:
        fill(bind, f"{table}_again")
    bind.exec_driver_sql(f"DROP TABLE {table}")
    bind.exec_driver_sql(f"ALTER TABLE {table}_again RENAME TO {table}")
    for sql in around:
        bind.exec_driver_sql(sql)


def _key(table: str) -> str:
    """Return the columns of the key, in order: rows go into the new table as they will lie in it."""
    rows = op.get_bind().exec_driver_sql(f"PRAGMA table_info({table})")
    return ", ".join(f'"{row[1]}"' for row in sorted(rows, key=lambda row: row[5]) if row[5])


# -- PostgreSQL ----------------------------------------------------------------------------------------


def _reshape_postgresql() -> None:
    op.execute("SET LOCAL statement_timeout = 0")
    op.drop_constraint("uq_ledger_name", "ledger")
    op.drop_constraint("uq_ledger_origin", "ledger")
    name = ["ledger_id", "name", "origin"]
    op.create_foreign_key(op.f("fk_ledger_ledger_id_name_origin"), "ledger", "ledger_name", name, name)
    op.drop_constraint("uq_ledger_checkpoint_ledger_id_size_root", "ledger_checkpoint")
    op.drop_column("event_unit", "prev")
    op.drop_constraint("uq_event_ledger_id_author_event_id_twin", "event")
    op.create_unique_constraint(
        op.f("uq_event_ledger_id_event_id_author_twin"), "event", ["ledger_id", "event_id", "author", "twin"]
    )
    for table in CHANGING:
        op.execute(f"ALTER TABLE {table} SET (fillfactor = 70)")
    for table in ("ledger_tile", "head_tile"):  # hashes do not compress: do not try at every write
        op.execute(f"ALTER TABLE {table} ALTER COLUMN bytes SET STORAGE EXTERNAL")
    _put_leaves_in_ranges()


RANGES = f"""
    CREATE FUNCTION custody_leaf_ranges(ahead integer) RETURNS integer LANGUAGE plpgsql AS $$
    DECLARE
        width CONSTANT bigint := {RANGE};
        newest bigint := (SELECT coalesce(max(size), 0) FROM ledger) / width;
        apart bigint := (SELECT coalesce(max(leaf_index), -1) FROM ledger_leaf_rest) / width;
        -- Where the ranges end that are there. Below nothing is made: the oldest, which was the whole table, holds
        -- whatever comes before it, and one that somebody took off and put away is not to come back empty.
        first bigint := (
            SELECT coalesce(max(substring(pg_get_expr(c.relpartbound, c.oid) FROM 'TO [(]''([0-9]+)''')::bigint), 0)
            FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'ledger_leaf'::regclass
        ) / width;
        made integer := 0;
        part text;
    BEGIN
        FOR n IN first .. newest + ahead LOOP
            part := 'ledger_leaf_' || n;
            -- Rows that lie in the rest already stay there, and so do the others of their range.
            CONTINUE WHEN to_regclass(part) IS NOT NULL OR n <= apart AND EXISTS (
                SELECT FROM ledger_leaf_rest WHERE leaf_index >= n * width AND leaf_index < (n + 1) * width);
            EXECUTE format('CREATE TABLE %I PARTITION OF ledger_leaf FOR VALUES FROM (%s) TO (%s)',
                part, n * width, (n + 1) * width);
            PERFORM custody_guard(part);
            made := made + 1;
        END LOOP;
        RETURN made;
    END $$
"""
"""Makes the ranges of leaves that are missing above those there are, up to `ahead` beyond the largest ledger; it has an
effect for the tables' owner alone."""

GUARD = """
    CREATE FUNCTION custody_guard(part text) RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
        IF EXISTS (SELECT FROM pg_trigger WHERE tgrelid = 'ledger_leaf'::regclass AND NOT tgisinternal) THEN
            EXECUTE format('CREATE TRIGGER %I BEFORE TRUNCATE ON %I FOR EACH STATEMENT '
                'EXECUTE FUNCTION custody_refuse()', part || '_whole', part);
            EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER %I', part, part || '_whole');
        END IF;
        EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON %I FROM CURRENT_USER', part);
    END $$
"""
"""Guards one range against truncation by its own name, where the whole is guarded so (not on Citus, which takes no
triggers); its row triggers are those of the whole."""


def _put_leaves_in_ranges() -> None:
    """Turn the table into one of ranges; what is there becomes the first of them, where it lies."""
    largest = op.get_bind().execute(sa.text("SELECT coalesce(max(leaf_index), 0) FROM ledger_leaf")).scalar_one()
    first = int(largest) // RANGE
    _unguard("ledger_leaf")
    op.execute(f"ALTER TABLE ledger_leaf RENAME TO ledger_leaf_{first}")
    op.execute(f"ALTER TABLE ledger_leaf_{first} RENAME CONSTRAINT pk_ledger_leaf TO pk_ledger_leaf_{first}")
    op.execute(f"ALTER TABLE ledger_leaf_{first} DROP CONSTRAINT fk_ledger_leaf_ledger_id")
    op.execute(f"CREATE TABLE ledger_leaf (LIKE ledger_leaf_{first}) PARTITION BY RANGE (leaf_index)")
    op.create_primary_key(op.f("pk_ledger_leaf"), "ledger_leaf", ["ledger_id", "leaf_index"])
    op.create_foreign_key(op.f("fk_ledger_leaf_ledger_id"), "ledger_leaf", "ledger", ["ledger_id"], ["ledger_id"])
    op.execute(
        f"ALTER TABLE ledger_leaf ATTACH PARTITION ledger_leaf_{first} "
        f"FOR VALUES FROM (MINVALUE) TO ({(first + 1) * RANGE})"
    )
    op.execute("CREATE TABLE ledger_leaf_rest PARTITION OF ledger_leaf DEFAULT")
    op.execute(GUARD)
    op.execute(RANGES)
    _guard("ledger_leaf")
    op.execute(f"SELECT custody_guard('ledger_leaf_{first}')")
    op.execute("SELECT custody_guard('ledger_leaf_rest')")
    op.execute(f"SELECT custody_leaf_ranges({AHEAD})")


def _guard(table: str) -> None:
    op.execute(
        f"CREATE TRIGGER {table}_keep BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION custody_refuse()"
    )
    op.execute(
        f"CREATE TRIGGER {table}_whole BEFORE TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION custody_refuse()"
    )
    for trigger in ("keep", "whole"):
        op.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_{trigger}")
    op.execute(f"REVOKE UPDATE, DELETE, TRUNCATE ON {table} FROM CURRENT_USER")


def _unguard(table: str) -> None:
    for trigger in ("keep", "whole"):
        op.execute(f"DROP TRIGGER {table}_{trigger} ON {table}")


def _restore_postgresql() -> None:
    op.execute("SET LOCAL statement_timeout = 0")
    bind = op.get_bind()
    op.execute("ALTER TABLE ledger_leaf RENAME TO ledger_leaf_ranges")
    op.execute("ALTER TABLE ledger_leaf_ranges RENAME CONSTRAINT pk_ledger_leaf TO pk_ledger_leaf_ranges")
    op.execute("CREATE TABLE ledger_leaf (LIKE ledger_leaf_ranges)")
    op.execute("INSERT INTO ledger_leaf SELECT * FROM ledger_leaf_ranges")
    _spell_leaves(bind, "ledger_leaf")
    op.drop_table("ledger_leaf_ranges")
    op.execute("DROP FUNCTION custody_leaf_ranges")
    op.execute("DROP FUNCTION custody_guard")
    op.create_primary_key(op.f("pk_ledger_leaf"), "ledger_leaf", ["ledger_id", "leaf_index"])
    op.create_foreign_key(op.f("fk_ledger_leaf_ledger_id"), "ledger_leaf", "ledger", ["ledger_id"], ["ledger_id"])
    _guard("ledger_leaf")
    for table in CHANGING:
        op.execute(f"ALTER TABLE {table} RESET (fillfactor)")
    for table in ("ledger_tile", "head_tile"):
        op.execute(f"ALTER TABLE {table} ALTER COLUMN bytes SET STORAGE EXTENDED")
    op.drop_constraint("uq_event_ledger_id_event_id_author_twin", "event")
    op.create_unique_constraint(
        op.f("uq_event_ledger_id_author_event_id_twin"), "event", ["ledger_id", "author", "event_id", "twin"]
    )
    op.add_column("event_unit", sa.Column("prev", STR, nullable=True))
    _unguard("event_unit")
    op.execute("GRANT UPDATE ON event_unit TO CURRENT_USER")
    _put_links_back(bind, "event_unit")
    _guard("event_unit")
    op.create_unique_constraint(
        op.f("uq_ledger_checkpoint_ledger_id_size_root"), "ledger_checkpoint", ["ledger_id", "size", "root"]
    )
    op.drop_constraint("fk_ledger_ledger_id_name_origin", "ledger")
    op.create_unique_constraint(op.f("uq_ledger_name"), "ledger", ["name"])
    op.create_unique_constraint(op.f("uq_ledger_origin"), "ledger", ["origin"])


# -- what both go back through -------------------------------------------------------------------------


def _leaves(bind: sa.Connection) -> Iterator[tuple[int, int, bytes]]:
    """Yield (ledger_id, leaf_index, leaf) of every leaf, a thousand at a time."""
    for ledger_id, size in bind.execute(sa.text("SELECT ledger_id, size FROM ledger")).all():
        for start in range(0, size, LEAVES_AT_ONCE):
            rows = bind.execute(
                sa.text(
                    "SELECT leaf_index, leaf FROM ledger_leaf "
                    "WHERE ledger_id = :ledger_id AND leaf_index >= :start AND leaf_index < :until"
                ),
                {"ledger_id": ledger_id, "start": start, "until": start + LEAVES_AT_ONCE},
            )
            yield from ((ledger_id, index, unpack(bytes(leaf))) for index, leaf in rows.all())


def _spell_leaves(bind: sa.Connection, table: str) -> None:
    """Write every leaf into a copy of the table as it was before leaves were packed."""
    change = sa.text(f"UPDATE {table} SET leaf = :leaf WHERE ledger_id = :ledger_id AND leaf_index = :index")
    for ledger_id, index, leaf in _leaves(bind):
        bind.execute(change, {"leaf": leaf, "ledger_id": ledger_id, "index": index})


def _put_links_back(bind: sa.Connection, table: str) -> None:
    """Write `prev` of every link, as its leaf says."""
    change = sa.text(
        f"UPDATE {table} SET prev = :prev WHERE ledger_id = :ledger_id AND unit = :unit AND leaf_index = :index"
    )
    for ledger_id, index, leaf in _leaves(bind):
        for link in json.loads(leaf)["links"]:
            bind.execute(change, {"prev": link["prev"], "ledger_id": ledger_id, "unit": link["unit"], "index": index})
