"""`custody simulate --nation`: drive two fractions of the elections of 2024, and say what the whole would need."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli.bench.disk import parent_of_run, refuse_unwritable
from app.cli.bench.options import refuse_other_server
from app.cli.simulate import tables
from app.cli.simulate.counts import counts
from app.cli.simulate.giving import give
from app.cli.simulate.nation import nation
from app.cli.simulate.reckoning import reckon, whole_of
from app.cli.simulate.running import check_disk, drive, refuse_too_large, working_folder
from app.cli.simulate.sample import parse_fraction, sample
from app.cli.simulate.story import GRAINS, Grain
from app.errors import MalformedError

DEFAULT_FRACTIONS = ("1/2000", "1/1000")
SEED = 2024


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def simulate(
        nation_: Annotated[
            bool, typer.Option("--nation", help="Indonesia's two elections of 2024; there is nothing else yet.")
        ] = False,
        fraction: Annotated[
            list[str] | None,
            typer.Option(help="Of the nation, 1/2000 or 0.0005; given twice, or once beside its half."),
        ] = None,
        grain: Annotated[
            str, typer.Option(help="field: an event carries what is handled together; box: every box its own event.")
        ] = "field",
        seed: Annotated[int, typer.Option(help="Fixes villages, units and order; keys are fresh in every run.")] = SEED,
        dry_run: Annotated[
            bool, typer.Option("--dry-run", help="Print the plan and its counts; start nothing.")
        ] = False,
        database_url: Annotated[
            str,
            typer.Option(
                help="A PostgreSQL server, where databases of its own are made and dropped; a password may come from "
                "PGPASSWORD. SQLite when absent."
            ),
        ] = "",
        data: Annotated[Path | None, typer.Option(help="An empty folder that keeps ledgers and keys.")] = None,
        folder: Annotated[
            Path | None,
            typer.Option(
                help="Where the run makes its own folder, and removes it again, without --data; the system's folder "
                "for temporary files when absent, unless that is memory."
            ),
        ] = None,
        as_json: Annotated[bool, typer.Option("--json", help="Print data.")] = False,
        out: Annotated[Path | None, typer.Option(help="Write the figures to a file, as data.")] = None,
        markdown: Annotated[
            Path | None, typer.Option(help="Write the tables into a file, between its marks (docs/capacity.md).")
        ] = None,
        yes: Annotated[bool, typer.Option("--yes", help="Do not ask before a run that needs much disk.")] = False,
    ) -> None:
        """Drive two fractions of a national election over HTTP, and reckon what the whole nation would need.

        Everything but what is named here is at its default: settings of the service in the environment (CUSTODY_…) are
        not read, so no run ever touches a database that they name.
        """
        load_average = os.getloadavg()[0]
        if not nation_:
            raise typer.BadParameter("Say what to simulate: --nation.")
        if grain not in GRAINS:
            raise typer.BadParameter(f"--grain is one of {', '.join(GRAINS)}.")
        if data is not None and folder is not None:
            raise typer.BadParameter("--data names the folder of the run itself, --folder the one above it.")
        fractions = _two(fraction or list(DEFAULT_FRACTIONS))
        refuse_unwritable(out, markdown)
        refuse_other_server(database_url)
        chosen: Grain = "box" if grain == "box" else "field"
        name = f"{'plan' if dry_run else 'postgresql' if database_url else 'sqlite'} {grain}"
        if markdown is not None and markdown.exists():  # before the work, not after it
            tables.between(markdown.read_text(encoding="utf-8"), name, "")
        found = [sample(nation(), one, seed) for one in fractions]
        counted = [counts(one, chosen) for one in found]
        told: dict[str, Any] = {
            "made_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), "grain": grain, "seed": seed,
            "plan": tables.plan_of(nation()),
        }  # fmt: skip
        if not dry_run:
            refuse_too_large(found)
            parent = None if data is not None else parent_of_run(folder, is_ours=not database_url)
            with working_folder(data, parent) as own:
                check_disk(own, counted, yes=yes)
                told["runs"] = drive(own, database_url, found, chosen, seed, load_average)
        told["nation"] = whole_of(counts(sample(nation(), Fraction(1), seed), chosen))
        if dry_run:
            made = zip(found, counted, strict=True)
            told["fractions"] = [{"fraction": str(one.fraction), **whole_of(each)} for one, each in made]
            parts = [*((one["fraction"], one) for one in told["fractions"]), ("1", told["nation"])]
            sheets = tables.plan_sheets(told["plan"], parts)
        else:
            told["reckoned"] = reckon(told["runs"], told["nation"])
            sheets = [*tables.measured_sheets(told), *tables.nation_sheets(told)]
        give(told, sheets, name, as_json=as_json, out=out, markdown=markdown)


def _two(texts: Sequence[str]) -> list[Fraction]:
    """Return two fractions, the smaller first; the half of one that stands alone.

    Raises:
        typer.BadParameter: One is none, there are more, or both are the same.
    """
    try:
        found = sorted({parse_fraction(text) for text in texts})
    except MalformedError as error:
        raise typer.BadParameter(error.detail) from None
    if len(texts) > 2 or len(found) < len(texts):
        raise typer.BadParameter("Two different fractions are compared; give --fraction once or twice.")
    return found if len(found) == 2 else [found[0] / 2, found[0]]
