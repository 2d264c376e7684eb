"""Rounds over the witnesses: ask for cosignatures, notice what contradicts us, and freeze on a fork.

Every few seconds each witness of the policy is asked about the newest checkpoint; an idle ledger is cosigned anew
from time to time, so that its cosignatures stay fresh. A witness that is down costs a second and nothing else.

What a contradiction does (ADR 17): an inconsistent or larger tree that our own key signed is a proof of a fork or of
a rollback, and freezes the ledger at once. A refusal alone is a claim: it raises an alarm, and freezes the ledger
when those who claim it would be a quorum. So no single witness can stop an election, and none can be ignored.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import structlog

from app.db import Database, ReadSession, Session
from app.errors import TamperError, UnprovenError
from app.exchange.witnesses import Answer, Contradicted, Cosigned, Stale, Unavailable, ask, client, seen_last
from app.ledger import freezing, witnessed
from app.ledger.append import Reader
from app.ledger.checkpoint import Checkpoint
from app.ledger.note import Note, VerifierKey
from app.ledger.policy import TrustPolicy, Witness
from app.ledger.submission import Submission
from app.ledger.tree import consistency_path

log = structlog.get_logger(__name__)

MAX_TRIES = 3
MAX_AT_ONCE = 8
Kind = Literal["fork", "rollback", "claim"]


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


@dataclass(frozen=True, slots=True)
class Round:
    """What one round brought: how many cosignatures, whom it could not reach and why, what contradicts us."""

    size: int
    cosigned: int
    unavailable: dict[str, str]
    contradictions: list[Contradiction]


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
            timeout_seconds: Longest wait for one step of an exchange.
            recosign_seconds: Age at which the cosignature of an unchanged ledger is asked for anew.
        """
        self.policy = policy
        self._db, self._ledger_id, self._origin = db, ledger_id, origin
        self._recosign = recosign_seconds
        self._reader = Reader(ledger_id)
        self._http = client(timeout_seconds)
        self._pool = ThreadPoolExecutor(MAX_AT_ONCE, "witness")
        self._claims: dict[str, Contradiction] = {}

    def close(self) -> None:
        """End what is under way."""
        self._pool.shutdown()
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
        asked = self._pool.map(lambda witness: self._ask(witness, size, note, progress), due)
        brought = Round(size, 0, {}, [])
        for witness, answer in zip(due, asked, strict=True):
            brought = self._take(brought, witness, answer, keys, now_ms)
        self._judge(brought.contradictions, now_ms)
        return brought

    def _is_due(self, progress: dict[str, witnessed.Progress], witness: Witness, size: int, now_ms: int) -> bool:
        known = progress.get(witnessed.key_text(witness.key))
        return known is None or known.size < size or known.at_s + self._recosign <= now_ms // 1000

    def _ask(self, witness: Witness, size: int, note: bytes, progress: dict[str, witnessed.Progress]) -> Answer:
        """Ask one witness, from the size that it has seen last; it may tell us another one first."""
        known = progress.get(witnessed.key_text(witness.key))
        old = min(known.size, size) if known is not None else 0
        answer: Answer = Unavailable("was not asked")
        for _ in range(MAX_TRIES):
            with self._db.read() as session:
                proof = consistency_path(old, size, self._reader.nodes(session).node)
            answer = ask(self._http, witness, Submission(old, tuple(proof), note))
            if not isinstance(answer, Stale) or answer.size > size or answer.size == old:
                return answer
            old = answer.size
        return answer

    def _take(self, brought: Round, witness: Witness, answer: Answer, keys: list[VerifierKey], now_ms: int) -> Round:
        if isinstance(answer, Cosigned):
            return self._keep(brought, witness, answer, now_ms)
        if isinstance(answer, Unavailable):
            brought.unavailable[witness.name] = answer.why
            return brought
        with self._db.read() as session:
            if isinstance(answer, Stale) and self._has_grown_to(session, answer.size):
                return brought  # somebody brought it a newer checkpoint of ours meanwhile
            brought.contradictions.append(self._examine(session, witness, answer, keys))
        return brought

    def _keep(self, brought: Round, witness: Witness, answer: Cosigned, now_ms: int) -> Round:
        try:
            with self._db.write() as session:
                kept = witnessed.keep(session, self._ledger_id, self.policy, brought.size, answer.lines, now_ms)
        except UnprovenError as error:
            brought.unavailable[witness.name] = error.detail
            return brought
        if not kept:
            brought.unavailable[witness.name] = "cosigns with a key that the policy does not name"
        self._claims.pop(witness.name, None)
        return Round(brought.size, brought.cosigned + len(kept), brought.unavailable, brought.contradictions)

    # -- contradictions ------------------------------------------------------------------------------

    def _has_grown_to(self, session: ReadSession, size: int) -> bool:
        last = self._reader.last_checkpoint(session)
        return last is not None and last[0] >= size

    def _examine(
        self, session: ReadSession, witness: Witness, answer: Stale | Contradicted, keys: list[VerifierKey]
    ) -> Contradiction:
        """Find the proof of what a witness claims: what it cosigned last, signed by our own key."""
        seen = seen_last(self._http, witness, self._origin, keys)
        found = self._compare(session, witness, *seen) if seen is not None else None
        if found is not None:
            return found
        told = f"has seen {answer.size} leaves" if isinstance(answer, Stale) else f"answers {answer.status}"
        body = b"" if isinstance(answer, Stale) else answer.body
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
                freezing.raise_alarm(
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
            The names of the witnesses that could not be asked.

        Raises:
            TamperError: `rollback` or `fork`: a witness holds a checkpoint that our key signed and that is not in this
                database's history, or says that it has seen more leaves than we have.
        """
        unheard = []
        with self._db.read() as session:
            last = self._reader.last_checkpoint(session)
            for witness in self.reachable:
                seen = seen_last(self._http, witness, self._origin, keys)
                if seen is not None:
                    found = self._compare(session, witness, *seen)
                elif last is not None:
                    found = self._ask_size(witness, last[0], last[1])
                else:
                    found = None
                if found is not None:
                    raise TamperError(f"{found.detail} {WAY_OUT}", code=found.kind)
                if seen is None:
                    unheard.append(witness.name)
        return unheard

    def _ask_size(self, witness: Witness, size: int, note: bytes) -> Contradiction | None:
        """Ask a witness without a monitoring address what it has seen, by a request that it must refuse with a size."""
        answer = ask(self._http, witness, Submission(0, (), note))
        if isinstance(answer, Stale) and answer.size > size:
            detail = f"{witness.name} says that it has seen {answer.size} leaves of this ledger; we have {size}."
            return Contradiction(witness, "rollback", detail, b"")
        return None


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
    with db.write() as session:
        if Note.parse(witnessed.cosigned_note(session, ledger_id, size)).text != note.text:
            raise UnprovenError("That is not this ledger's checkpoint of that size.", code="cosignature")
        kept = witnessed.keep(session, ledger_id, policy, size, note.signatures, now_ms)
    if not kept:
        raise UnprovenError("None of these cosignatures is by a witness of this ledger's policy.", code="cosignature")
    return kept
