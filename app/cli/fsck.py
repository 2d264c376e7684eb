"""`custody fsck`: verify again everything that a leaf commits to or that follows from one, and locate damage."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from app.audit.fsck import Report, fsck
from app.config import Settings
from app.db import Database, normal_url

FOUND = 1
USAGE = 2


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("fsck")(command)


def command(
    ledger: Annotated[str, typer.Option(help="Name of the one ledger to examine; all when absent.")] = "",
    genesis: Annotated[str | None, typer.Option(help="Pinned hash of the genesis event.")] = None,
    signatures: Annotated[bool, typer.Option(help="Verify every signature, too.")] = True,
    high_water: Annotated[bool, typer.Option(help="Compare with the high-water file of this installation.")] = True,
    marks: Annotated[
        list[Path] | None,
        typer.Option("--mark", help="High-water file of another ledger in this database; may be repeated."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Verify the whole database against its leaves. Exit code: 0 clean, 1 findings, 2 usage."""
    settings = Settings()
    db = open_database(settings)
    bars = Bars(quiet=as_json)
    try:
        with bars.progress:
            mark: Path | None = settings.high_water_file() if high_water else None
            report = fsck(
                db,
                ledger=ledger or settings.ledger,
                genesis=genesis,
                high_water=mark,
                more_marks=marks or (),
                signatures=signatures,
                progress=bars.tick,
            )
    finally:
        db.close()
    sys.stdout.write(json.dumps(report.as_json(), indent=2) + "\n" if as_json else as_text(report))
    raise typer.Exit(0 if report.clean else FOUND)


def open_database(settings: Settings) -> Database:
    """Open the database in force, or end with a sentence that says why not."""
    url = normal_url(settings.url())
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        typer.echo(
            f"There is no database at {url.database}; run this where the ledger is, or set CUSTODY_DATA_DIR.", err=True
        )
        raise typer.Exit(USAGE)
    return Database(settings.url(), settings.read_url())


class Bars:
    """One progress bar per kind of work, on standard error, only when a person is looking."""

    def __init__(self, *, quiet: bool = False, total: int | None = None) -> None:
        """Show nothing when quiet."""
        columns = (TextColumn("{task.description:<8}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self.progress = Progress(*columns, console=Console(stderr=True), disable=quiet or not sys.stderr.isatty())
        self._tasks: dict[str, TaskID] = {}
        self._total = total
        self._done: dict[str, int] = {}

    def tick(self, name: str, done: int) -> None:
        """Move a bar; replay has as many steps as the tree has leaves."""
        self._done[name] = self._done.get(name, 0) + done
        if name not in self._tasks:
            total = self._done.get("tree") if name == "replay" else self._total
            self._tasks[name] = self.progress.add_task(name, total=total)
        self.progress.advance(self._tasks[name], done)


def as_text(report: Report) -> str:
    """Write the report for people: one line per damage, with its place first."""
    lines = [
        f"{told['ledger'] or '?'}: {told['size']} leaves, {told['replayed']} replayed, root {told['root']}"
        for told in report.ledgers
    ]
    for finding in report.findings:
        leaf = f" (leaf {finding.leaf})" if finding.leaf is not None and finding.table != "ledger_leaf" else ""
        values = f" expected {finding.expected}, found {finding.found}" if finding.found or finding.expected else ""
        lines.append(f"{finding.where}{leaf}: {finding.what}: {finding.detail}{values}")
    lines += [f"not checked: {what}" for what in report.findings.not_checked]
    if report.findings.dropped:
        lines.append(f"and {report.findings.dropped} more")
    lines.append("clean" if report.clean else f"{len(report.findings)} findings")
    return "\n".join(lines) + "\n"
