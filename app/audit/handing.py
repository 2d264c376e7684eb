"""Hand a ledger's rows on as Parquet files by day, with a signed manifest.

A day that is over is written once. As soon as its files are whole, and before any of them is in its place, they are
noted in `journal.part`; so a run that was killed goes on where it stopped. The manifest and its signature come last.

Nothing in the folder is believed for lying there, since more people may write there than hold the ledger's keys: what
is signed again is what a key of this ledger signed before, of a tree that is this one's past. That holds for every line
of the journal as for the manifest. What was listed before is hashed again, after the database was let go, and a file
that differs is an alarm, not something to write over.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from app.audit import parquet
from app.audit.days import Day, days_of, keys_ever, leaves_of, take_time
from app.audit.manifest import (
    JOURNAL,
    MANIFEST,
    MAX_MANIFEST_BYTES,
    NOTE,
    File,
    Manifest,
    SignedManifest,
    days_in,
    is_ledger_name,
    manifest_of,
    open_manifest,
    sign_manifest,
)
from app.audit.rows import TABLES
from app.canon import b64url_encode
from app.custody.lookup import meta_of
from app.custody.serverkeys import ServerKeys
from app.db import Database, ReadSession
from app.errors import RefusedError, ServiceError, TamperError
from app.ledger.append import Head, Reader, read_head
from app.ledger.folder import TileFolder
from app.ledger.note import MAX_NOTE_BYTES, SignerKey
from app.ledger.trust import Trust
from app.ledger.witnessed import cosigned_note

TICK = 256
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Handed:
    """What a run came to: the manifest, and how many days were written now."""

    manifest: Manifest
    days_written: int


@dataclass(frozen=True, slots=True)
class _Run:
    """One run: the ledger as its snapshot shows it, what signs, and whose signatures are believed."""

    session: ReadSession
    reader: Reader
    head: Head
    folder: Path
    note: bytes
    keys: Sequence[SignerKey]
    trust: Trust

    @property
    def own(self) -> Path:
        """The folder of this ledger."""
        return _own(self.folder, self.head)


def hand_on(
    db: Database, named: str, keys: ServerKeys, folder: Path, *, since: str = "", until: str = "",
    progress: Progress = lambda _name, _done, _total: None,
) -> Handed:  # fmt: skip
    """Write the days of a ledger that are not there yet, and sign what there is.

    Args:
        db: Where the ledger is; all of it is read in one snapshot, which ends before files are hashed.
        named: Name of the ledger; empty for the only one.
        keys: The server's; those in force sign.
        folder: Where `ledger=<name>/` is made.
        since: The first day, `2024-11-26`; empty for the ledger's first.
        until: The last day; empty for the newest, which may still grow and is then written again.
        progress: Told of the progress, in leaves.

    Raises:
        TamperError: A listed file differs; what was handed on is not signed by this ledger, or of another history; the
            tree has no checkpoint; a key in force is not here.
        RefusedError: The ledger's name can be no folder's.
        MissingError: pyarrow is not installed, or there is no such ledger.
        BusyError: Another process writes there, or the database has no time.
    """
    parquet.arrow()
    with ExitStack() as held:
        with db.read() as session:
            take_time(session)
            head = read_head(session, named)
            if not is_ledger_name(head.name):
                raise RefusedError("The name of this ledger can be no folder's.")
            held.enter_context(TileFolder(_own(folder, head)).locked())
            run = _begun(session, head, keys, folder)
            known = _known(run)
            written = _write(run, known, since, until, progress)
            note = cosigned_note(session, head.ledger_id, head.size)
        for files in known.values():
            _refuse_changed(folder, files)
        manifest = manifest_of(head.name, note, [file for some in known.values() for file in some])
        _publish(run.own, sign_manifest(manifest, run.keys))
    return Handed(manifest, written)


def _own(folder: Path, head: Head) -> Path:
    return folder / f"ledger={head.name}"


def _begun(session: ReadSession, head: Head, keys: ServerKeys, folder: Path) -> _Run:
    reader = Reader(head.ledger_id)
    last = reader.last_checkpoint(session)
    if last is None or last[0] != head.size:
        raise TamperError("The newest tree has no signed checkpoint.")
    meta = meta_of(session, head.ledger_id)
    signing = keys.signing(meta.ledger_keys if meta is not None else ())
    trust = Trust(tuple(keys_ever(session, head.ledger_id, head.size)))
    return _Run(session, reader, head, folder, last[1], signing, trust)


def _write(run: _Run, known: dict[str, Sequence[File]], since: str, until: str, progress: Progress) -> int:
    """Write the wanted days that are not there, put them among the known ones, and count them."""
    days = days_of(run.session, run.head.ledger_id, run.head.size)
    wanted = [one for one in days if (not since or since <= one.day) and (not until or one.day <= until)]
    total, written = sum(one.end - one.first for one in wanted), 0
    for one in wanted:
        if _is_there(run.folder, one, known.get(one.day)):
            progress("events", one.end - one.first, total)
            continue
        leaves = leaves_of(run.session, run.head.ledger_id, one)
        files = parquet.write_day(run.folder, run.head.name, one, _told(leaves, progress, total))
        # A crash before the note leaves `.part` files that nobody knows; after it, files that the next run moves.
        _note_down(run.own / JOURNAL, sign_manifest(manifest_of(run.head.name, run.note, files), run.keys))
        parquet.place(run.folder, files)
        known[one.day] = files
        written += 1
    return written


def _told(
    leaves: Iterable[tuple[int, bytes, tuple[str, str]]], progress: Progress, total: int
) -> Iterator[tuple[int, bytes, tuple[str, str]]]:  # fmt: skip
    done = 0
    for done, one in enumerate(leaves, 1):
        yield one
        if done % TICK == 0:
            progress("events", TICK, total)
    progress("events", done % TICK, total)


# -- what is there already -----------------------------------------------------------------------------------


def _known(run: _Run) -> dict[str, Sequence[File]]:
    """Return the files that the last manifest and the journal list, by day, and clear away what a crash left half."""
    prior = _prior(run)
    known: dict[str, Sequence[File]] = dict(days_in(prior.files)) if prior is not None else {}
    for signed in _journal(run.own / JOURNAL):
        for day, files in days_in(_believed(run, run.own / JOURNAL, signed).files):
            before = known.get(day)
            if before is None or files[0].end >= before[0].end:  # who brings an old line back makes no day shorter
                known[day] = _settled(run.folder, files, before)
    for table in TABLES:
        for half in run.own.glob(f"day=*/{table}.parquet.part"):
            half.unlink()
    return known


def _prior(run: _Run) -> Manifest | None:
    """Return the last manifest; None when there is none.

    A crash between the manifest and its note leaves the note beside its place. It is as good there, being signed.
    """
    where = run.own / MANIFEST
    data = _read(where, MAX_MANIFEST_BYTES)
    if data is None:
        return None
    with suppress(TamperError):
        half = _read(run.own / f"{NOTE}.part", MAX_NOTE_BYTES)
        if half is not None:
            return _believed(run, where, SignedManifest(data, half))
    return _believed(run, where, SignedManifest(data, _read(run.own / NOTE, MAX_NOTE_BYTES) or b""))


def _believed(run: _Run, where: Path, signed: SignedManifest) -> Manifest:
    """Return a manifest that this ledger signed, of its own past.

    Whoever can write the folder could list what he wrote himself, and this run would sign it. To write the days again
    would be as safe, and hide that somebody did; no crash leaves a manifest here that cannot be proven.
    """
    try:
        manifest = open_manifest(signed.data, signed.note, run.trust, quorum=False)
    except ServiceError as error:
        raise TamperError(
            f"{where} cannot be believed: {error.detail} Nothing was signed. Find out who writes there, and export "
            "into an empty folder.", code="file_differs",
        ) from None  # fmt: skip
    same = manifest.ledger == run.head.name and manifest.size <= run.head.size
    if not same or b64url_encode(run.reader.nodes(run.session).root(manifest.size)) != manifest.root:
        raise TamperError(f"{where} is of another history than this ledger's.", code="file_differs")
    return manifest


def _journal(path: Path) -> list[SignedManifest]:
    """Return what the journal lists, in its order; a line may be torn."""
    if not os.path.lexists(path):
        return []
    if not _is_plain(path):
        raise TamperError(f"{path} is no file; nothing was written.", code="file_differs")
    lines = path.read_bytes().splitlines()
    return [signed for signed in map(SignedManifest.parse_line, lines) if signed is not None]


def _settled(folder: Path, files: Sequence[File], before: Sequence[File] | None) -> Sequence[File]:
    """Move those files of a day into place that a crash left beside it, and return what is there now.

    When somebody removed them, and what was there before is still whole, that day is as it was.
    """
    parquet.place(folder, [file for file in files if _holds(parquet.half_of(folder / file.path), file)])
    if before is not None and not _hold(folder, files) and _hold(folder, before):
        return before
    return files


def _hold(folder: Path, files: Iterable[File]) -> bool:
    return all(_holds(folder / file.path, file) for file in files)


def _holds(path: Path, file: File) -> bool:
    return _is_plain(path) and parquet.hash_of(path) == {"bytes": file.bytes, "sha256": file.sha256}


def _is_plain(path: Path) -> bool:
    """Say whether there is a file, and no link: `check` refuses those, and where they lead is not ours to write."""
    return path.is_file() and not path.is_symlink()


def _is_there(folder: Path, day: Day, files: Sequence[File] | None) -> bool:
    """Say whether a day's files need not be written.

    Raises:
        TamperError: They are of other leaves than the day's.
    """
    if files is None:
        return False
    first, end = files[0].first, files[0].end
    if first != day.first or end > day.end:
        raise TamperError(f"The files of {day.day} are of other leaves than that day's.", code="file_differs")
    return end == day.end and all(_is_plain(folder / file.path) for file in files)


def _refuse_changed(folder: Path, files: Iterable[File]) -> None:
    for file in files:
        where = folder / file.path
        if not _is_plain(where):
            raise TamperError(f"{where} is missing; export that day again.", code="file_differs")
        if not _holds(where, file):
            raise TamperError(f"{where} is not the file that was written; nothing was signed.", code="file_differs")


def _read(path: Path, most: int) -> bytes | None:
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return file.read(most + 1)


# -- what is signed ------------------------------------------------------------------------------------------


def _note_down(journal: Path, signed: SignedManifest) -> None:
    with journal.open("ab") as out:
        out.write(signed.to_line())
        out.flush()
        os.fsync(out.fileno())
    parquet.sync(journal.parent)


def _publish(own: Path, signed: SignedManifest) -> None:
    """Put the manifest, then its note, into place, both being on the disk before.

    Between the two the old note signs another manifest, and `check` says so; a crash there leaves the new one beside.
    """
    for name, content in ((MANIFEST, signed.data), (NOTE, signed.note)):
        half = own / f"{name}.part"
        half.unlink(missing_ok=True)  # a link that somebody put there would lead the bytes elsewhere
        with half.open("xb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
    for name in (MANIFEST, NOTE):
        parquet.sync(own)
        (own / f"{name}.part").replace(own / name)
    parquet.sync(own)
    (own / JOURNAL).unlink(missing_ok=True)
