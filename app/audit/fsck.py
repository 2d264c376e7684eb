"""`custody fsck`: verify again everything that a leaf commits to or that follows from one, and locate damage.

In order: the database's own integrity; the tree (leaves, tiles, head, signed checkpoints); every leaf replayed
through the rules that let its event in, signatures included; every derived table in both directions;
documents and private contents against their hashes; the high-water mark outside the database.

It reads one snapshot and writes nothing. It does not stop at a damage, and never because of one. Where a leaf
is gone or unreadable, replay ends there; what follows from later leaves is then listed as not checked, since a
guess would blame rows that are sound.

What it cannot see, with no witness: a history that was rewritten from some leaf on, consistently and re-signed
with the ledger's key. Only a pinned genesis, the high-water mark, or somebody else's checkpoint shows that
(security reference, threat 2; `tests/audit/test_mutations.py` holds it as a negative control). It cannot see
that an older checkpoint's row is gone either, since which sizes were published is not on the ledger: the row
can be made again, byte for byte.
"""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import select

from app.audit import raw
from app.audit.ahead import AnyLeaf
from app.audit.findings import Findings
from app.audit.fsck_heads import check_heads
from app.audit.fsck_tables import (
    Expected,
    check_documents,
    check_events,
    check_outcomes,
    check_places,
    check_private,
    check_records,
    check_strays,
)  # fmt: skip
from app.audit.fsck_tree import Tree, check_tree
from app.audit.mark import Mark, check_high_water
from app.audit.replaying import MissingDocumentError, Replayed, Replayer
from app.canon import JsonValue, b64url_encode
from app.db import Database, ReadSession
from app.errors import ServiceError
from app.ledger._tables import LEAF, LEDGER
from app.ledger.packing import unpack
from app.units._tables import DOCUMENT
from app.units.documents import Policy, parse_document

LEAVES_PER_READ = 1000
Progress = Callable[[str, int], None]
"""Told the name of the work and how much of it was done since the last call."""


@dataclass(slots=True)
class Report:
    """What one run examined and found."""

    findings: Findings = field(default_factory=Findings)
    ledgers: list[dict[str, JsonValue]] = field(default_factory=list)
    events: int = 0
    seconds: float = 0.0

    @property
    def clean(self) -> bool:
        """Say whether nothing was found and everything was examined."""
        return not len(self.findings) and not self.findings.not_checked

    def as_json(self) -> dict[str, JsonValue]:
        """Return the report as JSON."""
        return {
            "clean": self.clean,
            "events": self.events,
            "milliseconds": round(self.seconds * 1000),
            "ledgers": list(self.ledgers),
            "findings": [finding.as_json() for finding in self.findings],
            "findings_dropped": self.findings.dropped,
            "not_checked": list(self.findings.not_checked),
        }


def fsck(
    db: Database,
    *,
    ledger: str = "",
    genesis: str | None = None,
    high_water: Path | None = None,
    more_marks: Collection[Path] = (),
    signatures: bool = True,
    progress: Progress = lambda _name, _done: None,
) -> Report:
    """Verify a database and report every damage with its place.

    Args:
        db: The database; read only.
        ledger: Name of the one ledger to examine; all of them when empty.
        genesis: The pinned hash of the genesis event.
        high_water: The file of the high-water mark; not looked at when absent.
        more_marks: The files of other ledgers in this database, when several are examined; each names its own.
        signatures: Verify every signature (the larger part of the time).
        progress: Told of the progress.
    """
    report, started = Report(), time.monotonic()
    marks = [Mark.read(path) for path in (*([high_water] if high_water is not None else []), *more_marks)]
    try:
        with db.read() as session:
            raw.lenient(session)
            try:
                examine(
                    session,
                    report,
                    ledger=ledger,
                    genesis=genesis,
                    marks=marks,
                    signatures=signatures,
                    progress=progress,
                )
            finally:
                raw.strict(session)
    except raw.UNREADABLE as error:
        report.findings.add("database", "?", "unreadable", f"The database cannot be read: {raw.said(error)}")
    report.seconds = time.monotonic() - started
    return report


def examine(
    session: ReadSession, report: Report, *, ledger: str = "", genesis: str | None = None,
    marks: Sequence[Mark] = (), signatures: bool = True, progress: Progress = lambda _name, _done: None,
) -> None:  # fmt: skip
    """Do what `fsck` does over one session."""
    _integrity(session, report.findings)
    known = _ledgers(session, report.findings)
    check_strays(session, report.findings, known)
    wanted = {ledger_id: name for ledger_id, name in known.items() if not ledger or name == ledger}
    for ledger_id in wanted:
        try:
            run = _Run(session, report, ledger_id, signatures=signatures, progress=progress)
            run.all(genesis, _mark_of(session, report.findings, ledger_id, marks, alone=len(wanted) == 1))
        except raw.UNREADABLE:
            raise
        except Exception as error:  # noqa: BLE001 - damage of a kind nobody thought of is still a finding
            report.findings.add(
                "ledger", ledger_id, "unreadable", f"The examination could not go on: {type(error).__name__}: {error}"
            )


def _mark_of(
    session: ReadSession, findings: Findings, ledger_id: int, marks: Sequence[Mark], *, alone: bool
) -> Mark | None:
    """Return the mark to compare a ledger with: the only one with the only ledger, else the one that names it."""
    if not marks or (alone and len(marks) == 1):
        return next(iter(marks), None)
    origin = session.execute(select(LEDGER.c.origin).where(LEDGER.c.ledger_id == ledger_id)).scalar()
    found = next((mark for mark in marks if mark.names(str(origin))), None)
    if found is None:
        findings.not_checked.append(
            f"The high-water mark of {origin}: examine it with its own settings, or name its file with --mark."
        )
    return found


def _integrity(session: ReadSession, findings: Findings) -> None:
    """Ask SQLite about its own file; PostgreSQL checks pages as it reads them."""
    if session.dialect.name != "sqlite":
        return
    try:
        for (said,) in session.exec_driver_sql("PRAGMA integrity_check(100)"):
            if said != "ok":
                findings.add("database", "integrity_check", "damaged", str(said))
        for table, row, parent, _ in session.exec_driver_sql("PRAGMA foreign_key_check"):
            findings.add(str(table), row or "?", "extra", f"The row belongs to no row of {parent}.", column="ledger_id")
    except raw.UNREADABLE as error:
        findings.add("database", "integrity_check", "unreadable", raw.said(error))


def _ledgers(session: ReadSession, findings: Findings) -> dict[int, str]:
    """Return the ledgers by id: those with a head row, or, when no head row is left, those that have leaves."""
    known = {int(row[0]): str(row[1]) for row in session.execute(select(LEDGER.c.ledger_id, LEDGER.c.name))}
    if not known:
        known = {row[0]: "" for row in session.execute(select(LEAF.c.ledger_id).distinct())}
    if not known:
        findings.not_checked.append("There is no ledger in this database.")
    return known


class _Run:
    """One ledger under examination."""

    def __init__(
        self, session: ReadSession, report: Report, ledger_id: int, *, signatures: bool, progress: Progress
    ) -> None:
        self.session = session
        self.report = report
        self.findings = report.findings
        self.ledger_id = ledger_id
        self._signatures = signatures
        self._progress = progress
        self._documents: set[str] = set()

    def all(self, genesis: str | None, mark: Mark | None) -> None:
        """Run every check of this ledger."""
        tree = check_tree(self.session, self.findings, self.ledger_id, lambda n: self._progress("tree", n))
        self._documents = check_documents(self.session, self.findings, self.ledger_id)
        replayer = Replayer(
            self._document, signatures=self._signatures, on_unproven=self._unproven if self._signatures else None
        )
        expected = Expected.over(replayer.facts)
        self._replay(tree, replayer, expected)
        self._check_tables(tree, replayer, expected)
        self._check_genesis(tree, genesis)
        if mark is not None:
            check_high_water(self.findings, tree, mark)
        self.report.events += replayer.size
        meta = replayer.facts.meta
        self.report.ledgers.append(
            {
                "ledger": tree.genesis.event.body.ledger if tree.genesis else None,
                "size": tree.size,
                "replayed": replayer.size,
                "root": b64url_encode(tree.root(tree.size)),
                "genesis": tree.genesis.event.hash if tree.genesis else None,
                "policy": meta.policy if meta else None,
            }
        )

    # -- replay --------------------------------------------------------------------------------------

    def _replay(self, tree: Tree, replayer: Replayer, expected: Expected) -> None:
        while replayer.size < tree.size:
            before = replayer.size
            for index, data in self._leaves(replayer.size, min(tree.size, replayer.size + LEAVES_PER_READ)):
                if index != replayer.size or index in tree.damaged or not self._take(replayer, expected, bytes(data)):
                    break
            self._progress("replay", replayer.size - before)
            if replayer.size == before or replayer.size in tree.damaged:
                break
        if replayer.size < tree.size:
            self._halted(replayer, tree)
            return
        for target in replayer.overdue_verdicts():
            self.findings.add(
                "ledger_leaf",
                tree.size,
                "verdict_missing",
                "The outcome of an event is due and was not written.",
                leaf=tree.size,
                found=target,
            )

    def _leaves(self, first: int, end: int) -> list[tuple[int, bytes]]:
        found = raw.rows(
            self.session, self.findings, LEAF, ("leaf_index", "leaf"), ("leaf_index",), self.ledger_id,
            " AND leaf_index >= ? AND leaf_index < ?", (first, end),
        )  # fmt: skip
        return [(row[0], unpack(bytes(row[1]))) for row in found]

    def _take(self, replayer: Replayer, expected: Expected, data: bytes) -> bool:
        """Replay one leaf and compare; False when replay cannot go on."""
        index = replayer.size
        try:
            replayed = replayer.take(data)
        except MissingDocumentError as error:
            self.findings.add("document", str(error.facts.get("document")), "missing",
                              "A document that the rules used is missing or damaged.", leaf=index)  # fmt: skip
            return False
        except ServiceError as error:
            self.findings.add("ledger_leaf", index, error.code, error.detail, column="leaf", leaf=index)
            return False
        for what in replayed.differences:
            self._differs(replayed, what)
        expected.take(replayed)
        return True

    def _differs(self, replayed: Replayed, what: str) -> None:
        recorded, judgement = replayed.recorded, replayed.step.judgement
        told, judged = recorded.verdict, judgement
        sentence = {
            "verdict": "The rules give this event another verdict than the leaf tells.",
            "links": "The leaf links other units, or other places in their chains, than the rules give.",
            "heads": "The commitment to every unit's latest event does not follow from the leaves.",
            "verdict_missing": "The outcome of an event was due in this leaf and is not there.",
        }.get(what, "The leaf is not what the rules make of its event.")
        values = (f"{judged.result} {judged.code}", f"{told.result} {told.code}") if what == "verdict" else (None, None)
        self.findings.add("ledger_leaf", recorded.index, what, sentence, column="leaf", leaf=recorded.index,
                          expected=values[0], found=values[1])  # fmt: skip

    def _unproven(self, recorded: AnyLeaf, error: ServiceError) -> None:
        self.findings.add("ledger_leaf", recorded.index, error.code, error.detail, column="leaf", leaf=recorded.index)

    def _halted(self, replayer: Replayer, tree: Tree) -> None:
        self.findings.not_checked.append(
            f"Replay ends before leaf {replayer.size} of {tree.size}: events from there on and all records that follow "
            "from them were not compared. Repair that place first (from a mirror or a device), then run again."
        )

    def _document(self, content_hash: str) -> bytes | None:
        if content_hash not in self._documents:
            return None
        found = raw.rows(
            self.session,
            self.findings,
            DOCUMENT,
            ("bytes",),
            ("hash",),
            self.ledger_id,
            " AND hash = ?",
            (content_hash,),
        )
        return next((bytes(row[0]) for row in found), None)

    # -- what follows from leaves --------------------------------------------------------------------

    def _check_tables(self, tree: Tree, replayer: Replayer, expected: Expected) -> None:
        session, findings, facts = self.session, self.findings, replayer.facts
        complete = replayer.size == tree.size
        check_events(session, findings, self.ledger_id, expected, tree.size)
        check_private(session, findings, self.ledger_id, expected.private, complete=complete)
        self._check_made(tree, replayer)
        self._check_signers(tree, replayer)
        if not complete:
            return
        check_heads(session, findings, self.ledger_id, replayer.heads)
        check_outcomes(session, findings, self.ledger_id, facts)
        check_records(session, findings, self.ledger_id, facts, lambda n: self._progress("records", n))
        policy = None
        if facts.meta is not None and facts.meta.policy is not None:
            data = self._document(facts.meta.policy)
            policy = parse_document(data) if data is not None else None
        if policy is None or isinstance(policy, Policy):
            check_places(session, findings, self.ledger_id, policy)

    def _check_made(self, tree: Tree, replayer: Replayer) -> None:
        """Check that each checkpoint was made with its last leaf."""
        for size, made in tree.made.items():
            if size <= replayer.size and made != replayer.received[size - 1]:
                self.findings.add(
                    "ledger_checkpoint",
                    size,
                    "differs",
                    "The checkpoint was made with its last leaf.",
                    column="made_ms",
                    expected=replayer.received[size - 1],
                    found=made,
                    values=True,
                )

    def _check_signers(self, tree: Tree, replayer: Replayer) -> None:
        """Check that each checkpoint carries the signature of every key that was in force."""
        for size, signers in tree.signers.items():
            missing = sorted(set(replayer.keys_at(size)) - signers) if size <= replayer.size else []
            if missing:
                self.findings.add(
                    "ledger_checkpoint", size, "signers", "A key that was in force has not signed this checkpoint.",
                    column="note", expected=missing[0],
                )  # fmt: skip

    def _check_genesis(self, tree: Tree, pinned: str | None) -> None:
        if pinned is None or (tree.genesis is not None and tree.genesis.event.hash == pinned):
            return
        self.findings.add(
            "ledger_leaf",
            0,
            "genesis",
            "The genesis is not the pinned one.",
            leaf=0,
            expected=pinned,
            found=tree.genesis.event.hash if tree.genesis else None,
        )
