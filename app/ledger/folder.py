"""A ledger as static files: the tree of c2sp.org/tlog-tiles in one folder, which any tile client reads.

    checkpoint                the newest signed note; written last
    tile/<L>/<N>[.p/<W>]      hash tiles
    tile/entries/<N>[.p/<W>]  leaves
    documents/<hash>          what the rules were judged by, where somebody keeps it; ours, not the specification's

Files are made whole or not at all, and never made over: one that is there with other bytes is an alarm. What a
crash leaves behind: files that the next run finds and verifies, and a checkpoint that speaks of files which are all
there, since everything before it was synced first. Partial tiles of old sizes stay, as the specification lets them.
Knows names and bytes; whether they are right is for who reads them.
"""

import fcntl
import os
import re
import shutil
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
        """
        limit = MAX_TILE_BYTES if isinstance(place, TileCoordinate) else MAX_BUNDLE_BYTES
        return self._read(place.path(), limit)

    def checkpoint(self) -> bytes | None:
        """Return the signed note, or None."""
        return self._read("checkpoint", MAX_CHECKPOINT_BYTES)

    def document(self, content_hash: str) -> bytes | None:
        """Return a document, or None; the caller hashes it."""
        return self._read(f"documents/{content_hash}", MAX_DOCUMENT_BYTES) if _HASH.fullmatch(content_hash) else None

    def _read(self, path: str, limit: int) -> bytes | None:
        try:
            with (self.folder / path).open("rb") as file:
                data = file.read(limit + 1)
        except (FileNotFoundError, NotADirectoryError):
            return None
        if len(data) > limit:
            raise TooLargeError(f"{self.folder / path} is larger than it can be.")
        return data

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
        """Write a piece of evidence below `evidence/` and sync it; the same piece again is no news."""
        path = f"evidence/{name}"
        self._keep(path, data)
        self.settle()
        return self.folder / path

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
        target = self.folder / path
        if not target.exists():
            self._write(path, data)
            return True
        if target.stat().st_size != len(data) or target.read_bytes() != data:
            raise TamperError(f"{target} is there with other bytes; nothing was overwritten.", code="file_differs")
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
