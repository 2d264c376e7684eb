"""Replay a stored ledger: facts as of any size, and each leaf beside what the rules make of it now.

Reads leaves and documents through a reading session; the judging is `app.audit.replaying`, which intake's own
rules do. Nothing of the derived tables is looked at: what comes out follows from leaves and documents alone.
"""

from collections.abc import Iterator

from app.audit.replaying import Replayed, Replayer
from app.custody.state import Facts
from app.db import ReadSession, Session
from app.errors import TamperError
from app.ledger.append import Reader
from app.units import records as unit_records

LEAVES_PER_READ = 1000


def replay(
    session: ReadSession, ledger_id: int, until: int | None = None, *, signatures: bool = False
) -> Iterator[Replayed]:
    """Yield every leaf of a ledger with its rebuilt step, in order.

    Args:
        session: One snapshot.
        ledger_id: The ledger.
        until: A tree size to stop at; the whole ledger when absent.
        signatures: Verify every signature, too.

    Raises:
        TamperError: `leaf_missing`, the leaves are not contiguous from 0.
        ServiceError: As `Replayer.take`, from which replay cannot go on.
    """
    replayer = replayer_over(session, ledger_id, signatures=signatures)
    yield from _steps(replayer, session, ledger_id, until)


def replay_facts(session: ReadSession, ledger_id: int, *, until: int | None = None) -> Facts:
    """Return everything known as of a tree size, rebuilt from leaves: `Facts(complete=True)`.

    Args:
        session: One snapshot.
        ledger_id: The ledger.
        until: The tree size; the whole ledger when absent. A size beyond the ledger gives the whole.

    Raises:
        TamperError: The stored leaves cannot be replayed, or a leaf is not what the rules make of its event.
    """
    replayer = replayer_over(session, ledger_id)
    for replayed in _steps(replayer, session, ledger_id, until):
        if not replayed.same:
            raise TamperError(
                "A leaf is not what the rules make of its event; run `custody fsck`.",
                code="replay_differs",
                index=replayed.recorded.index,
                differences=list(replayed.differences),
            )
    return replayer.facts


def replayer_over(session: Session, ledger_id: int, *, signatures: bool = False) -> Replayer:
    """Return a replayer that reads its documents from the database."""
    return Replayer(lambda name: unit_records.read_document(session, ledger_id, name), signatures=signatures)


def _steps(replayer: Replayer, session: Session, ledger_id: int, until: int | None) -> Iterator[Replayed]:
    reader = Reader(ledger_id)
    while until is None or replayer.size < until:
        first = replayer.size
        end = first + LEAVES_PER_READ if until is None else min(until, first + LEAVES_PER_READ)
        rows = reader.leaves(session, first, end)
        if not rows:
            return
        for index, data, _ in rows:
            if index != replayer.size:
                raise TamperError("A leaf is missing.", code="leaf_missing", index=replayer.size)
            yield replayer.take(data)
