"""`custody ledger export DIR`: the tree as static files, which any tlog-tiles client reads and any disk keeps.

    checkpoint            the newest signed note; written last
    tile/<L>/<N>[.p/<W>]  hash tiles
    tile/entries/<N>…     leaves

Files are compared, never overwritten: a tile that differs from the one exported before is an alarm. Run it
again to go on where it stopped, or to add what the ledger has grown by; partial tiles of old sizes stay, as
c2sp.org/tlog-tiles lets them.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from app.cli.fsck import Bars, open_database
from app.config import Settings
from app.db import ReadSession
from app.errors import MissingError, ServiceError, TamperError
from app.ledger.append import Head, Reader, read_head
from app.ledger.tiles import BundleCoordinate, bundle_entry, prefix, touched_bundles, touched_tiles

USAGE = 2
DIFFERS = 1


def register(app: typer.Typer) -> None:
    """Add `custody ledger` with its commands."""
    commands = typer.Typer(no_args_is_help=True, help="The ledger's own files.")
    commands.command("export")(export)
    app.add_typer(commands, name="ledger")


def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the files go; made when it is not there.")],
    ledger: Annotated[str, typer.Option(help="Name of the ledger; the only one when absent.")] = "",
) -> None:
    """Write the tree as static files. Exit code: 0 done, 1 a file differs from the ledger, 2 usage."""
    settings = Settings()
    db = open_database(settings)
    try:
        with db.read() as session:
            head = read_head(session, ledger or settings.ledger)
            written = export_tree(session, head, folder)
    except MissingError as error:
        typer.echo(error.detail, err=True)
        raise typer.Exit(USAGE) from None
    except (ServiceError, OSError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(DIFFERS) from None
    finally:
        db.close()
    sys.stdout.write(f"{head.origin}: {head.size} leaves, {written} files written to {folder}\n")


def export_tree(session: ReadSession, head: Head, folder: Path) -> int:
    """Write every file of a ledger's tree that is not there yet, the checkpoint last.

    Returns:
        How many files were written.

    Raises:
        TamperError: A file is there with other bytes, or the ledger is smaller than the exported checkpoint.
    """
    reader = Reader(head.ledger_id)
    last = reader.last_checkpoint(session)
    if last is None or last[0] != head.size:
        raise TamperError("The newest tree has no signed checkpoint.")
    _refuse_shrinking(folder / "checkpoint", head.size)
    tiles, bundles = touched_tiles(0, head.size), touched_bundles(0, head.size)
    bars = Bars(total=len(tiles) + len(bundles))
    written = 0
    with bars.progress:
        for path, data in _files(session, reader, head, bars):
            written += _keep(folder / path, data)
    written += _replace(folder / "checkpoint", last[1])
    return written


def _files(session: ReadSession, reader: Reader, head: Head, bars: Bars) -> Iterator[tuple[str, bytes]]:
    for tile in touched_tiles(0, head.size):
        yield tile.path(), prefix(reader.tile(session, tile.level, tile.n), tile.width)
        bars.tick("export", 1)
    for bundle in touched_bundles(0, head.size):
        yield bundle.path(), _entries(session, reader, bundle)
        bars.tick("export", 1)


def _entries(session: ReadSession, reader: Reader, bundle: BundleCoordinate) -> bytes:
    first = bundle.n * 256
    rows = reader.leaves(session, first, first + bundle.width)
    if len(rows) != bundle.width:
        raise TamperError(f"Leaves from {first} on are missing; run `custody fsck`.")
    return b"".join(bundle_entry(leaf) for _, leaf, _ in rows)


def _keep(path: Path, data: bytes) -> bool:
    """Write a file unless it is there; never another over it."""
    if path.exists():
        if path.read_bytes() != data:
            raise TamperError(f"{path} was exported with other bytes; nothing was overwritten. Run `custody fsck`.")
        return False
    return _replace(path, data)


def _replace(path: Path, data: bytes) -> bool:
    """Write a file so that it is there whole or not at all."""
    if path.exists() and path.read_bytes() == data:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.part")
    with half.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    half.replace(path)
    return True


def _refuse_shrinking(checkpoint: Path, size: int) -> None:
    if not checkpoint.exists():
        return
    lines = checkpoint.read_text(encoding="utf-8").split("\n")
    if len(lines) < 2 or not lines[1].isdigit() or int(lines[1]) > size:
        raise TamperError(
            f"{checkpoint} speaks of a larger tree than the ledger has, or is damaged; nothing was written."
        )
