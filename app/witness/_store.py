"""A witness's memory: SQLite, one transaction at a time, nothing signed that is not committed.

    witness    one row: who this is, the sequence number of the last change, and a digest over all changes
    ledger     per origin the largest tree cosigned; its size never falls, its root at a size never changes
    ledger_key trusted keys; one that is removed stays as a row
    evidence   signed checkpoints that contradict what was held; insert only, but for a doubt that was cleared: the very
               tree that came without a proof was accepted later

`synchronous=FULL` with a write-ahead log: a commit is on the disk when it returns. Every change has the next sequence
number, and its digest covers the digest before it: an older copy of the file shows (`folder`). A commit that failed is
never tried again: what the disk holds then is unknown, so this process answers no more and a restart reads it anew.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from app.errors import BusyError, ConflictError, MissingError, TamperError
from app.ledger.note import Note, VerifierKey
from app.witness.decide import Finding, Held, Request

FORMAT = 1
BUSY_MS = 5000
MAX_EVIDENCE = 256
"""Pieces of evidence kept per ledger and finding, cleared ones not counted: the first. 128 KiB each at most, so 64 MiB
for a ledger."""

_EVIDENCE_STAYS = """CREATE TRIGGER evidence_stays BEFORE DELETE ON evidence
  WHEN OLD.finding <> 'unproven' OR NOT EXISTS
    (SELECT 1 FROM ledger WHERE origin = OLD.origin AND size = OLD.size AND root = OLD.root)
  BEGIN SELECT RAISE(ABORT, 'evidence is kept'); END"""

_SCHEMA = f"""
CREATE TABLE witness (
  id INTEGER PRIMARY KEY CHECK (id = 1), format INTEGER NOT NULL, instance TEXT NOT NULL, name TEXT NOT NULL,
  vkeys TEXT NOT NULL, sequence INTEGER NOT NULL, digest BLOB NOT NULL, newest_at INTEGER NOT NULL,
  stopped TEXT NOT NULL) STRICT;
CREATE TABLE ledger (
  origin TEXT PRIMARY KEY, hash TEXT NOT NULL UNIQUE, url TEXT NOT NULL,
  size INTEGER NOT NULL, root BLOB NOT NULL, note BLOB, cosigned_at INTEGER NOT NULL) STRICT;
CREATE TABLE ledger_key (
  origin TEXT NOT NULL REFERENCES ledger, vkey TEXT NOT NULL, trusted INTEGER NOT NULL,
  PRIMARY KEY (origin, vkey)) STRICT;
CREATE TABLE evidence (
  id INTEGER PRIMARY KEY AUTOINCREMENT, origin TEXT NOT NULL REFERENCES ledger, finding TEXT NOT NULL,
  size INTEGER NOT NULL, root BLOB NOT NULL, kept_at INTEGER NOT NULL, note BLOB NOT NULL, body BLOB NOT NULL,
  held_size INTEGER NOT NULL, held_root BLOB NOT NULL, held_note BLOB,
  UNIQUE (origin, finding, size, root)) STRICT;
CREATE TRIGGER ledger_grows BEFORE UPDATE ON ledger
  WHEN NEW.size < OLD.size OR (NEW.size = OLD.size AND NEW.root <> OLD.root) OR NEW.cosigned_at < OLD.cosigned_at
  BEGIN SELECT RAISE(ABORT, 'a witness never goes back'); END;
CREATE TRIGGER ledger_stays BEFORE DELETE ON ledger BEGIN SELECT RAISE(ABORT, 'a ledger is never forgotten'); END;
{_EVIDENCE_STAYS};
CREATE TRIGGER evidence_is BEFORE UPDATE ON evidence BEGIN SELECT RAISE(ABORT, 'evidence is kept'); END;
"""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this witness is, and its last change."""

    format: int
    instance: str
    name: str
    vkeys: tuple[str, ...]
    sequence: int
    digest: bytes
    newest_at: int
    stopped: str


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One ledger with the largest tree that was cosigned; times are POSIX seconds, 0 for never."""

    origin: str
    hash: str
    url: str
    size: int
    root: bytes
    note: bytes | None
    cosigned_at: int

    @property
    def held(self) -> Held:
        """Return what a request is judged against."""
        return Held(self.size, self.root)


@dataclass(frozen=True, slots=True)
class EvidenceRow:
    """A signed checkpoint that was refused, as it came, beside what was held then."""

    id: int
    origin: str
    finding: str
    size: int
    root: bytes
    kept_at: int
    note: bytes
    body: bytes
    held_size: int
    held_root: bytes
    held_note: bytes | None


_LEDGER = "SELECT origin, hash, url, size, root, note, cosigned_at FROM ledger"
_EVIDENCE = "SELECT id, origin, finding, size, root, kept_at, note, body, held_size, held_root, held_note FROM evidence"


class Store:
    """One open database; safe between threads and beside other processes on the same file."""

    def __init__(self, path: Path, busy_ms: int = BUSY_MS) -> None:
        """Open a database that `create` made.

        Raises:
            MissingError: There is none.
            TamperError: It is no database of a witness, or damaged.
        """
        if not path.is_file():
            raise MissingError(
                f"There is no witness database at {path}; only `custody witness init` makes one. If this witness has "
                "ever signed, its memory is lost: retire it (docs/ledger.md)."
            )
        self._lock = threading.RLock()
        self._failed = False
        self._db = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None, check_same_thread=False
        )
        try:
            for pragma in (f"busy_timeout={int(busy_ms)}", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
                self._db.execute(f"PRAGMA {pragma}")
            sound = (
                self._db.execute("PRAGMA quick_check").fetchone() == ("ok",) and _identity(self._db).format == FORMAT
            )
        except (sqlite3.DatabaseError, TypeError) as error:
            self._db.close()
            raise TamperError(f"{path} is no sound database of a witness: {error}.") from error
        if not sound:
            self._db.close()
            raise TamperError(f"{path} is damaged, or was made by another version.")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def renew(self) -> None:
        """Let cleared doubts go in a database from before that was allowed; it would refuse to accept what clears one.

        Raises:
            BusyError: `storage`, as for `write`.
        """
        if self._rows("SELECT sql FROM sqlite_master WHERE name = 'evidence_stays'") != [(_EVIDENCE_STAYS,)]:
            with self.write():
                self._db.execute("DROP TRIGGER IF EXISTS evidence_stays")
                self._db.execute(_EVIDENCE_STAYS)

    @contextmanager
    def write(self) -> Iterator["Change"]:
        """Run one change: nobody else writes meanwhile, and all of it is on the disk when the block has ended.

        Raises:
            BusyError: `storage`; the database is locked for too long, the disk is full or failed. Nothing was changed
                unless the commit itself failed; then this store refuses all further use.
        """
        with self._lock, self._usable():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield Change(self._db)
            except BaseException:
                with suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
                raise
            try:
                self._db.execute("COMMIT")
            except BaseException:
                self._failed = True
                raise

    @contextmanager
    def _usable(self) -> Iterator[None]:
        if self._failed:
            raise BusyError("A commit failed; restart this witness.", code="storage", retry_after_seconds=60)
        try:
            yield
        except sqlite3.Error as error:
            raise BusyError("The witness's database does not answer now.", code="storage") from error

    def _rows(self, query: str, *values: object) -> list[tuple[object, ...]]:
        with self._lock, self._usable():
            return self._db.execute(query, values).fetchall()

    def identity(self) -> Identity:
        """Return who this is, with the last change's number and digest."""
        with self._lock, self._usable():
            return _identity(self._db)

    def ledgers(self) -> list[LedgerRow]:
        """Return every ledger, also those that are no longer trusted, by origin."""
        return [LedgerRow(*row) for row in self._rows(f"{_LEDGER} ORDER BY origin")]  # type: ignore[arg-type]

    def ledger(self, origin_hash: str) -> LedgerRow | None:
        """Return one ledger by the lower-case hexadecimal SHA-256 of its origin."""
        rows = self._rows(f"{_LEDGER} WHERE hash = ?", origin_hash)
        return LedgerRow(*rows[0]) if rows else None  # type: ignore[arg-type]

    def keys(self, origin: str, *, trusted: bool = True) -> list[VerifierKey]:
        """Return a ledger's keys, those that are trusted or those that no longer are."""
        query = "SELECT vkey FROM ledger_key WHERE origin = ? AND trusted = ? ORDER BY vkey"
        return [VerifierKey.parse(str(vkey)) for (vkey,) in self._rows(query, origin, int(trusted))]

    def evidence(self, after: int = 0, limit: int = 1000) -> list[EvidenceRow]:
        """Return evidence, oldest first, from the one after a number."""
        query = f"{_EVIDENCE} WHERE id > ? ORDER BY id LIMIT ?"
        return [EvidenceRow(*row) for row in self._rows(query, after, limit)]  # type: ignore[arg-type]

    def evidence_counts(self) -> dict[tuple[str, str], int]:
        """Return how much evidence is kept, by origin and finding."""
        rows = self._rows("SELECT origin, finding, count(*) FROM evidence GROUP BY 1, 2")
        return {(str(origin), str(found)): int(str(n)) for origin, found, n in rows}


class Change:
    """What may be done inside one `Store.write`."""

    def __init__(self, db: sqlite3.Connection) -> None:
        """Work on a connection that has begun."""
        self._db = db

    def identity(self) -> Identity:
        """Return who this is, as of this transaction."""
        return _identity(self._db)

    def ledger(self, origin: str) -> LedgerRow:
        """Return one ledger.

        Raises:
            MissingError: `no_ledger`.
        """
        row = self._db.execute(f"{_LEDGER} WHERE origin = ?", (origin,)).fetchone()
        if row is None:
            raise MissingError("This witness does not know that ledger.", code="no_ledger")
        return LedgerRow(*row)

    def add_ledger(self, origin: str, vkey: str, url: str | None) -> None:
        """Trust a key for a ledger; what was seen of it before stays."""
        digest = sha256(origin.encode()).hexdigest()
        self._db.execute(
            "INSERT INTO ledger VALUES (?, ?, '', 0, ?, NULL, 0) ON CONFLICT DO NOTHING",
            (origin, digest, Held().root),
        )
        if url is not None:
            self._db.execute("UPDATE ledger SET url = ? WHERE origin = ?", (url, origin))
        self._db.execute(
            "INSERT INTO ledger_key VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET trusted = 1", (origin, vkey)
        )
        self._step("add", origin, vkey, url)

    def remove_ledger(self, origin: str, vkey: str | None) -> int:
        """Trust one key, or all keys, of a ledger no longer; return how many that were."""
        done = self._db.execute(
            "UPDATE ledger_key SET trusted = 0 WHERE trusted = 1 AND origin = ? AND vkey = coalesce(?, vkey)",
            (origin, vkey),
        )
        self._step("remove", origin, vkey)
        return done.rowcount

    def accept(self, request: Request, at: int) -> None:
        """Hold a larger tree, or the same one at a later time, and settle what was unproven at its size.

        Another root turns into a conviction, whose evidence is doubled. The same one is cleared, and its place is free:
        else a stranger who sends the ledger's public checkpoints with wrong proofs leaves no place for a real fork.

        Args:
            request: Judged consistent within this transaction.
            at: POSIX time of the cosignature that will be made after the commit.
        """
        told, note = request.checkpoint, request.note.to_bytes()
        self._db.execute(
            "UPDATE ledger SET size = ?, root = ?, note = ?, cosigned_at = ? WHERE origin = ?",
            (told.size, told.root, note, at, told.origin),
        )
        self._db.execute("UPDATE witness SET newest_at = ?", (at,))
        self._db.execute(
            "INSERT INTO evidence (origin, finding, size, root, kept_at, note, body, held_size, held_root, held_note) "
            "SELECT origin, ?, size, root, ?, note, body, ?, ?, ? FROM evidence "
            "WHERE origin = ? AND finding = ? AND size = ? AND root <> ? ON CONFLICT DO NOTHING",
            (Finding.FORK, at, told.size, told.root, note, told.origin, Finding.UNPROVEN, told.size, told.root),
        )
        self._db.execute(
            "DELETE FROM evidence WHERE origin = ? AND finding = ? AND size = ? AND root = ?",
            (told.origin, Finding.UNPROVEN, told.size, told.root),
        )
        self._step("accept", told.origin, told.size, told.root.hex(), at)

    def keep(self, request: Request, found: Finding, body: bytes, at: int) -> bool:
        """Keep evidence against a ledger, once for each tree; the first of it is never given up for later ones.

        Returns:
            Whether it is new and there was room.
        """
        told, held = request.checkpoint, self.ledger(request.checkpoint.origin)
        [kept] = self._db.execute(
            "SELECT count(*) FROM evidence WHERE origin = ? AND finding = ?", (told.origin, found)
        ).fetchone()
        if kept >= MAX_EVIDENCE:
            return False
        done = self._db.execute(
            "INSERT INTO evidence (origin, finding, size, root, kept_at, note, body, held_size, held_root, held_note) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (
                told.origin, found, told.size, told.root, at, request.note.to_bytes(), body,
                held.size, held.root, held.note,
            ),
        )  # fmt: skip
        if done.rowcount:
            self._step("evidence", told.origin, found, told.size, told.root.hex(), sha256(body).hexdigest())
        return bool(done.rowcount)

    def stop(self, why: str) -> None:
        """Let this witness never sign again."""
        self._db.execute("UPDATE witness SET stopped = ?", (why,))
        self._step("stop", why)

    def _step(self, *what: object) -> None:
        told = _identity(self._db)
        line = "\n".join(map(str, (told.sequence + 1, *what))).encode()
        self._db.execute(
            "UPDATE witness SET sequence = ?, digest = ?",
            (told.sequence + 1, sha256(told.digest + line).digest()),
        )


def create(path: Path, instance: str, name: str, vkeys: tuple[str, ...]) -> None:
    """Make a fresh database; the file appears whole or not at all.

    Raises:
        ConflictError: There is one already, which is never made anew.
    """
    if path.exists():
        raise ConflictError(f"There is a witness at {path} already; its memory is never made anew.")
    half = path.with_name(f".{path.name}.part")
    half.unlink(missing_ok=True)
    db = sqlite3.connect(half, isolation_level=None)
    try:
        db.execute("PRAGMA synchronous=EXTRA")
        db.executescript(f"BEGIN IMMEDIATE;{_SCHEMA}")
        first = sha256(f"{instance}\n{name}".encode()).digest()
        db.execute(
            "INSERT INTO witness VALUES (1, ?, ?, ?, ?, 1, ?, 0, '')", (FORMAT, instance, name, "\n".join(vkeys), first)
        )
        db.execute("COMMIT")
    finally:
        db.close()
    half.chmod(0o600)
    half.replace(path)


def _identity(db: sqlite3.Connection) -> Identity:
    made, instance, name, vkeys, *rest = db.execute(
        "SELECT format, instance, name, vkeys, sequence, digest, newest_at, stopped FROM witness"
    ).fetchone()
    return Identity(made, instance, name, tuple(vkeys.split("\n")), *rest)


def note_of(row: LedgerRow) -> Note | None:
    """Return the checkpoint that is held, signed by the ledger alone; None before the first."""
    return None if row.note is None else Note.parse(row.note)
