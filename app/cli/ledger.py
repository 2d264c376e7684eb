"""`custody ledger`: the tree as static files. `export` writes them, `mirror` copies them, `verify` examines them.

    checkpoint            the newest signed note; written last
    tile/<L>/<N>[.p/<W>]  hash tiles
    tile/entries/<N>…     leaves
    documents/<hash>      policies, plans and lists of labels, when asked for: what `verify` judges the events by

Files are compared, never overwritten: a tile that differs from the one exported before is an alarm. Run it
again to go on where it stopped, or to add what the ledger has grown by; partial tiles of old sizes stay, as
c2sp.org/tlog-tiles lets them.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from app.audit.following import documents_named
from app.canon import b64url_encode
from app.cli import freezing, mirror, stamps, takeover
from app.cli.fsck import open_database
from app.cli.pace import Pace
from app.config import Settings
from app.db import ReadSession
from app.errors import MissingError, RefusedError, ServiceError, TamperError
from app.ledger.append import Head, Reader, read_head
from app.ledger.checkpoint import Checkpoint
from app.ledger.folder import TileFolder
from app.ledger.note import Note
from app.ledger.tiles import TILE_WIDTH, BundleCoordinate, bundle_entry, prefix, touched_bundles, touched_tiles
from app.ledger.witnessed import cosigned_note
from app.units import records as unit_records

USAGE = 2
DIFFERS = 1


def register(app: typer.Typer) -> None:
    """Add `custody ledger` with its commands."""
    commands = typer.Typer(no_args_is_help=True, help="The ledger's own files.")
    commands.command("export")(export)
    mirror.register(commands)
    stamps.register(commands)
    freezing.register(commands)
    takeover.register(commands)
    app.add_typer(commands, name="ledger")


def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the files go; made when it is not there.")],
    ledger: Annotated[str, typer.Option(help="Name of the ledger; the only one when absent.")] = "",
    documents: Annotated[bool, typer.Option(help="Write what the rules were judged by, too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Write the tree as static files. Exit code: 0 done, 1 a file differs from the ledger, 2 usage."""
    settings = Settings()
    db = open_database(settings)
    try:
        with db.read() as session, Pace(quiet=as_json) as pace:
            head = read_head(session, ledger or settings.ledger)
            written = export_tree(session, head, folder, documents=documents, pace=pace)
    except MissingError as error:
        typer.echo(error.detail, err=True)
        raise typer.Exit(USAGE) from None
    except (ServiceError, OSError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(DIFFERS) from None
    finally:
        db.close()
    if as_json:
        told = {"origin": head.origin, "size": head.size, "root": b64url_encode(head.root), "written": written}
        sys.stdout.write(json.dumps({**told, "folder": str(folder)}) + "\n")
    else:
        sys.stdout.write(f"{head.origin}: {head.size} leaves, {written} files written to {folder}\n")


def export_tree(
    session: ReadSession, head: Head, folder: Path, *, documents: bool = False, pace: Pace | None = None
) -> int:
    """Write every file of a ledger's tree that is not there yet, the checkpoint last.

    Args:
        session: One snapshot.
        head: The ledger's head in it.
        folder: Where the files go.
        documents: Write the documents that the leaves name, too.
        pace: Shows the progress.

    Returns:
        How many files were written.

    Raises:
        TamperError: A file is there with other bytes, or the ledger is smaller than the exported checkpoint.
        BusyError: Another process writes to that folder.
    """
    files = TileFolder(folder)
    with files.locked():
        return _Export(session, head, files, pace or Pace(quiet=True)).run(documents=documents)


@dataclass(slots=True)
class _Export:
    session: ReadSession
    head: Head
    files: TileFolder
    pace: Pace

    def run(self, *, documents: bool) -> int:
        reader = Reader(self.head.ledger_id)
        last = reader.last_checkpoint(self.session)
        if last is None or last[0] != self.head.size:
            raise TamperError("The newest tree has no signed checkpoint.")
        _refuse_other(self.files, self.session, reader, self.head.size)
        written, tiles = 0, touched_tiles(0, self.head.size)
        for tile in tiles:
            written += self.files.keep(tile, prefix(reader.tile(self.session, tile.level, tile.n), tile.width))
            self.pace.tick("tiles", 1, len(tiles))
        for bundle in touched_bundles(0, self.head.size):
            written += self._bundle(reader, bundle, documents=documents)
            self.pace.tick("events", bundle.width, self.head.size)
        return written + self.files.show_checkpoint(cosigned_note(self.session, self.head.ledger_id, last[0]))

    def _bundle(self, reader: Reader, place: BundleCoordinate, *, documents: bool) -> int:
        first = place.n * TILE_WIDTH
        rows = reader.leaves(self.session, first, first + place.width)
        if len(rows) != place.width:
            raise TamperError(f"Leaves from {first} on are missing; run `custody fsck`.")
        named = {name for _, leaf, _ in rows for name in documents_named(leaf)} if documents else ()
        written = self.files.keep(place, b"".join(bundle_entry(leaf) for _, leaf, _ in rows))
        return written + sum(map(self._document, named))

    def _document(self, content_hash: str) -> bool:
        """Write a document; one that was refused because it was not there may still not be."""
        data = unit_records.read_document(self.session, self.head.ledger_id, content_hash)
        return data is not None and self.files.keep_document(content_hash, data)


def _refuse_other(files: TileFolder, session: ReadSession, reader: Reader, size: int) -> None:
    """Refuse to go on over the export of another tree than the ledger's own past.

    Raises:
        TamperError: The exported checkpoint is damaged, larger than the ledger, or of another history.
        RefusedError: The folder holds other things.
    """
    note = files.checkpoint()
    if note is None:
        if files.folder.is_dir() and any(files.folder.iterdir()) and not (files.folder / "tile").is_dir():
            raise RefusedError(f"{files.folder} holds something else than a ledger's tree; name a folder of its own.")
        return
    try:
        exported = Checkpoint.parse(Note.parse(note).text)
    except ServiceError:
        raise TamperError(f"{files.folder / 'checkpoint'} is damaged; nothing was written.") from None
    if exported.size > size or (exported.size and reader.nodes(session).root(exported.size) != exported.root):
        raise TamperError(
            f"{files.folder / 'checkpoint'} speaks of another tree, or of a larger one, than the ledger has; "
            "nothing was written."
        )
