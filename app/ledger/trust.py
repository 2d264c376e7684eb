"""Whose checkpoints a reader believes: verifier keys, a trust policy, or both (pure).

Pinned by whoever reads, before anything is read: what a ledger says of its own keys decides nothing.
"""

from dataclasses import dataclass

from app.errors import MalformedError, UnprovenError
from app.ledger.checkpoint import Checkpoint, open_checkpoint
from app.ledger.note import Note, VerifierKey
from app.ledger.policy import TrustPolicy


@dataclass(frozen=True, slots=True)
class Trust:
    """Verifier keys of one ledger (several while its key rotates), and the policy that asks for witnesses.

    Raises:
        MalformedError: `verifier_key`; no key at all, a witness's key, or keys of two ledgers.
    """

    keys: tuple[VerifierKey, ...] = ()
    policy: TrustPolicy | None = None

    def __post_init__(self) -> None:
        """Refuse a trust that names no ledger, or more than one."""
        if any(key.is_cosigner for key in self.keys):
            raise MalformedError("A ledger's key is of type 0x01.", code="verifier_key")
        if len({key.name for key in self.ledger_keys}) != 1:
            raise MalformedError(
                "Name the keys of one ledger, by key or by the log lines of a policy.", code="verifier_key"
            )

    @property
    def ledger_keys(self) -> tuple[VerifierKey, ...]:
        """Return the keys that may sign for the ledger."""
        named = [log.key for log in self.policy.logs] if self.policy is not None else []
        return tuple(dict.fromkeys([*self.keys, *named]))

    @property
    def origin(self) -> str:
        """Return the origin of the ledger, which is the name of its keys."""
        return self.ledger_keys[0].name

    def open(self, data: bytes, *, quorum: bool = True) -> Checkpoint:
        """Open a checkpoint.

        Args:
            data: The signed note as received.
            quorum: Ask for the witnesses of the policy as well.

        Raises:
            MalformedError: It is no checkpoint.
            UnprovenError: `note_signature`, `checkpoint_origin`; `quorum`, too few witnesses have cosigned it.
        """
        if self.policy is not None and quorum:
            return self.policy.verify(data, self.origin, self.ledger_keys).checkpoint
        return open_checkpoint(data, self.ledger_keys, self.origin)


def signatures_on(data: bytes) -> int:
    """Return how many signature lines a note has, 0 for what is none; tells which of two of one tree to keep.

    Proves nothing.
    """
    try:
        return len(Note.parse(data).signatures)
    except (MalformedError, UnprovenError):
        return 0
