"""Hand a ledger's rows on as Parquet files by day, with a signed manifest.

A day that is over is written once. Its files are listed in `journal.part` as soon as they are whole, so a run that was
killed goes on where it stopped; the manifest and its signature come last. What was listed before is hashed again before
it is signed again, and a file that differs is an alarm, not something to write over.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from app.audit import parquet
from app.audit.days import Day, days_of, leaves_of
from app.audit.manifest import (
    MANIFEST,
    MAX_MANIFEST_BYTES,
    NOTE,
    File,
    Manifest,
    days_in,
    is_ledger_name,
    manifest_of,
    parse_manifest,
    sign_manifest,
)
from app.audit.rows import TABLES
from app.canon import b64url_encode
from app.db import ReadSession
from app.errors import RefusedError, ServiceError, TamperError
from app.ledger.append import Head, Reader
from app.ledger.checkpoint import Checkpoint
from app.ledger.folder import TileFolder
from app.ledger.note import Note, SignerKey
from app.ledger.witnessed import cosigned_note

JOURNAL = "journal.part"
TICK = 256
Progress = Callable[[str, int, int], None]
_FILE = TypeAdapter(File)


@dataclass(frozen=True, slots=True)
class Handed:
    """What a run came to: the manifest, and how many days were written now."""

    manifest: Manifest
    days_written: int


def hand_on(
    session: ReadSession, head: Head, keys: Iterable[SignerKey], folder: Path, *, since: str = "", until: str = "",
    progress: Progress = lambda _name, _done, _total: None,
) -> Handed:  # fmt: skip
    """Write the days of a ledger that are not there yet, and sign what there is.

    Args:
        session: One snapshot, in which everything is read.
        head: The ledger's head in it.
        keys: The keys in force, which sign its checkpoints.
        folder: Where `ledger=<name>/` is made.
        since: The first day, `2024-11-26`; empty for the ledger's first.
        until: The last day; empty for the newest, which may still grow and is then written again.
        progress: Told of the progress, in leaves.

    Raises:
        TamperError: A listed file differs; what was handed on is of another history; the tree has no checkpoint.
        RefusedError: The ledger's name can be no folder's.
        MissingError: pyarrow is not installed.
        BusyError: Another process writes there.
    """
    if not is_ledger_name(head.name):
        raise RefusedError("The name of this ledger can be no folder's.")
    writer, own = parquet.writer_name(), folder / f"ledger={head.name}"
    with TileFolder(own).locked():
        reader = Reader(head.ledger_id)
        last = reader.last_checkpoint(session)
        if last is None or last[0] != head.size:
            raise TamperError("The newest tree has no signed checkpoint.")
        note = cosigned_note(session, head.ledger_id, head.size)
        known = _known(own, session, reader, head)
        days = days_of(session, head.ledger_id, head.size)
        wanted = [one for one in days if (not since or since <= one.day) and (not until or one.day <= until)]
        written = 0
        total = sum(one.end - one.first for one in wanted)
        for one in wanted:
            if not _is_there(folder, one, known.get(one.day)):
                leaves = leaves_of(session, head.ledger_id, one)
                known[one.day] = parquet.write_day(folder, head.name, one, _told(leaves, progress, total))
                _note_down(own / JOURNAL, known[one.day])
                written += 1
            else:
                progress("events", one.end - one.first, total)
        for files in known.values():
            _refuse_changed(folder, files)
        checkpoint = Checkpoint.parse(Note.parse(note).text)
        manifest = manifest_of(head.name, checkpoint, note, writer, [file for some in known.values() for file in some])
        _publish(own, manifest, keys)
    return Handed(manifest, written)


def _told(
    leaves: Iterable[tuple[int, bytes, tuple[str, str]]], progress: Progress, total: int
) -> Iterator[tuple[int, bytes, tuple[str, str]]]:  # fmt: skip
    done = 0
    for done, one in enumerate(leaves, 1):
        yield one
        if done % TICK == 0:
            progress("events", TICK, total)
    progress("events", done % TICK, total)


def _known(own: Path, session: ReadSession, reader: Reader, head: Head) -> dict[str, list[File]]:
    """Return the files that the last manifest and the journal list, by day; of this ledger's own past only."""
    found: dict[str, list[File]] = {}
    manifest = own / MANIFEST
    if manifest.exists():
        try:
            with manifest.open("rb") as file:
                prior = parse_manifest(file.read(MAX_MANIFEST_BYTES + 1))
        except ServiceError as error:
            raise TamperError(f"{manifest} is damaged: {error.detail}", code="file_differs") from None
        same = prior.origin == head.origin and prior.size <= head.size
        if not same or b64url_encode(reader.nodes(session).root(prior.size)) != prior.root:
            raise TamperError(f"{manifest} is of another history than this ledger's.", code="file_differs")
        found = {day: list(files) for day, files in days_in(prior.files)}
    for day, files in days_in(_journal(own / JOURNAL)):
        if [file.table for file in files] == list(TABLES):
            found[day] = list(files)
    return found


def _journal(path: Path) -> list[File]:
    """Return what the journal lists; its last line may be torn, and of two lines on one file the later one counts."""
    found: dict[str, File] = {}
    with suppress(FileNotFoundError):
        for line in path.read_bytes().splitlines():
            with suppress(ValidationError):
                file = _FILE.validate_json(line)
                found[file.path] = file
    return list(found.values())


def _is_there(folder: Path, day: Day, files: list[File] | None) -> bool:
    """Say whether a day's files need not be written.

    Raises:
        TamperError: They are of other leaves than the day's.
    """
    if files is None:
        return False
    first, end = files[0].first, files[0].end
    if first != day.first or end > day.end:
        raise TamperError(f"The files of {day.day} are of other leaves than that day's.", code="file_differs")
    return end == day.end and all((folder / file.path).exists() for file in files)


def _refuse_changed(folder: Path, files: Iterable[File]) -> None:
    for file in files:
        where = folder / file.path
        if not where.is_file():
            raise TamperError(f"{where} is missing; export that day again.", code="file_differs")
        if parquet.hash_of(where) != {"bytes": file.bytes, "sha256": file.sha256}:
            raise TamperError(f"{where} is not the file that was written; nothing was signed.", code="file_differs")


def _note_down(journal: Path, files: list[File]) -> None:
    with journal.open("ab") as out:
        out.writelines(json.dumps(file.model_dump()).encode() + b"\n" for file in files)
        out.flush()
        os.fsync(out.fileno())


def _publish(own: Path, manifest: Manifest, keys: Iterable[SignerKey]) -> None:
    """Write the manifest, then its note: between the two the old note signs another manifest, and `check` says so."""
    data = manifest.to_bytes()
    for name, content in ((MANIFEST, data), (NOTE, sign_manifest(manifest, data, keys))):
        half = own / f"{name}.part"
        with half.open("wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        half.replace(own / name)
    (own / JOURNAL).unlink(missing_ok=True)
