"""Private keys as files: made once, mode 0400, never overwritten, refused when others may read them."""

import json
import os
import secrets
import stat
from pathlib import Path

from app.errors import MissingError, TamperError
from app.keys.signing import PrivateKey


def write_private(path: Path, text: str) -> None:
    """Write a new file that only its owner may read, and sync it.

    Raises:
        FileExistsError: A key is never overwritten.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def read_private(path: Path) -> str:
    """Read a key file.

    Raises:
        MissingError: `server_key`; there is none.
        TamperError: `key_file_mode`; others may read it.
    """
    if not path.exists():
        raise MissingError(f"There is no key file {path}.", code="server_key")
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise TamperError(f"The key file {path.name} may be read by others; `chmod 400` it.", code="key_file_mode")
    return path.read_text(encoding="utf-8").strip()


def make_jwk_file(path: Path) -> PrivateKey:
    """Make an Ed25519 key and write it as a private JWK."""
    key = PrivateKey.from_seed(secrets.token_bytes(32))
    write_private(path, json.dumps(key.to_jwk()) + "\n")
    return key


def read_jwk_file(path: Path) -> PrivateKey:
    """Read a private JWK."""
    return PrivateKey.from_jwk(json.loads(read_private(path)))
