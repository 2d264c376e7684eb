"""Sums for judging by the plan: what lies in a container, and what a polling station is bound to get and has got.

Why: packing and acceptance are judged against kit and capacity of the plan in force, and what that costs must not grow
with what was packed before. What the rows of units say now is summed once here. What had arrived at stations cannot be
told from them: a ledger on which goods had reached a station before this revision was never released, and `custody
fsck` says that its sums differ.
"""

import json
from collections import defaultdict
from collections.abc import Iterable

import sqlalchemy as sa
from alembic import op

INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
STR = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

revision = "2026_11_29_plans"
down_revision = "2026_11_29_desk"
branch_labels = None
depends_on = None

Lines = dict[str, int]
UNITS = (
    "SELECT ledger_id, unit, parent, item, contest, quantity, election, destination, lifecycle, condition, flag_since "
    "FROM unit"
)
FILLED = "SELECT DISTINCT ledger_id, parent FROM containment"


def _table(name: str, key: str, words: tuple[str, ...], sums: tuple[str, ...]) -> None:
    op.create_table(
        name,
        sa.Column("ledger_id", INT, nullable=False),
        sa.Column(key, STR, nullable=False),
        *(sa.Column(word, STR, nullable=False) for word in words),
        *(sa.Column(one, sa.Text(), nullable=False) for one in sums),
        sa.ForeignKeyConstraint(["ledger_id"], ["ledger.ledger_id"], name=op.f(f"fk_{name}_ledger_id")),
        sa.PrimaryKeyConstraint("ledger_id", key, name=op.f(f"pk_{name}")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
        info={"citus": "ledger_id"},
    )


def upgrade() -> None:
    """Add two tables and sum what the units say."""
    _table("stowage", "unit", (), ("lines",))
    _table("supply", "id", ("election", "place"), ("bound", "arrived"))
    units = op.get_bind().execute(sa.text(UNITS)).all()
    _stow(units)
    _supply(units)


def downgrade() -> None:
    """Drop them."""
    op.drop_table("supply")
    op.drop_table("stowage")


def _line(row: sa.Row[tuple[object, ...]]) -> str:
    return str(row.item) if row.contest is None else f"{row.item}/{row.contest}"


def _text(lines: Lines) -> str:
    return json.dumps(lines, sort_keys=True, separators=(",", ":"))


def _stow(units: Iterable[sa.Row[tuple[object, ...]]]) -> None:
    """Sum every container that ever had contents, at every depth; an emptied one has a row of nothing."""
    above = {(row.ledger_id, row.unit): row.parent for row in units}
    sums: dict[tuple[int, str], Lines] = {
        (ledger_id, parent): {} for ledger_id, parent in op.get_bind().execute(sa.text(FILLED))
    }
    for row in units:
        parent = row.parent
        while parent is not None:
            lines = sums.setdefault((row.ledger_id, parent), {})
            if row.quantity:
                lines[_line(row)] = lines.get(_line(row), 0) + row.quantity
            parent = above.get((row.ledger_id, parent))
    _insert(
        "INSERT INTO stowage (ledger_id, unit, lines) VALUES (:ledger_id, :unit, :lines)",
        [{"ledger_id": ledger, "unit": unit, "lines": _text(lines)} for (ledger, unit), lines in sums.items()],
    )


def _supply(units: Iterable[sa.Row[tuple[object, ...]]]) -> None:
    """Sum what is bound for each station: in good condition, neither void, destroyed nor missing."""
    bound: dict[tuple[int, str, str], Lines] = defaultdict(dict)
    for row in units:
        gone = row.lifecycle in {"voided", "destroyed"} or "missing" in json.loads(row.flag_since)
        if row.destination is None or gone or row.condition != "good" or not row.quantity:
            continue
        lines = bound[row.ledger_id, row.election, row.destination]
        lines[_line(row)] = lines.get(_line(row), 0) + row.quantity
    _insert(
        "INSERT INTO supply (ledger_id, id, election, place, bound, arrived) "
        "VALUES (:ledger_id, :id, :election, :place, :bound, '{}')",
        [
            {"ledger_id": ledger, "id": f"{election}/{place}", "election": election, "place": place, "bound": _text(of)}
            for (ledger, election, place), of in bound.items()
        ],
    )


def _insert(statement: str, rows: list[dict[str, object]]) -> None:
    if rows:
        op.get_bind().execute(sa.text(statement), rows)
