"""What a phone gets back: where its event stands, with which verdict, and the proof (pure).

States (design section 7): `accepted` is durable and not yet provable, `included` carries index, proof and
signed checkpoint, `witnessed` a checkpoint that witnesses have cosigned as the trust policy asks. The same event sent
again gets the same receipt, byte for byte: its proof is always under the first checkpoint that contains the leaf, and
Ed25519 signatures are deterministic. Whoever asks for the event later is told when it is witnessed.
"""

from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import orjson

from app.canon import JsonValue
from app.clock import rfc3339_ms
from app.custody.chain import Link
from app.custody.state import EventRef
from app.custody.walk import Step
from app.errors import ServiceError
from app.ledger.paths import Paths
from app.quick import evolve, quick


@quick
@dataclass(frozen=True, slots=True)
class Receipt:
    """The answer to one recorded event."""

    ledger: str
    event: str
    event_id: str
    index: int
    leaf_hash: str
    result: str
    code: str
    received_ms: int
    links: tuple[Link, ...]
    detail: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    outcome: str | None = None
    outcome_index: int | None = None
    checkpoint: str | None = None
    tree_size: int | None = None
    path: str | None = None
    """The inclusion path, leaf's sibling first, as the text of a JSON array; `app.ledger.paths` spells it once."""
    replayed: bool = False
    witnessed: bool = False

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel between the processes of this service as plain values."""
        return _arrived, (tuple([(link.unit, link.seq, link.prev) for link in self.links]), *_plain_of(self))

    @classmethod
    def of_step(cls, origin: str, step: Step, paths: Paths | None = None, checkpoint: str | None = None) -> "Receipt":
        """Make the receipt of an event that was just recorded, with its proof under a checkpoint where there is one."""
        ref, judgement = step.ref, step.judgement
        return cls(
            origin,
            ref.hash,
            ref.event_id,
            ref.leaf_index,
            step.leaf.hash,
            judgement.result,
            judgement.code,
            ref.received_ms,
            step.leaf.links,
            judgement.detail,
            judgement.facts,
            checkpoint=checkpoint if paths else None,
            tree_size=paths.size if paths else None,
            path=paths.path(ref.leaf_index) if paths else None,
        )

    @classmethod
    def of_record(
        cls, origin: str, ref: EventRef, leaf_hash: str, links: tuple[Link, ...], problem: dict[str, Any]
    ) -> "Receipt":
        """Make the receipt of an event recorded before."""
        return cls(
            origin,
            ref.hash,
            ref.event_id,
            ref.leaf_index,
            leaf_hash,
            ref.result,
            ref.code,
            ref.received_ms,
            links,
            str(problem.get("detail", "")),
            dict(problem.get("facts") or {}),
            ref.outcome,
            ref.outcome_index,
            replayed=True,
        )

    def proven(self, paths: Paths, note: bytes, *, witnessed: bool = False) -> "Receipt":
        """Add the inclusion proof under the signed checkpoint of a tree that holds the leaf."""
        checkpoint = note.decode("utf-8")
        return evolve(
            self, tree_size=paths.size, path=paths.path(self.index), checkpoint=checkpoint, witnessed=witnessed
        )

    @property
    def state(self) -> str:
        """`accepted` without a proof, `included` with one, `witnessed` when its checkpoint meets the trust policy."""
        if self.checkpoint is None:
            return "accepted"
        return "witnessed" if self.witnessed else "included"

    def as_json(self) -> dict[str, JsonValue]:
        """Return the receipt as members of an answer."""
        return self.members(orjson.loads(self.path) if self.path is not None else None, self.checkpoint)

    def spelled(self, checkpoint: str | None = None) -> dict[str, Any]:
        """Return the same for an answer that is written at once: the path is not read and written again.

        Args:
            checkpoint: A checkpoint that stands elsewhere in the answer; where it is ours, the proof leaves it out.
        """
        path = orjson.Fragment(self.path) if self.path is not None else None
        return self.members(path, None if self.checkpoint == checkpoint else self.checkpoint)

    def members(self, path: Any, checkpoint: str | None) -> dict[str, Any]:
        """Return the members in their order, with this path, where there is one, under this checkpoint."""
        value: dict[str, Any] = {
            "state": self.state,
            "ledger": self.ledger,
            "event": self.event,
            "event_id": self.event_id,
            "index": self.index,
            "leaf_hash": self.leaf_hash,
            "result": self.result,
            "code": self.code,
            "received_at": rfc3339_ms(self.received_ms),
            "links": [link.as_json() for link in self.links],
        }
        if self.detail:
            value["detail"] = self.detail
        if self.facts:
            value["facts"] = self.facts
        if self.outcome is not None:
            value["outcome"], value["outcome_index"] = self.outcome, self.outcome_index
        if path is not None:
            value["proof"] = {"tree_size": self.tree_size, "path": path}
            if checkpoint is not None:
                value["proof"]["checkpoint"] = checkpoint
        return value


_plain_of = attrgetter(*(name for name in Receipt.__slots__ if name != "links"))
_LINKS_AT = Receipt.__slots__.index("links")


def _arrived(links: tuple[tuple[str, int, str], ...], *plain: Any) -> Receipt:
    values: Any = (*plain[:_LINKS_AT], tuple([Link(*link) for link in links]), *plain[_LINKS_AT:])
    return Receipt(*values)


Answer = Receipt | ServiceError
"""What becomes of one event that was sent in: its receipt, or why nothing was recorded."""
