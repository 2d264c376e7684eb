"""The derived tables' part of `custody fsck`: record by record against what the leaves give, both ways.

`CHECKED` and `EXEMPT` together name every table there is; a test fails when one is in neither. A table is
exempt when nothing in it is committed to by a leaf or follows from one.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import Table

from app.audit.findings import Findings
from app.audit.raw import Row, compare_row, rows, stored
from app.audit.replaying import Replayed
from app.canon import b64url_encode, sha256
from app.custody._tables import (
    DISCREPANCY,
    EVENT,
    EVENT_UNIT,
    GAP,
    HANDOVER,
    INCIDENT,
    INSPECTION,
    META,
    OUTCOME,
    PRIVATE,
    SHARD,
    TALLY,
    WAITING,
)  # fmt: skip
from app.custody.state import (
    Discrepancy,
    EventRef,
    Facts,
    Gap,
    Handover,
    Incident,
    Inspection,
    Meta,
    Shard,
    Tally,
    Waiting,
)
from app.db import ReadSession, encode_json, metadata
from app.errors import ServiceError
from app.ids import is_unit_id
from app.keys._tables import DEVICE, KEY
from app.keys.state import Device, Key
from app.units._tables import ALIAS, CONTAINMENT, DOCUMENT, LABEL, PLACE, SEAL, STOWAGE, SUPPLY, UNIT
from app.units.documents import Policy, document_hash, parse_document
from app.units.state import Alias, Containment, Label, Seal, Stowage, Supply, Unit

RECORDS: tuple[tuple[Table, type, str], ...] = (
    (META, Meta, "id"), (KEY, Key, "kid"), (DEVICE, Device, "kid"), (UNIT, Unit, "unit"), (LABEL, Label, "label"),
    (ALIAS, Alias, "code"), (SEAL, Seal, "number"), (CONTAINMENT, Containment, "id"), (HANDOVER, Handover, "release"),
    (WAITING, Waiting, "hash"), (DISCREPANCY, Discrepancy, "id"), (TALLY, Tally, "id"), (SHARD, Shard, "origin"),
    (GAP, Gap, "id"), (INCIDENT, Incident, "id"), (INSPECTION, Inspection, "id"),
    (STOWAGE, Stowage, "unit"), (SUPPLY, Supply, "id"),
)  # fmt: skip
"""Tables that keep one frozen record a row, as the walk makes it."""

CHECKED = frozenset({
    "ledger", "ledger_leaf", "ledger_tile", "ledger_checkpoint", "event", "event_outcome", "event_unit", "place",
    "document", "private_content", "head_record", "head_tile", "head_commit", *(table.name for table, _, _ in RECORDS),
})  # fmt: skip
EXEMPT: Mapping[str, str] = {
    "access_token": "sessions of callers; hashed, short-lived, not evidence",
    "client_assertion": "used-up assertions of callers, against their replay",
    "api_client": "credentials of other systems, not evidence",
    "enrolment": "invitations; the enrolment itself is a leaf",
    "officer_name": "names of people, erasable by law, never on the ledger",
    "alembic_version": "which migrations ran",
    "ledger_name": "the directory of ledgers; a foreign key, which is checked, holds it to `ledger`",
    "ledger_cosignature": "signatures of witnesses, verified by whoever uses them",
    "ledger_witnessed": "which checkpoints met the policy of their day; verified again when they are used",
    "ledger_alarm": "what was said to us from outside; it proves itself or nothing",
    "ledger_stamp": "tokens of other clocks, verified by whoever uses them",
}
EXEMPT_COLUMNS: Mapping[str, str] = {
    "ledger.epoch": "fences off a second writer; says nothing of the past",
    "ledger.frozen": "the operator's word that nothing is written now; says nothing of the past",
}

EVENT_COLUMNS = (
    "hash",
    "leaf_index",
    "event_id",
    "author",
    "officer",
    "agency",
    "type",
    "election",
    "place",
    "at_ms",
    "received_ms",
    "result",
    "code",
    "twin",
)


@dataclass(slots=True)
class Expected:
    """What replay gives, as far as it came."""

    facts: Facts
    events: list[tuple[str, str | None]]
    event_units: dict[tuple[str, int], tuple[int | None]]
    private: dict[tuple[str, str], str]
    documents: set[str]

    @classmethod
    def over(cls, facts: Facts) -> "Expected":
        """Start with nothing replayed."""
        return cls(facts, [], {}, {}, set())

    def take(self, replayed: Replayed) -> None:
        """Note the rows that one leaf gives: its event, its units, and the commitments it made."""
        step, event = replayed.step, replayed.recorded.event
        judgement = step.judgement
        plain = judgement.result == "accepted" and not judgement.detail
        problem = None if plain else encode_json({"detail": judgement.detail, "facts": judgement.facts})
        self.events.append((event.hash, problem))
        links = {link.unit: link for link in replayed.recorded.links}
        for unit in step.subjects:
            link = links.get(unit)
            key = (unit, step.leaf.index)
            self.event_units[key] = (link.seq if link else None,)
        for name, committed in event.body.private.items():
            self.private[(event.hash, name)] = committed


# -- events --------------------------------------------------------------------------------------------


def check_events(session: ReadSession, findings: Findings, ledger_id: int, expected: Expected, size: int) -> None:
    """Check `event`, `event_unit` and `event_outcome` up to the leaf that replay reached.

    Args:
        session: One snapshot, `lenient`.
        findings: Where damages go.
        ledger_id: The ledger.
        expected: What replay gave.
        size: How many leaves the ledger has; rows past what was replayed but below it are not judged.
    """
    _check_event_rows(session, findings, ledger_id, expected, size)
    reached = len(expected.events)
    found = (
        (row[:2], row[2:])
        for row in rows(session, findings, EVENT_UNIT, ("unit", "leaf_index", "seq"), ("unit", "leaf_index"), ledger_id)
        if not reached <= row[1] < size
    )
    both_ways(findings, EVENT_UNIT, ("seq",), expected.event_units, found, leaf_of=lambda key, _: key[1])


def check_outcomes(session: ReadSession, findings: Findings, ledger_id: int, facts: Facts) -> None:
    """Check what became of pending, held and retracted events."""
    columns = ("outcome", "outcome_index", "retracted_index")
    decided = {
        (ref.hash,): stored(OUTCOME, columns, ref)
        for ref in facts.kinds[EventRef].values()
        if ref.outcome_index is not None or ref.retracted_index is not None
    }
    found = ((row[:1], row[1:]) for row in rows(session, findings, OUTCOME, ("hash", *columns), ("hash",), ledger_id))
    both_ways(findings, OUTCOME, columns, decided, found)


def _check_event_rows(session: ReadSession, findings: Findings, ledger_id: int, expected: Expected, size: int) -> None:
    columns, reached = (*EVENT_COLUMNS, "problem"), len(expected.events)
    seen: set[int] = set()
    for row in rows(session, findings, EVENT, columns, ("leaf_index",), ledger_id):
        index = row[1]
        if reached <= index < size:
            continue
        if not 0 <= index < reached or index in seen:
            findings.add("event", index, "extra", "No leaf gives this row.", leaf=index, found=row[0])
            continue
        seen.add(index)
        event_hash, problem = expected.events[index]
        ref: EventRef = expected.facts.get(EventRef, event_hash)
        compare_row(findings, EVENT, index, columns, (*stored(EVENT, EVENT_COLUMNS, ref), problem), row, index)
    for index in range(reached):
        if index not in seen:
            findings.add("event", index, "missing", "The row of this leaf's event is missing.",
                         leaf=index, expected=expected.events[index][0])  # fmt: skip


# -- records -------------------------------------------------------------------------------------------


def check_records(
    session: ReadSession, findings: Findings, ledger_id: int, facts: Facts, tick: Callable[[int], None]
) -> None:
    """Check every table that keeps one record a row, in both directions."""
    for table, kind, key in RECORDS:
        names = [field.name for field in fields(kind)]
        columns = (key, *(name for name in names if name != key))
        wanted = {(name,): record for name, record in facts.kinds[kind].items() if record is not None}
        _check_record_table(session, findings, ledger_id, table, columns, wanted)
        tick(len(wanted))


def _check_record_table(
    session: ReadSession,
    findings: Findings,
    ledger_id: int,
    table: Table,
    columns: tuple[str, ...],
    wanted: dict[tuple[str], Any],
) -> None:
    expected = _Stored(table, columns[1:], wanted)
    found = ((row[:1], row[1:]) for row in rows(session, findings, table, columns, columns[:1], ledger_id))
    both_ways(
        findings, table, columns[1:], expected, found, leaf_of=lambda _, record: getattr(record, "leaf_index", None)
    )


class _Stored(Mapping[Any, Row]):
    """Records as rows, made one at a time."""

    def __init__(self, table: Table, columns: tuple[str, ...], records: Mapping[Any, object]) -> None:
        self.records = records
        self._table = table
        self._columns = columns

    def __getitem__(self, key: Any) -> Row:
        return stored(self._table, self._columns, self.records[key])

    def __iter__(self) -> Iterator[Any]:
        return iter(self.records)

    def __len__(self) -> int:
        return len(self.records)


def both_ways(
    findings: Findings,
    table: Table,
    columns: tuple[str, ...],
    expected: Mapping[Any, Row],
    found: Iterable[tuple[Any, Row]],
    leaf_of: Callable[[Any, Any], int | None] = lambda _key, _record: None,
) -> None:
    """Compare rows by key: what differs, what is there too much, what is missing."""
    records = expected.records if isinstance(expected, _Stored) else expected
    seen: set[Any] = set()
    for key, row in found:
        if key not in expected or key in seen:
            findings.add(table.name, key, "extra", "No leaf gives this row.", found=sha256(repr(row).encode()))
            continue
        seen.add(key)
        compare_row(findings, table, key, columns, expected[key], row, leaf_of(key, records[key]))
    for key in expected:
        if key not in seen:
            findings.add(table.name, key, "missing", "The leaves give this row.", leaf=leaf_of(key, records[key]),
                         expected=sha256(repr(expected[key]).encode()))  # fmt: skip


# -- documents, places, private contents ---------------------------------------------------------------


def check_documents(session: ReadSession, findings: Findings, ledger_id: int) -> set[str]:
    """Check every document against its hash and its kind; return the hashes of those that are sound."""
    sound = set()
    for content_hash, kind, data in rows(session, findings, DOCUMENT, ("hash", "kind", "bytes"), ("hash",), ledger_id):
        found = document_hash(bytes(data))
        if found != content_hash:
            findings.add("document", content_hash, "differs", "The document is not the one of its hash.",
                         column="bytes", expected=content_hash, found=found)  # fmt: skip
            continue
        sound.add(content_hash)
        if kind != document_kind(bytes(data)):
            findings.add("document", content_hash, "differs", "The document is of another kind.",
                         column="kind", expected=document_kind(bytes(data)), found=kind)  # fmt: skip
    return sound


def document_kind(data: bytes) -> str:
    """Say what a document is: `policy`, `plan`, or `ids` for a list of unit ids."""
    try:
        return parse_document(data).kind
    except ServiceError:
        pass
    lines = data.decode("ascii", "replace").split("\n")
    return "ids" if lines[-1] == "" and all(map(is_unit_id, lines[:-1])) else "unknown"


def check_places(session: ReadSession, findings: Findings, ledger_id: int, policy: Policy | None) -> None:
    """Check the index over places against the policy in force."""
    columns = ("name", "kind", "parent", "zone", "region", "registered", "path")
    expected = (
        {
            (p.id,): (
                p.name,
                p.kind,
                p.parent,
                p.zone,
                p.region,
                p.registered,
                "/".join(reversed(list(policy.ancestry(p.id)))) + "/",
            )
            for p in policy.places
        }
        if policy is not None
        else {}
    )
    found = ((row[:1], row[1:]) for row in rows(session, findings, PLACE, ("place", *columns), ("place",), ledger_id))
    both_ways(findings, PLACE, columns, expected, found)


def check_private(
    session: ReadSession,
    findings: Findings,
    ledger_id: int,
    committed: Mapping[tuple[str, str], str],
    *,
    complete: bool,
) -> None:
    """Check that private contents open their commitments; they may be absent, since they are erasable."""
    for event, name, salt, body in rows(
        session, findings, PRIVATE, ("event", "name", "salt", "body"), ("event", "name"), ledger_id
    ):
        want, have = committed.get((event, name)), b64url_encode(sha256(bytes(salt) + bytes(body)))
        if want is None and not complete:
            continue
        if want is None:
            findings.add("private_content", (event, name), "extra", "No event commits to this content.", found=have)
        elif want != have or len(salt) != 32:
            findings.add("private_content", (event, name), "differs", "Salt and body do not open the commitment.",
                         column="body", expected=want, found=have)  # fmt: skip


def check_strays(session: ReadSession, findings: Findings, known: Iterable[int]) -> None:
    """Find rows of ledgers that there are not."""
    listed = ", ".join(map(str, sorted(known))) or "-1"
    for name in sorted(CHECKED - {"ledger"}):
        if name not in metadata.tables:
            continue
        sql = f"SELECT ledger_id, COUNT(*) FROM {name} WHERE ledger_id NOT IN ({listed}) GROUP BY ledger_id"
        for ledger_id, count in session.exec_driver_sql(sql):
            findings.add(
                name, ledger_id, "extra", f"{count} rows belong to a ledger that is not here.", column="ledger_id"
            )
