"""The high-water mark: the largest tree this service ever signed, remembered outside the database.

A database restored from a backup is smaller than what was published; signing from it would fork the ledger.
The file (best on another disk) is written and synced after each commit and before the checkpoint is shown,
so a start from an older database is refused (design section 7, ledger reference section 15).

Only the founding makes it, before the genesis is committed, and says 0 until then. Later a file that is missing
or empty is refused: the other disk is not mounted, or nothing shows any more that the database is the newest.

Several processes may share the file for a moment (a service that is ending beside its successor): it is locked
while it moves, and never moves back. Whoever finds that another process moved it makes sure that both speak of one
tree: two services on copies of one database would sign two.

Two slots of 256 bytes take turns, each with its own checksum: a crash in the middle of a write leaves the
other slot whole, and one `fdatasync` a group is all it costs.
"""

import fcntl
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from app.canon import b64url_encode, sha256
from app.errors import ConflictError, MissingError, TamperError
from app.ledger.tree import EMPTY_ROOT, MAX_SIZE

SLOT_BYTES = 256
RootAt = Callable[[int], bytes | None]
"""`root_at(size)` gives the root that the database has at a size, None when it is smaller."""

_BLANK = b" \x00\n"
_CHECK_CHARACTERS = 16
_LOST = (
    "Is the other disk mounted? Without the mark nothing shows that this database is the newest. If it is lost for "
    "good, compare every witness with the database first, then `custody ledger remark --reason TEXT`."
)
_TWO = (
    "Another tree was signed and shown at that size: two services run on copies of one database. Stop both, and find "
    "out which of the two histories the witnesses hold; see docs/ledger.md."
)


@dataclass(frozen=True, slots=True)
class Slot:
    """What one slot says: whose mark it is, the size, and the root in base64url."""

    owner: str
    size: int
    root: str

    @classmethod
    def parse(cls, data: bytes) -> Self | None:
        """Return what a slot's bytes say, or None when they are blank or damaged."""
        body, _, check = data.rstrip(_BLANK).rpartition(b" ")
        with suppress(ValueError, KeyError, TypeError):
            told = json.loads(body) if _check(body) == check else {}
            return cls(str(told["origin"]), int(told["size"]), str(told["root"]))
        return None

    def to_bytes(self) -> bytes:
        """Write the slot as it stands in the file; longer than a slot when the owner is, see `owner_of`."""
        told = {"origin": self.owner, "size": self.size, "root": self.root}
        body = json.dumps(told, separators=(",", ":")).encode()
        return (body + b" " + _check(body)).ljust(SLOT_BYTES - 1) + b"\n"

    def names(self, origin: str) -> bool:
        """Say whether this is the mark of the ledger with that origin."""
        return self.owner in {origin, owner_of(origin)}


def owner_of(origin: str) -> str:
    """Return how a slot names a ledger: by its origin, or by a hash of one that would not leave room for every size."""
    if len(Slot(origin, MAX_SIZE, b64url_encode(EMPTY_ROOT)).to_bytes()) == SLOT_BYTES:
        return origin
    return f"sha256:{b64url_encode(sha256(origin.encode()))}"


def _check(body: bytes) -> bytes:
    return b64url_encode(sha256(body))[:_CHECK_CHARACTERS].encode()


class HighWater:
    """One file for one ledger."""

    def __init__(self, path: Path, origin: str) -> None:
        """Open the file; nothing is made, neither it nor its folder.

        Raises:
            TamperError: The file is missing, empty, another ledger's, or damaged in both slots.
        """
        self._path, self._origin, self._owner = path, origin, owner_of(origin)
        self._read: tuple[bytes | None, tuple[int, str, int]] = None, (0, "", 0)
        """The file's bytes as they were understood last, and what they say: nearly always they are still the same."""
        try:
            self._file = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            raise TamperError(f"The high-water mark {path} is missing. {_LOST}") from None
        self._lock, self._held = threading.RLock(), False
        self._turn = 0
        try:
            self.size, self.root = self._newest()
        except BaseException:
            os.close(self._file)
            raise
        self._known = self.size, self.root

    @classmethod
    def make(cls, path: Path, origin: str, size: int, root: bytes) -> Self:
        """Make the file where there is none, and open it; a crash leaves it whole or not at all.

        Raises:
            ConflictError: It is there.
            MissingError: Its folder is not there, as when the other disk is not mounted.
        """
        if not path.parent.is_dir():
            raise MissingError(f"There is no folder {path.parent} for the high-water mark: is the other disk mounted?")
        if path.exists() or path.is_symlink():
            raise ConflictError(f"There is a high-water mark {path} already; it is never made anew over another.")
        half = path.with_name(f".{path.name}.part")
        half.unlink(missing_ok=True)
        file = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.pwrite(file, Slot(owner_of(origin), size, b64url_encode(root)).to_bytes(), 0)
            os.fsync(file)
        finally:
            os.close(file)
        half.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
        return cls(path, origin)

    @classmethod
    def found(cls, path: Path, origin: str) -> Self:
        """Make the file, and its folder, for a ledger whose genesis is about to be committed; it says 0 until then.

        What an earlier try left that did not come as far as a genesis serves again.

        Raises:
            ConflictError: The file tells of a ledger that was founded.
            TamperError: It is another ledger's, or damaged.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file() and not path.read_bytes().strip(_BLANK):
            path.unlink()
        if not path.exists():
            return cls.make(path, origin, 0, EMPTY_ROOT)
        mark = cls(path, origin)
        if mark.size:
            mark.close()
            raise ConflictError(
                f"The high-water mark {path} tells of {mark.size} leaves; each ledger is founded once, with its own."
            )
        return mark

    def _newest(self) -> tuple[int, str]:
        data = os.pread(self._file, 2 * SLOT_BYTES, 0)
        if data != self._read[0]:
            self._read = data, self._understood(data)
        size, root, turn = self._read[1]
        self._turn = 1 - turn
        return size, root

    def _understood(self, data: bytes) -> tuple[int, str, int]:
        """Return size and root of the newest slot, and which one it is.

        Raises:
            TamperError: As when the file is opened.
        """
        if not data.strip(_BLANK):
            raise TamperError(f"The high-water mark {self._path} is empty. Move it away. {_LOST}")
        slots = [Slot.parse(data[at : at + SLOT_BYTES]) for at in (0, SLOT_BYTES)]
        whole = [(slot.size, slot.root, turn) for turn, slot in enumerate(slots) if slot is not None]
        if not whole:
            raise TamperError(f"The high-water mark {self._path} is damaged in both slots. Move it away. {_LOST}")
        if not all(slot.names(self._origin) for slot in slots if slot is not None):
            raise TamperError(
                f"The high-water file {self._path} belongs to another ledger; each has its own "
                "(CUSTODY_HIGH_WATER_PATH)."
            )
        return max(whole)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep every other process and thread from moving the mark, having read it anew: to commit in between.

        Raises:
            TamperError: As when it is opened.
            OSError: The disk refused.
        """
        with self._lock:
            if self._held:
                yield
                return
            fcntl.flock(self._file, fcntl.LOCK_EX)
            self._held = True
            try:
                self.size, self.root = self._newest()
                yield
            finally:
                self._held = False
                fcntl.flock(self._file, fcntl.LOCK_UN)

    def advance(self, size: int, root: bytes, root_at: RootAt | None = None) -> None:
        """Remember a larger tree and return when it is on the disk; a smaller one is ignored.

        Args:
            size: The size that was committed.
            root: Its root.
            root_at: Asked about the mark's own size when another process has moved it since.

        Raises:
            TamperError: The mark tells of another tree than the database; the caller must not publish, and must stop.
            OSError: The disk refused; the caller must not publish the checkpoint.
        """
        with self.held():
            if size == self.size and not self._is(root):
                raise TamperError(_TWO)
            if root_at is not None and (self.size, self.root) != self._known and not self._is(root_at(self.size)):
                raise TamperError(_TWO)
            if size > self.size:
                self._write(size, b64url_encode(root))
            self._known = self.size, self.root

    def _is(self, root: bytes | None) -> bool:
        return root is not None and b64url_encode(root) == self.root

    def _write(self, size: int, text: str) -> None:
        slot, at = Slot(self._owner, size, text).to_bytes(), self._turn * SLOT_BYTES
        os.pwrite(self._file, slot, at)
        os.fdatasync(self._file)
        before = (self._read[0] or b"").ljust(at, b"\x00")
        self._read = before[:at] + slot + before[at + SLOT_BYTES :], (size, text, self._turn)
        self._turn = 1 - self._turn
        self.size, self.root = size, text

    @property
    def known(self) -> tuple[int, str]:
        """Size and root, both of one moment, as this process wrote or read them last."""
        return self._known

    def refuse_rollback(self, size: int, root_at: bytes | None, known: tuple[int, str] | None = None) -> None:
        """Refuse a tree that is smaller than the mark, or another tree at the mark's size.

        Args:
            size: The size of the tree in the database.
            root_at: The root of that tree at the mark's size, 32 bytes, or None when it is smaller.
            known: The mark as of the moment when `root_at` was asked for; as of now when absent.

        Raises:
            TamperError: The database is older than what was published, or another history; or the mark is that of
                the founding, while the ledger has grown since.
        """
        marked, root = known or (self.size, self.root)
        if size < marked:
            raise TamperError(
                f"The database has {size} leaves, but {marked} were signed and shown: it was restored from an old "
                "backup. Recover the missing leaves from mirrors and devices, or close this ledger; "
                "see docs/operations.md."
            )
        if marked == 0 and size > 1:  # one leaf: a crash between the genesis and its mark
            raise TamperError(f"The high-water mark {self._path} is older than the ledger's first checkpoint. {_LOST}")
        if marked and (root_at is None or b64url_encode(root_at) != root):
            raise TamperError(
                "The database holds another history than the one that was signed. See docs/operations.md."
            )

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
