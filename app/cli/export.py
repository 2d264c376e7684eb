"""`custody export`: the ledger as Parquet files for analysis, and checking such files that came from somebody else.

    ledger=<name>/day=<YYYY-MM-DD>/<table>.parquet
    ledger=<name>/manifest.json, manifest.note

See docs/analysis.md for the tables, and for who may hand the files on.
"""

import json
import re
import sys
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from app.audit.handed import Against, HandedReport, check_handed
from app.audit.handing import hand_on
from app.cli.fsck import open_database
from app.cli.mirror import EXIT_CODES, USAGE, AsJson, Policy, Vkey, trusted
from app.cli.pace import Pace
from app.config import Settings
from app.custody.serverkeys import ServerKeys
from app.errors import BusyError, MalformedError, MissingError, ServiceError
from app.exchange.remote import RemoteLedger
from app.ledger.folder import Place, TileFolder

FAILED = 1
_DAY = re.compile(r"20\d\d-[01]\d-[0-3]\d")


def register(app: typer.Typer) -> None:
    """Add `custody export` with its commands."""
    commands = typer.Typer(no_args_is_help=True, help="The ledger as files for analysis.")
    commands.command("parquet")(parquet)
    commands.command("check")(check)
    app.add_typer(commands, name="export")


def parquet(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where ledger=NAME/ is made.")],
    since: Annotated[str, typer.Option(metavar="DAY", help="First day, as 2024-11-26 (UTC).")] = "",
    until: Annotated[str, typer.Option(metavar="DAY", help="Last day.")] = "",
    ledger: Annotated[str, typer.Option(help="Name of the ledger; the only one when absent.")] = "",
    as_json: AsJson = False,
) -> None:
    """Write Parquet files by day and sign their manifest with the ledger's key; goes on where it stopped.

    The files hold what every leaf says: hand them to nobody who may not read all entry bundles. Exit code: 0 done,
    1 something there differs or cannot be written, 2 usage.
    """
    settings = Settings()
    if any(day and not _DAY.fullmatch(day) for day in (since, until)):
        _usage("A day is written as 2024-11-26.")
    db = open_database(settings)
    try:
        keys = ServerKeys.load(settings.keys_folder())
        with Pace(quiet=as_json) as pace:
            done = hand_on(db, ledger or settings.ledger, keys, out, since=since, until=until, progress=pace.tick)
    except MissingError as error:
        _usage(error.detail)
    except (ServiceError, OSError) as error:
        typer.echo(error.detail if isinstance(error, ServiceError) else str(error), err=True)
        raise typer.Exit(FAILED) from None
    finally:
        db.close()
    files = done.manifest.files
    told = {
        "origin": done.manifest.origin, "size": done.manifest.size, "root": done.manifest.root, "files": len(files),
        "rows": sum(file.rows for file in files), "days_written": done.days_written, "folder": str(out),
    }  # fmt: skip
    words = f"{told['origin']}: {told['rows']} rows in {told['files']} files, {told['days_written']} days written now"
    sys.stdout.write(f"{json.dumps(told) if as_json else words}\n")


def check(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="What holds ledger=NAME/.")],
    vkey: Vkey = None,
    policy: Policy = None,
    ledger: Annotated[str, typer.Option(help="Name of the ledger; the only one there when absent.")] = "",
    against: Annotated[
        str, typer.Option(metavar="DIR|URL", help="Compare with a tree: exported or mirrored, or https://host/ledger/name.")
    ] = "",
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Check Parquet files: signature, checkpoint, every file, and with a tree every row.

    Exit code: 0 PASS, 1 FAIL, 2 usage, 3 INCOMPLETE.
    """
    try:
        trust = trusted(vkey, policy)
        name = ledger or _only_ledger(folder)
        with ExitStack() as stack, Pace(quiet=as_json) as pace:
            tree, away = _tree_if_there(against, stack)
            report = check_handed(folder, name, trust, tree, pace.tick)
            if away:  # told beside what the files alone have shown
                report.leave(away)
    except (ServiceError, OSError, ValueError) as error:
        _usage(error.detail if isinstance(error, ServiceError) else str(error))
    sys.stdout.write(json.dumps(report.as_json(), indent=2) + "\n" if as_json else _as_text(report))
    raise typer.Exit(EXIT_CODES[report.result])


def _only_ledger(folder: Path) -> str:
    names = [path.name.removeprefix("ledger=") for path in folder.glob("ledger=*")] if folder.is_dir() else []
    if len(names) != 1:
        raise MalformedError(f"There is not exactly one ledger=NAME in {folder}; name it with --ledger.")
    return names[0]


def _tree_if_there(named: str, stack: ExitStack) -> tuple[Against | None, str]:
    """Return the tree to compare with, or why it cannot be read now; neither when none is named."""
    try:
        return (_tree(named, stack) if named else None), ""
    except BusyError as error:
        return None, error.detail


def _tree(named: str, stack: ExitStack) -> Against:
    """Open the tree to compare with. From a server only hash tiles are asked for, which need no credentials."""
    if named.startswith(("http://", "https://")):
        source = stack.enter_context(closing(RemoteLedger(named, None)))
        return Against(source.read, source.checkpoint(), has_leaves=False)
    files = TileFolder(Path(named))
    note = files.checkpoint()
    if note is None:
        raise MissingError(f"There is no checkpoint in {named}.")

    def read(place: Place) -> bytes:
        data = files.read(place)
        if data is None:
            raise MissingError(f"{place.path()} is missing from {named}.")
        return data

    return Against(read, note, has_leaves=files.has_entries())


def _usage(sentence: str) -> NoReturn:
    typer.echo(sentence, err=True)
    raise typer.Exit(USAGE) from None


def _as_text(report: HandedReport) -> str:
    extent = f"{report.rows} rows in {report.files} files of {report.size} leaves, root {report.root}"
    lines = [f"{report.result}: {report.origin}, {extent}; compared: {report.compared}"]
    lines += [f"leaf {found.index}: {found.code}: {found.detail}" for found in report.findings]
    lines += [f"not checked: {what}" for what in report.not_checked]
    return "\n".join(lines) + "\n"
