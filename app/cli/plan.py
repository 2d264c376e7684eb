"""`custody plan`: an election's plan from a spreadsheet and back, its differences, and whether it fits the policy.

Nothing here publishes: `import` writes the document that a `plan.publish` event puts in force (docs/plans.md).
Exit code: 0 done, 1 something is wrong with the table or the plan, 2 usage.
"""

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.audit.inforce import document, policy_in_force
from app.cli.client import opened
from app.cli.planshow import and_more, changes_json, faults_json, found_json, show_faults, show_found, word
from app.config import Settings
from app.custody.lookup import meta_of
from app.custody.state import Meta
from app.db import ReadSession
from app.errors import MissingError, ServiceError
from app.ledger.append import read_head
from app.units.documents import MAX_DOCUMENT_BYTES, Plan, Policy, document_hash, parse_document
from app.units.plancheck import check, needs
from app.units.plandiff import difference
from app.units.planframe import Frame
from app.units.plansheet import MAX_TABLE_BYTES, read_table
from app.units.plantable import write_table

D = TypeVar("D", Plan, Policy)
WRONG = 1
USAGE = 2
SHOWN = 50
AsJson = Annotated[bool, typer.Option("--json", help="Print data.")]
PolicyFile = Annotated[
    Path | None, typer.Option("--policy", metavar="FILE", help="A policy document; the ledger's in force when absent.")
]
FromLedger = Annotated[bool, typer.Option("--from-ledger", help="Take what is in force on this installation's ledger.")]
Most = Annotated[int, typer.Option("--most", min=1, max=1000, help="How many faults or findings are shown.")]
_LIMIT = re.compile(r"([^/=]+)/([^/=]+)=(\d{1,9})")


def register(app: typer.Typer) -> None:
    """Add `custody plan` with its commands."""
    commands = typer.Typer(no_args_is_help=True, help="Plans: from a spreadsheet, back, compared, checked.")
    commands.command("import")(import_)
    for act in (export, diff):
        commands.command(act.__name__)(act)
    commands.command("check")(check_)
    app.add_typer(commands, name="plan")


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE.csv", help="One row per polling station; see docs/plans.md.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where the plan goes.")] = Path("plan.json"),
    policy: PolicyFile = None,
    from_ledger: FromLedger = False,
    like: Annotated[
        Path | None, typer.Option(metavar="PLAN.json", help="Keep title, capacity and windows of places of this plan.")
    ] = None,
    election: Annotated[str, typer.Option(help="Its election; the policy's only one when absent.")] = "",
    title: Annotated[str, typer.Option(help="Its title, for people.")] = "",
    capacity: Annotated[
        list[str] | None, typer.Option(metavar="CONTAINER/ITEM=N", help="What a container holds; may be repeated.")
    ] = None,
    synthetic: Annotated[bool, typer.Option(help="Say in the plan that its figures are made up.")] = False,
    most: Most = SHOWN,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Make a plan of a table, or say everything that is wrong with it: row, column, and what to do."""
    rules = _policy(policy, from_ledger=from_ledger)
    frame = _frame(rules, like, election, title, capacity or (), synthetic=synthetic)
    reading = read_table(_read(file, MAX_TABLE_BYTES), rules, frame)
    if reading.document is None:
        if as_json:
            sys.stdout.write(faults_json(reading, most))
        else:
            show_faults(file, reading, most)
        raise typer.Exit(WRONG)
    plan = _plan(reading.document)
    found = check(plan, rules)
    try:
        out.write_bytes(reading.document)
    except OSError as error:
        _usage(f"Cannot write {out}: {error.strerror}.")
    told = {"plan": str(out), "document": document_hash(reading.document), "stations": len(plan.stations)}
    if as_json:
        sys.stdout.write(json.dumps({**told, **found_json(found, needs(plan, rules), most)}) + "\n")
        return
    Console().print(f"{out}: {told['stations']} stations, document {told['document']}", soft_wrap=True)
    show_found(found, needs(plan, rules), most)


def export(
    file: Annotated[Path | None, typer.Argument(metavar="[PLAN.json]", help="The plan in force when absent.")] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where the table goes; standard output when absent.")
    ] = None,
    policy: PolicyFile = None,
    from_ledger: FromLedger = False,
    election: Annotated[str, typer.Option(help="Of this election; the only one when absent.")] = "",
    semicolons: Annotated[bool, typer.Option(help="Separate cells by semicolons, not commas.")] = False,
) -> None:  # fmt: skip
    """Write a plan's stations as a table for a spreadsheet; `import --like PLAN.json` reads it back."""
    rules = _policy(policy, from_ledger=from_ledger) if policy or from_ledger or file is None else None
    plan = _plan(_read(file, MAX_DOCUMENT_BYTES)) if file is not None else _in_force(election)
    data = write_table(plan, rules, ";" if semicolons else ",")
    if out is None:
        sys.stdout.buffer.write(data)
        return
    try:
        out.write_bytes(data)
    except OSError as error:
        _usage(f"Cannot write {out}: {error.strerror}.")
    Console().print(f"{out}: {len(plan.stations)} stations", soft_wrap=True)


def diff(
    old: Annotated[Path, typer.Argument(metavar="OLD.json")],
    new: Annotated[Path, typer.Argument(metavar="NEW.json")],
    most: Most = SHOWN,
    as_json: AsJson = False,
) -> None:
    """Say what a new plan changes: stations added, removed and changed, member by member."""
    found = difference(*(_plan(_read(file, MAX_DOCUMENT_BYTES)) for file in (old, new)))
    if as_json:
        told = {
            "added": list(found.added), "removed": list(found.removed), "plan": changes_json(found.plan),
            "changed": {place: changes_json(changes) for place, changes in found.changed.items()},
        }  # fmt: skip
        sys.stdout.write(json.dumps(told) + "\n")
        return
    table = Table("station", "what", "before", "after")
    rows = [("", change.member, word(change.before), word(change.after)) for change in found.plan]
    rows += [(place, "added", "", "") for place in found.added]
    rows += [(place, "removed", "", "") for place in found.removed]
    rows += [
        (place, change.member, word(change.before), word(change.after))
        for place, changes in found.changed.items()
        for change in changes
    ]
    for row in rows[:most]:
        table.add_row(*map(Text, row))
    Console().print(table if rows else "The plans are the same.")
    and_more(len(rows), most)


def check_(
    file: Annotated[Path, typer.Argument(metavar="PLAN.json")],
    policy: PolicyFile = None,
    from_ledger: FromLedger = False,
    most: Most = SHOWN,
    as_json: AsJson = False,
) -> None:
    """Say everything on which a plan disagrees with the policy, and what has to be printed.

    Exit code: 0 they agree, 1 findings, 2 usage.
    """
    rules = _policy(policy, from_ledger=from_ledger)
    plan = _plan(_read(file, MAX_DOCUMENT_BYTES))
    found = check(plan, rules)
    if as_json:
        sys.stdout.write(json.dumps(found_json(found, needs(plan, rules), most)) + "\n")
    else:
        show_found(found, needs(plan, rules), most)
    raise typer.Exit(WRONG if found else 0)


# -- reading ---------------------------------------------------------------------------------------------


def _read(file: Path, most: int) -> bytes:
    try:
        with file.open("rb") as source:
            return source.read(most + 1)
    except OSError as error:
        _usage(f"Cannot read {file}: {error.strerror}.")


def _plan(data: bytes) -> Plan:
    return _parsed(data, Plan)


def _parsed(data: bytes, kind: type[D]) -> D:
    try:
        found = parse_document(data)
    except ServiceError as error:
        _usage(f"That is no {kind.__name__.lower()}: {error.detail}")
    if not isinstance(found, kind):
        _usage(f"That document is no {kind.__name__.lower()}.")
    return found


def _policy(file: Path | None, *, from_ledger: bool) -> Policy:
    if file is not None and from_ledger:
        _usage("Give --policy or --from-ledger, not both.")
    if file is not None:
        return _parsed(_read(file, MAX_DOCUMENT_BYTES), Policy)
    settings = Settings()
    with opened(settings) as db, db.read() as session:
        ledger_id, _ = _meta(session, settings)
        found = policy_in_force(session, ledger_id)
    if found is None:
        raise MissingError("No policy is in force on this ledger yet; give one with --policy FILE.")
    return found


def _in_force(election: str) -> Plan:
    settings = Settings()
    with opened(settings) as db, db.read() as session:
        ledger_id, meta = _meta(session, settings)
        known = dict(meta.plans)
        if not election and len(known) > 1:
            _usage(f"Name the election with --election: {', '.join(known)}.")
        named = known.get(election) if election else next(iter(known.values()), None)
        found = document(session, ledger_id, named) if named else None
    if not isinstance(found, Plan):
        raise MissingError("No such plan is in force on this ledger.")
    return found


def _meta(session: ReadSession, settings: Settings) -> tuple[int, Meta]:
    head = read_head(session, settings.ledger)
    meta = meta_of(session, head.ledger_id)
    if meta is None:
        raise MissingError("The ledger has no genesis yet.")
    return head.ledger_id, meta


def _frame(
    policy: Policy, like: Path | None, election: str, title: str, capacity: Sequence[str], *, synthetic: bool
) -> Frame:  # fmt: skip
    known = [one.id for one in policy.elections]
    frame = Frame.of(_plan(_read(like, MAX_DOCUMENT_BYTES))) if like is not None else None
    if frame is None:
        if not election and len(known) > 1:
            _usage(f"Name the election with --election: {', '.join(known)}.")
        named = election or known[0]
        frame = Frame(named, f"Rencana {named}")
    limits = tuple(_limit(one) for one in capacity)
    return replace(
        frame, election=election or frame.election, title=title or frame.title, capacity=limits or frame.capacity,
        synthetic=synthetic or frame.synthetic,
    )  # fmt: skip


def _limit(told: str) -> dict[str, Any]:
    found = _LIMIT.fullmatch(told)
    if found is None:
        _usage("A capacity is written CONTAINER/ITEM=N, such as BOX_TPS/BALLOT=700.")
    return {"container": found[1], "item": found[2], "quantity": int(found[3])}


def _usage(sentence: str) -> NoReturn:
    typer.echo(sentence, err=True)
    raise typer.Exit(USAGE) from None
