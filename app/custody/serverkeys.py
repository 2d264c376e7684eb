"""The three server keys, apart: ledger, service, admission (design section 6).

The ledger key signs checkpoints only, the service key the service's own events, the admission key `accepted`
receipts. Each is a file of mode 0400 in one folder.
"""

import secrets
from dataclasses import dataclass
from pathlib import Path

from app.keys.files import make_jwk_file, read_jwk_file, read_private, write_private
from app.keys.signing import PrivateKey
from app.ledger.note import SignatureType, SignerKey

LEDGER_FILE, SERVICE_FILE, ADMISSION_FILE = "ledger.key", "service.jwk", "admission.jwk"


@dataclass(frozen=True, slots=True)
class ServerKeys:
    """The keys of one ledger's server."""

    ledger: SignerKey
    service: PrivateKey
    admission: PrivateKey

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
        return cls(ledger, read_jwk_file(folder / SERVICE_FILE), read_jwk_file(folder / ADMISSION_FILE))
