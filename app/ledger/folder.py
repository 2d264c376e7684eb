"""A ledger as static files: the tree of c2sp.org/tlog-tiles in one folder, which any tile client reads.

    checkpoint                the newest signed note; written last
    tile/<L>/<N>[.p/<W>]      hash tiles
    tile/entries/<N>[.p/<W>]  leaves
    documents/<hash>          what the rules were judged by, where somebody keeps it; ours, not the specification's

Files are made whole or not at all, and never made over: one that is there with other bytes is an alarm. What a
crash leaves behind: files that the next run finds and verifies, and a checkpoint that speaks of files which are all
there, since everything before it was synced first. Partial tiles of old sizes stay, as the specification lets them.
Knows names and bytes; whether they are right is for who reads them. A tree may come from a stranger: what is there
in a file's place and is none, a folder, a pipe, a link to itself, is told as such and never waited for.
"""

import errno
import fcntl
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.errors import BusyError, TamperError, TooLargeError
from app.ledger.tiles import (
    MAX_LEAF_BYTES,
    TILE_WIDTH,
    BundleCoordinate,
    TileCoordinate,
    touched_bundles,
    touched_tiles,
)

MAX_TILE_BYTES = 32 * TILE_WIDTH
MAX_BUNDLE_BYTES = TILE_WIDTH * (2 + MAX_LEAF_BYTES)
MAX_CHECKPOINT_BYTES = 64 * 1024
MAX_DOCUMENT_BYTES = 8 * 1024 * 1024
_HASH = re.compile(r"[A-Za-z0-9_-]{43}")
_NO_FILE = frozenset({errno.EISDIR, errno.ELOOP, errno.ENXIO})
"""What the system says of a folder, a link to itself and a socket; a pipe and a device are opened and looked at."""

Place = TileCoordinate | BundleCoordinate


class TileFolder:
    """The files of one ledger below one folder."""

    def __init__(self, folder: Path) -> None:
        """Take a folder, which is made when the first file is written."""
        self.folder = folder
        self._unsynced: set[Path] = set()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other writers of this folder out; a lock of a process that died is gone with it.

        Raises:
            BusyError: Another process writes here.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError:
            raise BusyError(f"Another process is writing to {self.folder}.") from None
        finally:
            os.close(descriptor)

    # -- reading -------------------------------------------------------------------------------------

    def read(self, place: Place) -> bytes | None:
        """Return a tile or bundle at exactly this width, or None.

        Raises:
            TooLargeError: The file is larger than any tile.
            TamperError: `file_differs`; what is there is no file.
            BusyError: It cannot be read now: it is not allowed, or the disk fails.
        """
        limit = MAX_TILE_BYTES if isinstance(place, TileCoordinate) else MAX_BUNDLE_BYTES
        return self._read(place.path(), limit)

    def has_entries(self) -> bool:
        """Say whether there are leaves at all: a mirror may keep hashes alone."""
        return (self.folder / "tile" / "entries").is_dir()

    def checkpoint(self) -> bytes | None:
        """Return the signed note, or None; raises as `read` does."""
        return self._read("checkpoint", MAX_CHECKPOINT_BYTES)

    def document(self, content_hash: str) -> bytes | None:
        """Return a document, or None; the caller hashes it. Raises as `read` does."""
        return self._read(f"documents/{content_hash}", MAX_DOCUMENT_BYTES) if _HASH.fullmatch(content_hash) else None

    def _read(self, path: str, limit: int) -> bytes | None:
        data = self._read_most(path, limit + 1)
        if data is not None and len(data) > limit:
            raise TooLargeError(f"{self.folder / path} is larger than it can be.")
        return data

    def _read_most(self, path: str, most: int) -> bytes | None:
        where = self.folder / path
        try:
            return _read_file(where, most)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            if error.errno in _NO_FILE:
                raise TamperError(f"{where} is there, and it is no file.", code="file_differs") from None
            raise BusyError(f"{where} cannot be read now: {error.strerror}.") from None

    # -- writing -------------------------------------------------------------------------------------

    def keep(self, place: Place, data: bytes) -> bool:
        """Write a tile or bundle unless it is there.

        Returns:
            Whether it was written.

        Raises:
            TamperError: `file_differs`; it is there with other bytes, and nothing was written.
        """
        return self._keep(place.path(), data)

    def keep_document(self, content_hash: str, data: bytes) -> bool:
        """Write a document unless it is there, as `keep` does."""
        return self._keep(f"documents/{content_hash}", data)

    def keep_evidence(self, name: str, data: bytes) -> Path:
        """Write a piece of evidence below `evidence/` and sync it, unless a piece of that name is there.

        The one that was found first stays: a second that differs is no reason to keep quiet about what they show.
        """
        target = self.folder / f"evidence/{name}"
        if not os.path.lexists(target):
            self._write(f"evidence/{name}", data)
            self.settle()
        return target

    def show_checkpoint(self, note: bytes) -> bool:
        """Sync everything that was written, then make this the checkpoint.

        Returns:
            Whether it is another one than before.
        """
        self.settle()
        if self.checkpoint() == note:
            return False
        self._write("checkpoint", note)
        self.settle()
        return True

    def drop_narrow(self, first: int, size: int) -> None:
        """Remove the partial tiles and bundles of tiles that became full since the tree had `first` leaves.

        c2sp.org/tlog-tiles "Partial Tiles" lets a log do so: clients then take the full tile. Without it a copy that
        follows its ledger for months would keep every width that it ever saw.
        """
        grown: list[Place] = [*touched_tiles(first, size), *touched_bundles(first, size)]
        for place in grown:
            target = self.folder / place.path()
            if place.width == TILE_WIDTH:
                shutil.rmtree(target.with_name(f"{target.name}.p"), ignore_errors=True)

    def settle(self) -> None:
        """Sync the folders of what was written; their files were synced one by one."""
        for folder in sorted(self._unsynced):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        self._unsynced.clear()

    def _keep(self, path: str, data: bytes) -> bool:
        found = self._read_most(path, len(data) + 1)
        if found is None:
            self._write(path, data)
            return True
        if found != data:
            where = self.folder / path
            raise TamperError(f"{where} is there with other bytes; nothing was overwritten.", code="file_differs")
        return False

    def _write(self, path: str, data: bytes) -> None:
        target = self.folder / path
        self._make_folder(target.parent)
        half = target.with_name(f".{target.name}.part")
        with half.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        half.replace(target)
        self._unsynced.add(target.parent)

    def _make_folder(self, folder: Path) -> None:
        """Make a folder and note each new one's parent, whose entry for it must be synced, too."""
        missing = []
        while not folder.exists():
            missing.append(folder)
            folder = folder.parent
        for each in reversed(missing):
            each.mkdir(exist_ok=True)
            self._unsynced.add(each.parent)


def _read_file(path: Path, most: int) -> bytes:
    """Read at most so many bytes of a regular file; opening a pipe would wait for somebody to write into it.

    Raises:
        OSError: As the system says; `EISDIR` for all that is no regular file.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise IsADirectoryError(errno.EISDIR, "no regular file")
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(most)
    finally:
        os.close(descriptor)
