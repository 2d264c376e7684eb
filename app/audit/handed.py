"""Check Parquet files that somebody handed on: signature, checkpoint, every file, and the rows against the ledger.

    PASS         the pinned key signed exactly these files, and every row that was compared is the ledger's
    FAIL         a file is missing, changed, or not listed; a row is not what its leaf says
    INCOMPLETE   nothing is wrong, but something could not be decided

Without a tree to compare with, the rows are what the ledger's own service signed. With its hash tiles, each event's
`leaf_hash` is proven to be in the signed tree; with its leaves, every row of every table is made again and compared.
The files may be a stranger's: names come from the manifest's days and tables alone, and lengths are compared before
anything is read. A link is a finding wherever it lies: what is behind it can be something else tomorrow.
"""

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from app.audit import parquet
from app.audit.following import MAX_FINDINGS, Finding
from app.audit.manifest import JOURNAL, MANIFEST, MAX_MANIFEST_BYTES, NOTE, File, Manifest, days_in, open_manifest
from app.audit.rows import TABLES, Authors, Row, day_of, received_ms, rows_of
from app.canon import JsonValue, b64url_decode, b64url_encode
from app.errors import BusyError, MissingError, ServiceError, UnprovenError
from app.ledger.folder import Place
from app.ledger.note import MAX_NOTE_BYTES
from app.ledger.tiles import TILE_WIDTH, BundleCoordinate, tile_width
from app.ledger.tree import HASH_BYTES
from app.ledger.trust import Trust
from app.ledger.trusted import TrustedTree

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Against:
    """A tree to compare with: where its files come from, its checkpoint, and whether it has leaves or hashes alone."""

    read: Callable[[Place], bytes]
    checkpoint: bytes
    has_leaves: bool


@dataclass(slots=True)
class HandedReport:
    """What one check found."""

    origin: str
    size: int = 0
    root: str = ""
    writers: list[str] = field(default_factory=list)
    files: int = 0
    rows: int = 0
    compared: str = "nothing"
    findings: list[Finding] = field(default_factory=list)
    not_checked: list[str] = field(default_factory=list)

    @property
    def result(self) -> str:
        """Decide by what was found and what was left open."""
        if self.findings:
            return "FAIL"
        return "INCOMPLETE" if self.not_checked else "PASS"

    def as_json(self) -> dict[str, JsonValue]:
        """Return the report as JSON."""
        return {
            "result": self.result, "origin": self.origin, "size": self.size, "root": self.root,
            "writers": list(self.writers), "files": self.files, "rows": self.rows, "compared": self.compared,
            "findings": [finding.as_json() for finding in self.findings], "not_checked": list(self.not_checked),
        }  # fmt: skip

    def find(self, index: int, code: str, detail: str) -> None:
        """Note a finding, up to a bound."""
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(Finding(index, code, detail))

    def leave(self, what: str) -> None:
        """Note what could not be decided, up to a bound."""
        if len(self.not_checked) < MAX_FINDINGS:
            self.not_checked.append(what)


def check_handed(
    folder: Path, ledger: str, trust: Trust, against: Against | None = None,
    progress: Progress = lambda _name, _done, _total: None,
) -> HandedReport:  # fmt: skip
    """Check the files of one ledger.

    Args:
        folder: What holds `ledger=<name>/`.
        ledger: That name.
        trust: The pinned keys and policy.
        against: A tree to compare rows with.
        progress: Told of the progress.

    Raises:
        MissingError: pyarrow is not installed.
    """
    parquet.arrow()
    report, own = HandedReport(trust.origin), folder / f"ledger={ledger}"
    try:
        manifest = _opened(own, trust, report)
        if manifest.ledger != ledger:
            raise UnprovenError("The manifest is of a ledger of another name.")
    except BusyError as error:
        report.leave(error.detail)
        return report
    except ServiceError as error:
        report.find(0, error.code, error.detail)
        return report
    report.size, report.root = manifest.size, manifest.root
    report.writers = sorted({file.writer for file in manifest.files})
    report.files, report.rows = len(manifest.files), sum(file.rows for file in manifest.files)
    for file in manifest.files:
        _check_file(folder, file, report)
        progress("files", 1, len(manifest.files))
    _find_strangers(folder, own, manifest, report)
    if against is not None and not report.findings:
        try:
            _Comparison(folder, manifest, report, against, progress).run(trust)
        except (BusyError, MissingError) as error:
            report.leave(error.detail)
        except ServiceError as error:
            report.find(0, error.code, error.detail)
        except ValueError as error:
            report.find(0, "file_differs", f"A file cannot be compared: {error}.")
        except OSError as error:
            report.leave(f"A file cannot be read now: {error.strerror}.")
    return report


def _opened(own: Path, trust: Trust, report: HandedReport) -> Manifest:
    data, note = _read(own / MANIFEST, MAX_MANIFEST_BYTES), _read(own / NOTE, MAX_NOTE_BYTES)
    try:
        return open_manifest(data, note, trust)
    except UnprovenError as error:
        if error.code != "quorum":
            raise
        report.leave(error.detail)
        return open_manifest(data, note, trust, quorum=False)


def _read(path: Path, most: int) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise MissingError(f"{path} is no file.")
            with open(descriptor, "rb", closefd=False) as file:
                return file.read(most + 1)
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        raise MissingError(f"{path} is missing.") from None
    except OSError as error:
        raise BusyError(f"{path} cannot be read now: {error.strerror}.") from None


def _check_file(folder: Path, file: File, report: HandedReport) -> None:
    path = folder / file.path
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            report.find(file.first, "file_differs", f"{file.path} is no file.")
        elif found.st_size != file.bytes or parquet.hash_of(path)["sha256"] != file.sha256:
            report.find(file.first, "file_differs", f"{file.path} is not the file that was signed.")
        elif parquet.count_of(path, file.table) != file.rows:
            report.find(file.first, "file_differs", f"{file.path} has another number of rows than was signed.")
        elif file.table == "events" and not _is_range(parquet.read_column(path, file.table, "leaf_index"), file):
            report.find(file.first, "file_differs", f"{file.path} has not one event for each of its leaves.")
    except FileNotFoundError:
        report.find(file.first, "not_found", f"{file.path} is missing.")
    except ValueError as error:
        report.find(file.first, "file_differs", f"{file.path} is no such Parquet file: {error}.")
    except OSError as error:
        report.leave(f"{file.path} cannot be read now: {error.strerror or error}.")


def _is_range(indexes: Iterator[object], file: File) -> bool:
    expected = file.first
    for index in indexes:
        if index != expected:
            return False
        expected += 1
    return expected == file.end


def _find_strangers(folder: Path, own: Path, manifest: Manifest, report: HandedReport) -> None:
    """Find what lies there and is not listed: whoever reads `day=*` would take it for the ledger's.

    Excused is what a crash leaves of what is listed, plain files whose names no pattern for Parquet takes in.
    """
    listed = {file.path for file in manifest.files} | {f"{own.name}/{name}" for name in (MANIFEST, NOTE)}
    excused = {f"{path}.part" for path in listed} | {f"{own.name}/{JOURNAL}"}

    def unread(error: OSError) -> None:
        report.leave(f"{error.filename!a} cannot be read now: {error.strerror}.")

    for where, folders, names in os.walk(own, onerror=unread):
        for path in (Path(where, name) for name in sorted([*folders, *names])):
            told = path.relative_to(folder).as_posix()
            try:
                mode = path.lstat().st_mode
            except OSError as error:
                unread(error)
                continue
            if stat.S_ISLNK(mode):
                report.find(0, "not_listed", f"{told!a} is a link, and no link was signed.")
            elif not stat.S_ISDIR(mode) and told not in listed and not (told in excused and stat.S_ISREG(mode)):
                report.find(0, "not_listed", f"{told!a} is there and was not signed.")


class _Comparison:
    """The rows beside the tree."""

    def __init__(
        self, folder: Path, manifest: Manifest, report: HandedReport, against: Against, progress: Progress
    ) -> None:  # fmt: skip
        self._folder, self._manifest, self._report = folder, manifest, report
        self._against, self._progress = against, progress

    def run(self, trust: Trust) -> None:
        """Prove that the tree there begins with the manifest's, then compare."""
        checkpoint = trust.open(self._against.checkpoint, quorum=False)
        if checkpoint.size < self._manifest.size:
            raise MissingError("The tree to compare with is older than the manifest.")
        tree = TrustedTree(checkpoint, self._against.read)
        if b64url_encode(tree.root_at(self._manifest.size)) != self._manifest.root:
            raise UnprovenError("The manifest is of another history than the tree to compare with.")
        days = days_in(self._manifest.files)
        if self._against.has_leaves:
            self._rows(tree, [list(files) for _, files in days])
            self._report.compared = "every row with its leaf"
        else:
            for _, files in days:
                self._hashes(tree, files[0])
            self._report.compared = "the hash of every event's leaf"

    def _hashes(self, tree: TrustedTree, events: File) -> None:
        told = parquet.read_column(self._folder / events.path, events.table, "leaf_hash")
        for n in range(events.first // TILE_WIDTH, -(-events.end // TILE_WIDTH)):
            tile = tree.tile(0, n)
            first, end = max(events.first, n * TILE_WIDTH), min(events.end, (n + 1) * TILE_WIDTH)
            for index in range(first, end):
                at = (index - n * TILE_WIDTH) * HASH_BYTES
                if _bytes_of(next(told, None)) != tile[at : at + HASH_BYTES]:
                    self._report.find(index, "tile", "The event's leaf_hash is not that of the leaf in the tree.")
            self._progress("events", end - first, self._manifest.size)

    def _rows(self, tree: TrustedTree, days: list[list[File]]) -> None:
        """Make the rows again, from the first leaf on: earlier leaves say whose keys there are, and what day it is."""
        authors, waiting, latest_ms = Authors(), iter(days), 0
        day, held = next(waiting, None), dict[str, Iterator[Row]]()
        last = days[-1][0].end if days else 0
        for n in range(-(-last // TILE_WIDTH)):
            place = BundleCoordinate(n, tile_width(0, n, tree.size))
            for index, leaf in enumerate(tree.leaves(place, self._against.read(place)), n * TILE_WIDTH):
                author, latest_ms = authors.take(leaf), max(latest_ms, received_ms(leaf))
                if day is None or index < day[0].first:
                    continue
                if index == day[0].first:
                    held = {file.table: parquet.read_rows(self._folder / file.path, file.table) for file in day}
                if day_of(latest_ms) != day[0].day:  # a time that goes back belongs to the latest day so far
                    self._report.find(index, "row", f"The leaf is not of {day[0].day}, but of {day_of(latest_ms)}.")
                self._leaf(index, rows_of(index, leaf, author), held)
                if index == day[0].end - 1:
                    self._end(index, held)
                    day = next(waiting, None)
            self._progress("events", place.width, last)

    def _leaf(self, index: int, made: dict[str, list[Row]], held: dict[str, Iterator[Row]]) -> None:
        for table, rows in made.items():
            if list(islice(held[table], len(rows))) != rows:
                self._report.find(index, "row", f"The rows of {table} are not what the leaf says.")

    def _end(self, index: int, held: dict[str, Iterator[Row]]) -> None:
        for table in TABLES:
            if next(held[table], None) is not None:
                self._report.find(index, "row", f"There are more rows of {table} than the leaves give.")


def _bytes_of(text: object) -> bytes:
    try:
        return b64url_decode(text) if isinstance(text, str) else b""
    except ServiceError:
        return b""
