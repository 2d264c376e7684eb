"""The commitments' part of `custody fsck`: the tree over every unit's latest event, row by row."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Table

from app.audit.findings import Findings
from app.audit.fsck_tables import both_ways
from app.audit.heads import HeadsWatch
from app.audit.raw import Row, rows
from app.custody._tables import HEAD_COMMIT, HEAD_RECORD, HEAD_TILE
from app.db import ReadSession


def check_heads(session: ReadSession, findings: Findings, ledger_id: int, watch: HeadsWatch) -> None:
    """Check `head_record`, `head_tile` and `head_commit` against what the leaves give.

    Args:
        session: One snapshot, `lenient`.
        findings: Where damages go.
        ledger_id: The ledger.
        watch: Has seen every leaf.
    """
    heads, tiles = watch.tree.everything()
    records = {(h.unit,): (h.position, h.next) for h in heads.values()}
    _check(session, findings, ledger_id, HEAD_RECORD, ("unit",), ("position", "next"), records)
    _check(session, findings, ledger_id, HEAD_TILE, ("level", "n"), ("bytes",), {k: (v,) for k, v in tiles.items()})
    commits = {(index,): (size, n, root) for index, size, n, root in watch.commits}
    _check(session, findings, ledger_id, HEAD_COMMIT, ("leaf_index",), ("size", "n", "root"), commits)


def _check(
    session: ReadSession, findings: Findings, ledger_id: int, table: Table, key: tuple[str, ...],
    columns: tuple[str, ...], expected: Mapping[Any, Row],
) -> None:  # fmt: skip
    found: Iterable[tuple[Any, Row]] = (
        (row[: len(key)], tuple(bytes(v) if isinstance(v, memoryview | bytearray) else v for v in row[len(key) :]))
        for row in rows(session, findings, table, (*key, *columns), key, ledger_id)
    )
    both_ways(findings, table, columns, expected, found)
