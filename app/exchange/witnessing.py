"""Rounds over the witnesses: ask for cosignatures, notice what contradicts us, and freeze on a fork.

Every few seconds each witness of the policy is asked about the newest checkpoint; an idle ledger is cosigned anew
from time to time, so that its cosignatures stay fresh. A witness that is down costs a second and nothing else; one
that has not answered when the round ends is left to itself, and asked again when it has.

What a contradiction does (ADR 17): an inconsistent or larger tree that our own key signed is a proof of a fork or of
a rollback, and freezes the ledger at once. A refusal alone is a claim: it raises an alarm, and freezes the ledger
when those who claim it would be a quorum. So no single witness can stop an election, and none can be ignored.

Nothing is read from the database while a witness is waited for: what it showed is compared afterwards with the tree
as it stands by then, on the writer's side. Compared with an older view, our own growth would look like a rollback.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

import structlog

from app.db import Database, Session
from app.errors import ServiceError, TamperError, UnprovenError
from app.exchange.witnesses import Answer, Contradicted, Cosigned, Stale, Unavailable, ask, client, seen_last
from app.ledger import freezing, witnessed
from app.ledger.append import Reader
from app.ledger.checkpoint import Checkpoint
from app.ledger.note import Note, VerifierKey
from app.ledger.policy import TrustPolicy, Witness
from app.ledger.submission import Submission
from app.ledger.tree import consistency_path

log = structlog.get_logger(__name__)
T = TypeVar("T")

MAX_TRIES = 3
ROUND_TIMEOUTS = 5
"""How many timeouts of one step a round lasts at most: a witness may answer byte by byte, for hours."""
MAX_CLAIM_BYTES = 4096
Kind = Literal["fork", "rollback", "claim"]
Seen = tuple[Checkpoint, bytes]


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A witness has seen what this ledger does not hold; `body` is the evidence, `proven` when our key signed it."""

    witness: Witness
    kind: Kind
    detail: str
    body: bytes

    @property
    def proven(self) -> bool:
        """Say whether it convinces anybody who has the ledger's key."""
        return self.kind != "claim"


@dataclass(slots=True)
class Round:
    """What one round brought: how many cosignatures, whom it could not reach and why, what contradicts us."""

    size: int
    cosigned: int = 0
    unavailable: dict[str, str] = field(default_factory=dict)
    contradictions: list[Contradiction] = field(default_factory=list)


class Desk(Generic[T]):
    """Asks many witnesses at once, each in a thread of its own, and waits for them all together only so long."""

    def __init__(self, witnesses: Sequence[Witness], seconds: float) -> None:
        """Take whom may be asked, and how long to wait for all of them."""
        self._pool = ThreadPoolExecutor(max(1, len(witnesses)), "witness")
        self._seconds = seconds
        self._under_way: dict[str, Future[T]] = {}

    def ask(self, witnesses: Sequence[Witness], question: Callable[[Witness], T]) -> Iterator[tuple[Witness, T | None]]:
        """Ask each witness; None for one that has not answered in time, or still answers an earlier question."""
        busy = {name for name, future in self._under_way.items() if not future.done()}
        asked = {w.name: self._pool.submit(question, w) for w in witnesses if w.name not in busy}
        self._under_way |= asked
        wait(asked.values(), timeout=self._seconds)
        for witness in witnesses:
            future = asked.get(witness.name)
            yield witness, future.result() if future is not None and future.done() else None

    def close(self) -> None:
        """Take no more questions; whoever is still waited for is let go of."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class Witnessing:
    """The witnesses of one ledger."""

    def __init__(
        self, db: Database, ledger_id: int, origin: str, policy: TrustPolicy, *, timeout_seconds: float = 1.0,
        recosign_seconds: int = 600,
    ) -> None:  # fmt: skip
        """Prepare; nothing is asked yet.

        Args:
            db: The ledger's database.
            ledger_id: The ledger.
            origin: Its origin.
            policy: Whose witnesses are asked, and how many cosignatures are enough.
            timeout_seconds: Longest wait for one step of an exchange; a round lasts five of them at most.
            recosign_seconds: Age at which the cosignature of an unchanged ledger is asked for anew.
        """
        self.policy = policy
        self._db, self._ledger_id, self._origin = db, ledger_id, origin
        self._recosign = recosign_seconds
        self._reader = Reader(ledger_id)
        self._http = client(timeout_seconds)
        seconds = ROUND_TIMEOUTS * timeout_seconds
        self._asking: Desk[tuple[Answer, Seen | None]] = Desk(self.reachable, seconds)
        self._looking: Desk[tuple[Answer | None, Seen | None]] = Desk(self.reachable, seconds)
        self._claims: dict[str, Contradiction] = {}

    def close(self) -> None:
        """End what is under way; connections are cut."""
        self._asking.close()
        self._looking.close()
        self._http.close()

    @property
    def reachable(self) -> list[Witness]:
        """The witnesses that can be asked; others pull."""
        return [witness for witness in self.policy.witnesses if witness.url]

    # -- a round -------------------------------------------------------------------------------------

    def round(self, now_ms: int, keys: list[VerifierKey]) -> Round | None:
        """Ask every witness that has not cosigned the newest checkpoint, or not for long.

        Args:
            now_ms: UTC milliseconds.
            keys: The ledger's keys in force, to know our own signature by.

        Returns:
            None when nobody had to be asked.
        """
        with self._db.read() as session:
            last = self._reader.last_checkpoint(session)
            progress = witnessed.progress(session, self._ledger_id)
        if last is None:
            return None
        size, note = last[0], last[1]
        due = [w for w in self.reachable if self._is_due(progress, w, size, now_ms)]
        if not due:
            return None
        brought = Round(size)
        for witness, told in self._asking.ask(due, lambda w: self._exchange(w, size, note, progress, keys)):
            self._take(brought, witness, told, now_ms)
        self._judge(brought.contradictions, now_ms)
        return brought

    def _is_due(self, progress: dict[str, witnessed.Progress], witness: Witness, size: int, now_ms: int) -> bool:
        known = progress.get(witnessed.key_text(witness.key))
        return known is None or known.size < size or known.at_s + self._recosign <= now_ms // 1000

    def _exchange(
        self, witness: Witness, size: int, note: bytes, progress: dict[str, witnessed.Progress],
        keys: list[VerifierKey],
    ) -> tuple[Answer, Seen | None]:  # fmt: skip
        """Ask one witness for a cosignature; of one that contradicts us, see what it cosigned last."""
        known = progress.get(witnessed.key_text(witness.key))
        answer = self._ask(witness, size, note, min(known.size, size) if known is not None else 0)
        if isinstance(answer, Cosigned | Unavailable):
            return answer, None
        return answer, seen_last(self._http, witness, self._origin, keys)

    def _ask(self, witness: Witness, size: int, note: bytes, old: int) -> Answer:
        """Ask one witness, from the size that it has seen last; it may tell us another one first."""
        for _ in range(MAX_TRIES):
            with self._db.read() as session:
                proof = consistency_path(old, size, self._reader.nodes(session).node)
            answer = ask(self._http, witness, Submission(old, tuple(proof), note))
            if not isinstance(answer, Stale) or answer.size > size:
                return answer
            if answer.size == old:
                break
            old = answer.size
        return Unavailable("answers 409 again and again, though it was asked from the size that it names")

    def _take(self, brought: Round, witness: Witness, told: tuple[Answer, Seen | None] | None, now_ms: int) -> None:
        """Keep what one witness answered, or note why it is of no use."""
        answer, seen = told if told is not None else (Unavailable("has not answered in time"), None)
        if isinstance(answer, Cosigned):
            self._keep(brought, witness, answer, now_ms)
        elif isinstance(answer, Unavailable):
            brought.unavailable[witness.name] = answer.why
        else:
            found = self._examine(witness, answer, seen)
            if found is not None:
                brought.contradictions.append(found)

    def _keep(self, brought: Round, witness: Witness, answer: Cosigned, now_ms: int) -> None:
        try:
            with self._db.read() as session:
                text = witnessed.checkpoint_text(session, self._ledger_id, brought.size)
            lines = witnessed.proven(text, self.policy, answer.lines)
            with self._db.write() as session:
                witnessed.keep(session, self._ledger_id, self.policy, brought.size, lines, now_ms)
        except ServiceError as error:
            brought.unavailable[witness.name] = error.detail
            return
        if not lines:
            brought.unavailable[witness.name] = "cosigns with a key that the policy does not name"
        self._claims.pop(witness.name, None)
        brought.cosigned += len(lines)

    # -- contradictions ------------------------------------------------------------------------------

    @contextmanager
    def _now(self) -> Iterator[Session]:
        """Give a session on the ledger as it stands now: a replica may lag behind what everybody was shown."""
        with self._db.write() as session:
            yield session

    def _examine(self, witness: Witness, answer: Stale | Contradicted, seen: Seen | None) -> Contradiction | None:
        """Find the proof of what a witness claims in what it cosigned last; None when we have grown to it meanwhile."""
        with self._now() as session:
            last = self._reader.last_checkpoint(session)
            if isinstance(answer, Stale) and last is not None and last[0] >= answer.size:
                return None
            found = self._compare(session, witness, *seen) if seen is not None else None
        if found is not None:
            return found
        told = f"has seen {answer.size} leaves" if isinstance(answer, Stale) else f"answers {answer.status}"
        body = b"" if isinstance(answer, Stale) else answer.body[:MAX_CLAIM_BYTES]
        return Contradiction(witness, "claim", f"{witness.name} {told} and shows no proof.", body)

    def _compare(self, session: Session, witness: Witness, seen: Checkpoint, note: bytes) -> Contradiction | None:
        """Compare a checkpoint that our own key signed with the tree that we hold."""
        last = self._reader.last_checkpoint(session)
        held = last[0] if last is not None else 0
        if seen.size > held:
            detail = f"{witness.name} holds a checkpoint of {seen.size} leaves that our key signed; we have {held}."
            return Contradiction(witness, "rollback", detail, note)
        if seen.size and self._reader.nodes(session).root(seen.size) != seen.root:
            detail = f"{witness.name} holds another tree of {seen.size} leaves that our key signed."
            return Contradiction(witness, "fork", detail, note)
        return None

    def _judge(self, found: list[Contradiction], now_ms: int) -> None:
        """Raise an alarm for each new contradiction; freeze on a proof, or when a quorum claims one."""
        fresh = [each for each in found if each.proven or each.witness.name not in self._claims]
        self._claims |= {each.witness.name: each for each in found}
        if not fresh:
            return
        claimed_by = {each.witness.key for each in self._claims.values()}
        proven = next((each for each in fresh if each.proven), None)
        quorum = bool(self.policy.witnesses) and self.policy.is_met_by(claimed_by) and self.policy.quorum != "none"
        with self._db.write() as session:
            for each in fresh:
                freezing.raise_once(
                    session, self._ledger_id, now_ms, kind=each.kind, source=each.witness.name, detail=each.detail,
                    body=each.body,
                )  # fmt: skip
            if proven is not None or quorum:
                freezing.freeze(session, self._ledger_id, (proven or fresh[0]).detail)
        for each in fresh:
            log.critical(
                "ledger_contradicted", kind=each.kind, witness=each.witness.name, frozen=bool(proven or quorum)
            )

    # -- at the start --------------------------------------------------------------------------------

    def refuse_rollback(self, keys: list[VerifierKey]) -> list[str]:
        """Compare what this database holds with what every witness has seen, before anything is signed.

        Args:
            keys: The ledger's keys in force.

        Returns:
            The names of the witnesses that could not be asked, or have cosigned nothing yet.

        Raises:
            TamperError: `rollback` or `fork`: a witness holds a checkpoint that our key signed and that is not in this
                database's history, or says that it has seen more leaves than we have.
        """
        with self._db.read() as session:
            last = self._reader.last_checkpoint(session)
        unheard = []
        for witness, told in self._looking.ask(self.reachable, lambda w: self._look(w, last, keys)):
            answer, seen = told if told is not None else (None, None)
            with self._now() as session:
                found = self._compare(session, witness, *seen) if seen is not None else None
                found = found or self._compare_size(session, witness, answer)
            if found is not None:
                raise TamperError(f"{found.detail} {WAY_OUT}", code=found.kind)
            if seen is None and not isinstance(answer, Cosigned):
                unheard.append(witness.name)
        return unheard

    def _look(
        self, witness: Witness, last: tuple[int, bytes, int] | None, keys: list[VerifierKey]
    ) -> tuple[Answer | None, Seen | None]:
        """See what a witness cosigned last; one that shows nothing is asked what it must refuse with a size."""
        seen = seen_last(self._http, witness, self._origin, keys)
        if seen is not None or last is None:
            return None, seen
        return ask(self._http, witness, Submission(0, (), last[1])), None

    def _compare_size(self, session: Session, witness: Witness, answer: Answer | None) -> Contradiction | None:
        last = self._reader.last_checkpoint(session)
        held = last[0] if last is not None else 0
        if not isinstance(answer, Stale) or answer.size <= held:
            return None
        detail = f"{witness.name} says that it has seen {answer.size} leaves of this ledger; we have {held}."
        return Contradiction(witness, "rollback", detail, b"")


WAY_OUT = (
    "Nothing was signed. This database is an old copy, or another history. Bring back the newest one, or recover the "
    "missing leaves from a mirror; if they are lost, close this ledger and found its successor (docs/ledger.md, "
    '"When the ledger was rolled back"). If you know that the witness is wrong, take it out of the policy file.'
)


def push(db: Database, ledger_id: int, policy: TrustPolicy, body: bytes, now_ms: int) -> list[VerifierKey]:
    """Take cosignatures that a witness behind NAT brings, as a note over one of our checkpoints.

    Args:
        db: The ledger's database.
        ledger_id: The ledger.
        policy: Whose cosignatures count.
        body: The checkpoint's text with the cosignatures under it.
        now_ms: UTC milliseconds.

    Returns:
        The keys whose cosignatures were kept.

    Raises:
        MalformedError: It is no note over a checkpoint.
        MissingError: `no_checkpoint`: this ledger never signed that text.
        UnprovenError: `cosignature`: wrong, or by nobody whom the policy names.
    """
    note = Note.parse(body)
    size = Checkpoint.parse(note.text).size
    with db.read() as session:
        if witnessed.checkpoint_text(session, ledger_id, size) != note.text:
            raise UnprovenError("That is not this ledger's checkpoint of that size.", code="cosignature")
    lines = witnessed.proven(note.text, policy, note.signatures)
    if not lines:
        raise UnprovenError("None of these cosignatures is by a witness of this ledger's policy.", code="cosignature")
    with db.read() as session:
        is_news = witnessed.are_new(session, ledger_id, size, lines)
    if is_news:  # anybody may bring what is public, as often as he likes: only news may wait for the writer's lock
        with db.write() as session:
            witnessed.keep(session, ledger_id, policy, size, lines, now_ms)
    return list(lines)
