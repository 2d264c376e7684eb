"""The three server keys, apart: ledger, service, admission (design section 6).

The ledger key signs checkpoints only, the service key the service's own events, the admission key `accepted`
receipts. Each is a file of mode 0400 in one folder. While the ledger key rotates there are two of it, and both sign
(docs/ledger.md, "Rotate the key").
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from app.errors import RefusedError, TamperError
from app.keys.files import make_jwk_file, read_jwk_file, read_private, write_private
from app.keys.signing import PrivateKey
from app.ledger.note import SignatureType, SignerKey

LEDGER_FILE, NEXT_LEDGER_FILE = "ledger.key", "ledger-next.key"
SERVICE_FILE, ADMISSION_FILE = "service.jwk", "admission.jwk"


@dataclass(frozen=True, slots=True)
class ServerKeys:
    """The keys of one ledger's server."""

    ledger: SignerKey
    service: PrivateKey
    admission: PrivateKey
    next_ledger: SignerKey | None = None
    """The key that is coming, or came, in by a `ledger.rekey`; None while nothing rotates."""

    @classmethod
    def make(cls, folder: Path, origin: str) -> "ServerKeys":
        """Make three fresh keys for a new ledger; refuses to overwrite any.

        A crash here leaves key files without a ledger: remove the folder and start again.
        """
        ledger = SignerKey(origin, SignatureType.NOTE, secrets.token_bytes(32))
        write_private(folder / LEDGER_FILE, ledger.to_text() + "\n")
        return cls(ledger, make_jwk_file(folder / SERVICE_FILE), make_jwk_file(folder / ADMISSION_FILE))

    @classmethod
    def load(cls, folder: Path) -> "ServerKeys":
        """Read the three key files.

        Raises:
            MissingError: One is missing.
            TamperError: One may be read by others.
        """
        ledger = SignerKey.parse(read_private(folder / LEDGER_FILE))
        coming = folder / NEXT_LEDGER_FILE
        following = SignerKey.parse(read_private(coming)) if coming.exists() else None
        service, admission = read_jwk_file(folder / SERVICE_FILE), read_jwk_file(folder / ADMISSION_FILE)
        return cls(ledger, service, admission, following)

    @property
    def held(self) -> dict[str, SignerKey]:
        """The ledger keys in the folder, by verifier key."""
        return {key.verifier().to_text(): key for key in (self.ledger, self.next_ledger) if key is not None}

    def signing(self, in_force: Sequence[str]) -> list[SignerKey]:
        """Return the private keys that sign checkpoints, in the order in which the ledger names them.

        Args:
            in_force: The verifier keys that the ledger names; none before the genesis.

        Raises:
            TamperError: A key in force is not in the folder.
        """
        held = self.held
        if not in_force:
            return [self.ledger]
        if not held.keys() >= set(in_force):
            raise TamperError("A key that signs this ledger's checkpoints is not in the keys folder.")
        return [held[text] for text in in_force]

    def make_next(self, folder: Path) -> SignerKey:
        """Make the key that is to follow.

        Raises:
            RefusedError: There is one already.
        """
        key = SignerKey(self.ledger.name, SignatureType.NOTE, secrets.token_bytes(32))
        try:
            write_private(folder / NEXT_LEDGER_FILE, key.to_text() + "\n")
        except FileExistsError:
            raise RefusedError(f"{folder / NEXT_LEDGER_FILE} exists: a rotation is under way.") from None
        return key
