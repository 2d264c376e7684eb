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

    def weight(self, data: bytes) -> tuple[bool, int]:
        """Tell which of two notes of one tree to keep: the greater is better signed; what is no note weighs nothing.

        It counts whether the note opens, with its quorum, and then how many of the known keys have signed it. Lines of
        other keys count for nothing: anybody can write any number of them.
        """
        try:
            note = Note.parse(data)
        except MalformedError:
            return False, 0
        known = {(key.name, key.key_id): key for key in (*self.ledger_keys, *self._cosigners)}
        named = ((known.get((line.name, line.key_id)), line.blob) for line in note.signatures)
        signers = {key for key, blob in named if key is not None and key.accepts(note.text, blob)}
        return self._opens(data), len(signers)

    def names_a_signer(self, data: bytes) -> bool:
        """Say whether a note has a line by one of the ledger's keys, right or wrong.

        Raises:
            MalformedError: It is no note.
        """
        ours = {(key.name, key.key_id) for key in self.ledger_keys}
        return any((line.name, line.key_id) in ours for line in Note.parse(data).signatures)

    @property
    def _cosigners(self) -> tuple[VerifierKey, ...]:
        return self.policy.cosigners if self.policy is not None else ()

    def _opens(self, data: bytes) -> bool:
        try:
            self.open(data)
        except (MalformedError, UnprovenError):
            return False
        return True
