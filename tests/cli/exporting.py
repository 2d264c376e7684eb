"""A played town and its Parquet files, for tests of handing them on and of checking what was handed on."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from typer.testing import CliRunner

from app.audit import parquet
from app.audit.handed import Against, HandedReport, check_handed
from app.audit.handing import Handed, hand_on
from app.audit.manifest import MANIFEST, NOTE, Manifest, parse_manifest, sign_manifest
from app.cli.ledger import export_tree
from app.cli.main import app
from app.custody.committing import commit_heads
from app.db import Database
from app.errors import MissingError
from app.ledger.append import read_head
from app.ledger.folder import TileFolder
from app.ledger.note import SignerKey
from app.ledger.trust import Trust
from tests.audit.journey import play
from tests.custody.town import Town

DAY_MINUTES = 24 * 60


class World(NamedTuple):
    """A played town, its keys as pinned by others, its exported tree and its Parquet files."""

    town: Town
    trust: Trust
    keys: list[SignerKey]
    tree: Path
    out: Path
    name: str


@contextmanager
def played(template: Path, folder: Path) -> Iterator[World]:
    """Play a journey and three days more, and hand it on."""
    shutil.copyfile(template, folder / "custody.db")
    town = Town(Database(f"sqlite:///{folder / 'custody.db'}"), folder / "house").settle()
    play(town)
    for _ in range(3):
        town.tick(DAY_MINUTES)
        seen(town)
    commit_heads(town.recorder, town.now_ms)
    handed(town, folder / "out")
    keys = [town.recorder._keys.ledger]
    trust = Trust((keys[0].verifier(),))
    yield World(town, trust, keys, export(town, folder / "tree"), folder / "out", town.settings.ledger)
    town.db.close()


def seen(town: Town) -> None:
    """Record a box and that it was seen."""
    box = town.box()
    town.ok(town.act(town.kpu1, "sighting", {}, [box], capacity="witness"))


def handed(town: Town, out: Path, **more: Any) -> Handed:
    """Hand on what a town has."""
    return hand_on(town.db, "", town.recorder._keys, out, **more)


def export(town: Town, folder: Path) -> Path:
    """Export a town's tree."""
    with town.db.read() as session:
        export_tree(session, read_head(session), folder)
    return folder


def own(world: World, folder: Path) -> Path:
    """Return the folder of the world's ledger."""
    return folder / f"ledger={world.name}"


def files_of(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder by its path."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def against(tree: Path, *, leaves: bool = True) -> Against:
    """Open a tree to compare with."""
    files = TileFolder(tree)

    def read(place: Any) -> bytes:
        data = files.read(place)
        if data is None:
            raise MissingError(f"{place.path()} is missing.")
        return data

    return Against(read, files.checkpoint() or b"", has_leaves=leaves)


def checked(world: World, folder: Path, tree: Against | None = None) -> HandedReport:
    """Check files of the world's ledger."""
    return check_handed(folder, world.name, world.trust, tree)


def proven(town: Town, out: Path, tree: Path) -> HandedReport:
    """Check a town's files with its newest tree, under every key that it has."""
    trust = Trust(tuple(key.verifier() for key in town.recorder._keys.held.values()))
    return check_handed(out, town.settings.ledger, trust, against(export(town, tree)))


def manifest_in(world: World, folder: Path) -> Manifest:
    """Read the manifest in a folder."""
    return parse_manifest((own(world, folder) / MANIFEST).read_bytes())


def sign_again(world: World, folder: Path, **changes: Any) -> None:
    """Sign a changed manifest with the ledger's own key."""
    signed = sign_manifest(manifest_in(world, folder).model_copy(update=changes), world.keys)
    (own(world, folder) / MANIFEST).write_bytes(signed.data)
    (own(world, folder) / NOTE).write_bytes(signed.note)


def rewritten(path: Path, change: Callable[[list[Any]], list[Any]]) -> None:
    """Write a table's file with other rows."""
    table = path.stem
    rows = change(list(parquet.read_rows(path, table)))
    made = parquet._TableFile(path, table)
    made.add(rows)
    made.finish()
    parquet.half_of(path).replace(path)


def flip(path: Path) -> None:
    """Change a bit in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def custody(*arguments: object) -> Any:
    """Run a command."""
    return CliRunner().invoke(app, [str(each) for each in arguments])
