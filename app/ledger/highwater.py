"""The high-water mark: the largest tree this service ever signed, remembered outside the database.

A database restored from a backup is smaller than what was published; signing from it would fork the ledger.
The file (best on another disk) is written and synced after each commit and before the checkpoint is shown,
so a start from an older database is refused (design section 7, ledger reference section 15).

Several processes may share the file for a moment (a service that is ending beside its successor): it is locked
while it moves, and never moves back.

Two slots of 256 bytes take turns, each with its own checksum: a crash in the middle of a write leaves the
other slot whole, and one `fdatasync` a group is all it costs.
"""

import fcntl
import json
import os
from pathlib import Path

from app.canon import b64url_encode, sha256
from app.errors import TamperError

SLOT_BYTES = 256


class HighWater:
    """One file for one ledger."""

    def __init__(self, path: Path, origin: str) -> None:
        """Open or create the file.

        Raises:
            TamperError: The file belongs to another ledger, or both slots are damaged.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self._origin = origin
        fresh = not path.exists()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        if fresh:
            folder = os.open(path.parent, os.O_RDONLY)
            os.fsync(folder)
            os.close(folder)
        self._turn = 0
        self.size, self.root = self._newest()

    def _newest(self) -> tuple[int, str]:
        slots = [self._slot(0), self._slot(1)]
        found = [(slot[0], slot[1], turn) for turn, slot in enumerate(slots) if slot is not None]
        if not found:
            if os.fstat(self._file).st_size:
                raise TamperError("The high-water file is damaged in both slots.")
            return 0, ""
        size, root, turn = max(found)
        self._turn = 1 - turn
        return size, root

    def _slot(self, turn: int) -> tuple[int, str] | None:
        line = os.pread(self._file, SLOT_BYTES, turn * SLOT_BYTES).rstrip(b" \x00\n")
        try:
            body, _, check = line.rpartition(b" ")
            told = json.loads(body)
        except ValueError:
            return None
        if b64url_encode(sha256(body))[:16].encode() != check:
            return None
        if told["origin"] != self._origin:
            raise TamperError("The high-water file belongs to another ledger.")
        return int(told["size"]), str(told["root"])

    def advance(self, size: int, root: bytes) -> None:
        """Remember a larger tree and return when it is on the disk; a smaller one is ignored.

        Raises:
            OSError: The disk refused; the caller must not publish the checkpoint.
        """
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            self.size, self.root = self._newest()
            if size > self.size:
                self._write(size, b64url_encode(root))
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def _write(self, size: int, text: str) -> None:
        body = json.dumps({"origin": self._origin, "size": size, "root": text}, separators=(",", ":")).encode()
        line = body + b" " + b64url_encode(sha256(body))[:16].encode()
        os.pwrite(self._file, line.ljust(SLOT_BYTES - 1) + b"\n", self._turn * SLOT_BYTES)
        os.fdatasync(self._file)
        self._turn = 1 - self._turn
        self.size, self.root = size, text

    def refuse_rollback(self, size: int, root_at: object) -> None:
        """Refuse a tree that is smaller than the mark, or another tree at the mark's size.

        Args:
            size: The size of the tree in the database.
            root_at: The root of that tree at the mark's size, 32 bytes, or None when it is smaller.

        Raises:
            TamperError: The database is older than what was published, or another history.
        """
        if size < self.size:
            raise TamperError(
                f"The database has {size} leaves, but {self.size} were signed and shown: it was restored from an old "
                "backup. Recover the missing leaves from mirrors and devices, or close this ledger; "
                "see docs/operations.md."
            )
        if self.size and b64url_encode(root_at) != self.root:  # type: ignore[arg-type]
            raise TamperError(
                "The database holds another history than the one that was signed. See docs/operations.md."
            )

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
