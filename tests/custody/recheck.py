"""Look the whole ledger over: tree, chains, and every derived row, each rebuilt from the leaves alone.

`app.audit.fsck` does this for operators; tests use this shorter text beside it, so that a fault of one is
seen by the other. It returns findings in words; none is a clean ledger.
"""

from dataclasses import asdict
from typing import Any

from app.audit.replay import replayer_over
from app.custody import _store
from app.custody.record import Recorder
from app.custody.state import KEY_OF, Discrepancy, EventRef, Facts, Handover, Meta, Shard, Tally, Waiting
from app.db import ReadSession
from app.errors import ServiceError
from app.keys import records as key_records
from app.keys.state import Device, Key
from app.ledger.append import Reader
from app.ledger.checkpoint import open_checkpoint
from app.ledger.tree import leaf_hash
from app.units import records as unit_records
from app.units.state import Unit
from tests.ledger.oracle import Tree

OWN_TABLES: dict[type, Any] = {
    Meta: _store.METAS, Handover: _store.HANDOVERS, Waiting: _store.WAITINGS, Discrepancy: _store.DISCREPANCIES,
    Tally: _store.TALLIES, Shard: _store.SHARDS,
}  # fmt: skip


def recheck(recorder: Recorder, *, signatures: bool = False) -> list[str]:
    """Return what is wrong with a recorder's ledger; nothing when all is well."""
    ledger_id = recorder.ledger_id
    with recorder.db.read() as session:
        rows = Reader(ledger_id).leaves(session, 0, 1 << 30)
        return [*_tree(session, recorder, rows), *_replay(session, ledger_id, rows, signatures=signatures)]


def _tree(session: ReadSession, recorder: Recorder, rows: list[tuple[int, bytes, bytes]]) -> list[str]:
    ledger_id = recorder.ledger_id
    found = []
    if [index for index, _, _ in rows] != list(range(len(rows))):
        found.append("leaves are not contiguous")
    found += [f"leaf {index}: hash is not its bytes'" for index, data, stored in rows if leaf_hash(data) != stored]
    try:
        head = recorder.head(session)
    except ServiceError as error:
        return [*found, f"head: {error.code}"]
    root = Tree([data for _, data, _ in rows]).mth(0, len(rows))
    if (head.size, head.root) != (len(rows), root):
        found.append("the head is not the tree of the leaves")
    last = Reader(ledger_id).last_checkpoint(session)
    if last is None or last[0] != len(rows):
        found.append("no checkpoint of the present size")
    else:
        verifier = recorder._keys.ledger.verifier()
        if open_checkpoint(last[1], [verifier], recorder.origin).root != root:
            found.append("the checkpoint signs another root")
    stored = Reader(ledger_id).nodes(session).root(len(rows))
    if stored != root:
        found.append("the tiles are not the tree of the leaves")
    return found


def _replay(
    session: ReadSession, ledger_id: int, rows: list[tuple[int, bytes, bytes]], *, signatures: bool
) -> list[str]:
    found: list[str] = []
    replayer = replayer_over(session, ledger_id, signatures=signatures)
    chains: dict[str, tuple[int, str]] = {}
    links: list[tuple[str, int, int, str]] = []
    for index, data, _ in rows:
        try:
            replayed = replayer.take(data)
        except ServiceError as error:
            return [*found, f"leaf {index}: cannot be replayed: {error.code}"]
        found += [f"leaf {index}: {difference} differs in replay" for difference in replayed.differences]
        for link in replayed.recorded.links:
            seq, head = chains.get(link.unit, (0, "A" * 43))
            if (link.seq, link.prev) != (seq + 1, head):
                found.append(f"leaf {index}: chain of {link.unit} is broken")
            chains[link.unit] = (link.seq, replayed.recorded.hash)
            links.append((link.unit, index, link.seq, link.prev))
    found += [f"verdict of {target} is missing" for target in replayer.overdue_verdicts()]
    found += _records(session, ledger_id, replayer.facts)
    found += _chains(session, ledger_id, chains, links)
    return found + _containment(replayer.facts)


def _records(session: ReadSession, ledger_id: int, facts: Facts) -> list[str]:
    """Compare every table of records with the facts that replay gave, row by row and field by field."""
    found = []
    tables = {kind: list(table.everything(session, ledger_id)) for kind, table in OWN_TABLES.items()}
    tables |= {kind: list(unit_records.everything(session, ledger_id, kind)) for kind in unit_records.KINDS}
    tables[Key] = list(key_records.all_keys(session, ledger_id))
    tables[Device] = list(key_records.all_devices(session, ledger_id))
    indexes = list(range(len(facts.kinds[EventRef])))
    tables[EventRef] = _store.refs(session, ledger_id, "leaf_index", indexes)
    for kind, stored in tables.items():
        field = KEY_OF[kind]
        there = {getattr(row, field): row for row in stored}
        wanted = {key: row for key, row in facts.kinds[kind].items() if row is not None}
        found += [
            f"{kind.__name__} {key}: {'not in the leaves' if key in there else 'row is missing'}"
            for key in sorted(there.keys() ^ wanted.keys())
        ]
        found += [
            f"{kind.__name__} {key}: {_difference(there[key], wanted[key])}"
            for key in sorted(there.keys() & wanted.keys())
            if _plain(there[key]) != _plain(wanted[key])
        ]
    return found


def _plain(record: Any) -> dict[str, Any]:
    return {name: _tupled(value) for name, value in asdict(record).items()}


def _tupled(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return tuple(_tupled(item) for item in value)
    if isinstance(value, dict):
        return {name: _tupled(item) for name, item in value.items()}
    return value


def _difference(stored: Any, wanted: Any) -> str:
    a, b = _plain(stored), _plain(wanted)
    return ", ".join(f"{name} is {a[name]!r}, leaves say {b[name]!r}" for name in a if a[name] != b[name])


def _chains(
    session: ReadSession, ledger_id: int, chains: dict[str, tuple[int, str]], links: list[tuple[str, int, int, str]]
) -> list[str]:
    found = [
        f"unit {unit.unit}: head is not its last leaf"
        for unit in unit_records.everything(session, ledger_id, Unit)
        if chains.get(unit.unit) != (unit.seq, unit.head)
    ]
    sql = f"SELECT unit, leaf_index, seq FROM event_unit WHERE ledger_id = {int(ledger_id)} AND seq IS NOT NULL"
    stored = {tuple(row) for row in session.exec_driver_sql(sql)}
    told = {link[:3] for link in links}
    if stored != told:
        found.append(f"event_unit differs from the leaves' links: {sorted(stored ^ told)[:3]}")
    return found


def _containment(facts: Facts) -> list[str]:
    """Every child's parent exists, counts it, and no path of parents comes back to where it began."""
    units: dict[str, Unit] = facts.kinds[Unit]
    found, children = [], dict.fromkeys(units, 0)
    for unit in units.values():
        node, steps = unit, 0
        if unit.parent is not None:
            children[unit.parent] += 1
        while node.parent is not None and steps <= len(units):
            node, steps = units[node.parent], steps + 1
        if steps > len(units):
            found.append(f"unit {unit.unit}: lies in itself")
        if unit.quantity < 0:
            found.append(f"unit {unit.unit}: below zero")
    found += [f"unit {n}: counts {units[n].children} children" for n, c in children.items() if units[n].children != c]
    return found
