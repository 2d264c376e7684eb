"""The files of one witness, and why it refuses to start.

    DIR/witness.json        name, and where the mark is
    DIR/witness.db          its memory (`_store`)
    DIR/keys/*.key          its private keys, mode 0400
    DIR.mark (or elsewhere) the number and digest of its last change, best on another disk

A witness that forgets what it signed can be made to sign a second history. So its database is never made anew, and one
that is older than the mark, as from a backup, is refused. There is no way back for such a witness: it is retired, and
another with new keys and a new name takes its place.
"""

import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from app.errors import ConflictError, MalformedError, MissingError, TamperError
from app.keys.files import read_private, write_private
from app.ledger.highwater import HighWater
from app.ledger.note import SignatureType, SignerKey
from app.witness._store import EvidenceRow, Identity, Store, create

CONFIG, DATABASE, KEYS = "witness.json", "witness.db", "keys"
KEY_FILES = {SignatureType.COSIGNATURE: "ed25519.key", SignatureType.MLDSA_COSIGNATURE: "ml-dsa-44.key"}
_RETIRE = "Retire this witness: new keys, new name; never delete the mark (docs/ledger.md)."


@dataclass(frozen=True, slots=True)
class Folder:
    """One witness on the disk."""

    path: Path
    name: str
    mark: Path

    @classmethod
    def read(cls, path: Path) -> "Folder":
        """Read which witness is in a folder.

        Raises:
            MissingError: None was made there.
            MalformedError: Its description is not what `make` wrote.
        """
        try:
            told = json.loads((path / CONFIG).read_text(encoding="utf-8"))
            return cls(path, str(told["name"]), Path(told["mark"]))
        except FileNotFoundError:
            raise MissingError(f"There is no witness in {path}; run `custody witness init` there.") from None
        except (ValueError, KeyError, TypeError) as error:
            raise MalformedError(f"{path / CONFIG} is not readable.") from error

    def database(self) -> Path:
        """Return where the memory is."""
        return self.path / DATABASE

    def signers(self) -> tuple[SignerKey, ...]:
        """Read the private keys, Ed25519 first.

        Raises:
            MissingError: `server_key`; there is none.
            TamperError: `key_file_mode`; others may read one.
        """
        paths = [self.path / KEYS / name for name in KEY_FILES.values()]
        keys = tuple(SignerKey.parse(read_private(path)) for path in paths if path.exists())
        if not keys:
            raise MissingError(f"There is no key in {self.path / KEYS}; a lost key is not replaced. {_RETIRE}",
                               code="server_key")  # fmt: skip
        return keys

    def evidence(self) -> Iterator[EvidenceRow]:
        """Read all evidence, oldest first, the memory newest or not: what a retired witness knew still counts.

        Raises:
            MissingError: The database is gone.
            TamperError: It is damaged.
        """
        store, after = Store(self.database()), 0
        try:
            while page := store.evidence(after):
                yield from page
                after = page[-1].id
        finally:
            store.close()

    def open(self) -> tuple[Store, HighWater]:
        """Open the memory and the mark, and refuse a memory that is not the newest.

        Raises:
            MissingError: The database is gone.
            TamperError: The database is older than the mark, of another history or another
                witness, the mark is gone, or this witness has stopped itself.
        """
        store = Store(self.database())
        try:
            mark = self._mark(store.identity())
        except BaseException:
            store.close()
            raise
        try:
            _compare(store, mark)
            store.renew()
        except BaseException:
            mark.close()
            store.close()
            raise
        return store, mark

    def _mark(self, told: Identity) -> HighWater:
        keys = tuple(key.verifier().to_text() for key in self.signers())
        if told.name != self.name or told.vkeys != keys:
            raise _rollback("The keys in that folder are not those of its database.")
        if told.stopped:
            raise _rollback(f"This witness stopped itself: {told.stopped}")
        if not self.mark.is_file():
            raise _rollback(f"The mark {self.mark} is gone, so nothing shows that the database is the newest.")
        try:
            return HighWater(self.mark, told.instance)
        except TamperError:
            raise _rollback(f"The mark {self.mark} is empty, damaged, or that of another witness.") from None


def _compare(store: Store, mark: HighWater) -> None:
    """Refuse a database that does not hold what the mark told before: the mark only ever follows a commit."""
    told = store.identity()
    if told.sequence < mark.size:
        raise _rollback(
            f"The database is older than what this witness signed (change {told.sequence} of {mark.size}): "
            "it was restored from a backup, or another copy of it went on."
        )
    try:  # A database that is ahead was stopped between commit and mark, before anything was signed.
        mark.advance(told.sequence, told.digest)
    except TamperError:
        raise _rollback("The database holds another history than the one that this witness signed.") from None


def make(path: Path, name: str, kinds: tuple[SignatureType, ...], mark: Path | None = None) -> Folder:
    """Make a witness: keys, memory and mark. A crash on the way leaves files that are to be removed by hand.

    Args:
        path: The folder; made when it is not there.
        name: The name in its keys and cosignatures, such as `bawaslu.example/w1`; never to be used again.
        kinds: Which cosignatures it makes, 0x04 and 0x06.
        mark: Where the mark is; beside the folder when absent.

    Raises:
        ConflictError: There is a witness, or something of one.
        MalformedError: `verifier_key`; no key can have that name.
    """
    path = path.absolute()
    mark = (mark or path.with_name(f"{path.name}.mark")).absolute()
    for there in (path / CONFIG, path / DATABASE, path / KEYS, mark):
        if there.exists():
            raise ConflictError(f"{there} exists already: a witness is made once.")
    keys = [SignerKey(name, kind, secrets.token_bytes(32)) for kind in KEY_FILES if kind in kinds]
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    for key in keys:
        write_private(path / KEYS / KEY_FILES[key.type], key.to_text() + "\n")
    instance = secrets.token_hex(16)
    create(path / DATABASE, instance, name, tuple(key.verifier().to_text() for key in keys))
    store = Store(path / DATABASE)
    first = store.identity()
    store.close()
    mark.parent.mkdir(parents=True, exist_ok=True)
    HighWater.make(mark, instance, first.sequence, first.digest).close()
    (path / CONFIG).write_text(json.dumps({"v": 1, "name": name, "mark": str(mark)}, indent=2) + "\n", encoding="utf-8")
    for folder in (path / KEYS, path, path.parent):
        _sync(folder)
    return Folder(path, name, mark)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


def _rollback(why: str) -> TamperError:
    return TamperError(f"{why} {_RETIRE}")
