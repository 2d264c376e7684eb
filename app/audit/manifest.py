"""The manifest of Parquet files: which files there are, of which leaves, signed against a checkpoint (pure).

    manifest.json    canonical JSON: ledger, tree size and root, the checkpoint itself, each file with its hash
    manifest.note    c2sp.org/signed-note: header, origin, tree size, root, SHA-256 of manifest.json
    journal.part     while days are written: a line for each, the manifest of that day alone and its note

The note is signed by the keys that sign the ledger's checkpoints, so whoever pinned those needs no other key. It can be
taken for no checkpoint, whose first line is the origin, nor for a list of ledgers, whose header is another.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from app.audit.rows import TABLES
from app.canon import b64url_encode, jcs, parse_json, sha256
from app.errors import MalformedError, UnprovenError
from app.ledger.checkpoint import Checkpoint
from app.ledger.note import Note, SignerKey, verify
from app.ledger.trust import Trust
from app.strict import Strict, read_strict
from app.units.documents import Hash

HEADER = "custody-parquet/v1"
MANIFEST, NOTE, JOURNAL = "manifest.json", "manifest.note", "journal.part"
MAX_MANIFEST_BYTES = 32 * 1024 * 1024
MAX_FILES = 40_000
"""Four tables a day for 27 years."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DAY = r"^20\d\d-[01]\d-[0-3]\d$"
Count = Annotated[int, Field(ge=0, le=2**53 - 1)]


class File(Strict):
    """One file: the rows that a day's leaves, from `first` up to and without `end`, give to a table."""

    path: Annotated[str, Field(max_length=160)]
    table: Literal["events", "event_units", "units", "handovers"]
    day: Annotated[str, Field(pattern=_DAY)]
    first: Count
    end: Count
    rows: Count
    bytes: Count
    sha256: Hash
    writer: Annotated[str, Field(min_length=1, max_length=80)]
    """What wrote it: only files of one writer are the same byte for byte."""


class Manifest(Strict):
    """All files of one ledger, and the tree that they are told of."""

    v: Literal[1]
    kind: Literal["custody-parquet"]
    ledger: Annotated[str, Field(max_length=64)]
    origin: Annotated[str, Field(min_length=1, max_length=200)]
    size: Count
    root: Hash
    checkpoint: Annotated[str, Field(max_length=65_536)]
    files: Annotated[tuple[File, ...], Field(max_length=MAX_FILES)]

    def to_bytes(self) -> bytes:
        """Return canonical JSON."""
        return jcs(self.model_dump(mode="json"))


class _Line(Strict):
    """A line of the journal."""

    manifest: str
    note: str


_MANIFEST, _LINE = TypeAdapter(Manifest), TypeAdapter(_Line)


@dataclass(frozen=True, slots=True)
class SignedManifest:
    """A manifest's bytes and its note, as they are written; neither read nor proven."""

    data: bytes
    note: bytes

    def to_line(self) -> bytes:
        """Write both as a line of the journal.

        It begins with a line's end: what a crash left of the line before, without one, spoils that line alone.
        """
        return b"\n" + jcs({"manifest": self.data.decode(), "note": self.note.decode()}) + b"\n"

    @classmethod
    def parse_line(cls, line: bytes) -> "SignedManifest | None":
        """Read a line of the journal; None when it is torn or empty."""
        try:
            read = _LINE.validate_json(line)
        except ValidationError:
            return None
        return cls(read.manifest.encode(), read.note.encode())


def path_of(ledger: str, day: str, table: str) -> str:
    """Return where a file is, from the folder of the export."""
    return f"ledger={ledger}/day={day}/{table}.parquet"


def is_ledger_name(text: str) -> bool:
    """Say whether a name can be that of a folder, and nothing else."""
    return _NAME.fullmatch(text) is not None


def sign_manifest(manifest: Manifest, keys: Iterable[SignerKey]) -> SignedManifest:
    """Sign a manifest with the keys that sign the ledger's checkpoints.

    Args:
        manifest: What is signed.
        keys: The ledger's keys in force.
    """
    data = manifest.to_bytes()
    text = _text(manifest.origin, manifest.size, manifest.root, data)
    return SignedManifest(data, Note(text, tuple(key.sign(text) for key in keys)).to_bytes())


def open_manifest(data: bytes, note: bytes, trust: Trust, *, quorum: bool = True) -> Manifest:
    """Verify a manifest and return it: the signature first, then its form, then the checkpoint in it.

    Args:
        data: `manifest.json`.
        note: `manifest.note`.
        trust: The pinned keys and policy.
        quorum: Ask for the witnesses of the policy as well.

    Raises:
        UnprovenError: `note_signature`: no pinned key has signed these bytes, or the checkpoint in it; `quorum`.
        MalformedError, TooLargeError: It is no manifest, or contradicts itself.
    """
    opened = Note.parse(note)
    verify(opened, trust.ledger_keys)
    manifest = parse_manifest(data)
    if opened.text != _text(trust.origin, manifest.size, manifest.root, data) or manifest.origin != trust.origin:
        raise UnprovenError("What is signed is not this manifest of this ledger.", code="note_signature")
    checkpoint = trust.open(manifest.checkpoint.encode(), quorum=quorum)
    if (checkpoint.size, b64url_encode(checkpoint.root)) != (manifest.size, manifest.root):
        raise MalformedError("The manifest and the checkpoint in it speak of two trees.")
    return manifest


def parse_manifest(data: bytes) -> Manifest:
    """Read a manifest strictly. Proves nothing: use `open_manifest`.

    Raises:
        MalformedError: Not canonical JSON of a manifest; a path that is not the one its day and table have; files
            out of order; leaves of two days that overlap.
        TooLargeError: More than 32 MiB.
    """
    value = parse_json(data, max_bytes=MAX_MANIFEST_BYTES)
    if jcs(value) != data:
        raise MalformedError("A manifest is canonical JSON.")
    manifest = read_strict(_MANIFEST, data, "malformed")
    if not is_ledger_name(manifest.ledger):
        raise MalformedError("The name of the ledger is no name of a folder.")
    for file in manifest.files:
        if file.path != path_of(manifest.ledger, file.day, file.table) or not file.first < file.end <= manifest.size:
            raise MalformedError("A file of the manifest is not in its place, or not of this tree.")
    days = days_in(manifest.files)
    if [file for _, files in days for file in files] != list(manifest.files):
        raise MalformedError("The files of a manifest stand by day and table.")
    for day, files in days:
        if [file.table for file in files] != list(TABLES) or len({(file.first, file.end) for file in files}) != 1:
            raise MalformedError(f"The files of {day} are not one of each table, of the same leaves.")
    if any(before[1][0].end > after[1][0].first for before, after in pairwise(days)):
        raise MalformedError("Two days of the manifest have a leaf in common.")
    return manifest


def days_in(files: Iterable[File]) -> list[tuple[str, Sequence[File]]]:
    """Return the files of each day, in order of days and tables."""
    order = list(TABLES)
    found: dict[str, list[File]] = {}
    for file in files:
        found.setdefault(file.day, []).append(file)
    return [(day, sorted(found[day], key=lambda file: order.index(file.table))) for day in sorted(found)]


def manifest_of(ledger: str, note: bytes, files: Iterable[File]) -> Manifest:
    """Put a manifest together.

    Args:
        ledger: Name of the ledger.
        note: The signed checkpoint.
        files: All of them.

    Raises:
        MalformedError: The note is no checkpoint.
    """
    checkpoint = Checkpoint.parse(Note.parse(note).text)
    ordered = tuple(file for _, some in days_in(files) for file in some)
    return Manifest(
        v=1, kind="custody-parquet", ledger=ledger, origin=checkpoint.origin, size=checkpoint.size,
        root=b64url_encode(checkpoint.root), checkpoint=note.decode(), files=ordered,
    )  # fmt: skip


def _text(origin: str, size: int, root: str, data: bytes) -> str:
    return f"{HEADER}\n{origin}\n{size}\n{root}\n{b64url_encode(sha256(data))}\n"
