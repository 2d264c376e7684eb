"""How the demonstration looks on a terminal of a hundred columns: a bar a chapter, then three tables and a proof."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Self

from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from app.cli.demo.agenda import WITA
from app.cli.demo.founding import ORIGIN, Founding
from app.cli.demo.play import Chapter
from app.ids import group4

WIDTH = 100
SEVERITY_STYLE = {"kritis": "bold red", "tinggi": "red", "sedang": "yellow", "rendah": "cyan", "info": "dim"}
WORDS = {
    "unit.commission": "gets its label", "unit.pack": "packed", "unit.unpack": "taken out", "seal.apply": "sealed",
    "custody.release": "released", "custody.accept": "accepted", "departed": "departed", "arrived": "arrived",
    "inspection": "inspected", "sighting": "seen", "unit.open": "opened", "unit.close": "closed and sealed again",
    "count": "counted",
}  # fmt: skip
"""Types of events in words, for the story of a box."""


def console() -> Console:
    """Return a console that is never wider than a page."""
    found = Console(highlight=False)
    found.width = min(found.width, WIDTH)
    return found


class Silence:
    """An audience that watches and says nothing."""

    def begins(self, chapter: Chapter) -> None:
        """Say nothing."""

    def hears(self, n: int) -> None:
        """Say nothing."""

    def ends(self) -> None:
        """Say nothing."""


class Seconds(ProgressColumn):
    """How long a chapter has taken."""

    def render(self, task: Task) -> Text:
        """Write seconds with one decimal."""
        return Text(f"{task.finished_time or task.elapsed or 0:4.1f} s", "dim", no_wrap=True)


class Bars:
    """An audience that draws one bar a chapter; used as a context."""

    def __init__(self, out: Console) -> None:
        """Draw on a console."""
        self._progress = Progress(
            TextColumn("[dim]{task.fields[when]}[/]"), TextColumn("{task.description:<38}"),
            BarColumn(bar_width=8, complete_style="blue", finished_style="green"),
            TextColumn("{task.completed:>5,.0f}/{task.total:<5,.0f}"), Seconds(),
            console=out,
        )  # fmt: skip
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        """Start drawing."""
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the bars as they are."""
        self._progress.stop()

    def begins(self, chapter: Chapter) -> None:
        """Draw the bar of a chapter."""
        self._task = self._progress.add_task(chapter.title, total=chapter.events, when=chapter.when)

    def hears(self, n: int) -> None:
        """Move the bar on."""
        if self._task is not None:
            self._progress.advance(self._task, n)

    def ends(self) -> None:
        """Stop the bar's clock."""
        if self._task is not None:
            self._progress.stop_task(self._task)


def head(out: Console, founding: Founding) -> None:
    """Say what this is, and what of it is made up."""
    out.print()
    out.print("[bold]Ballot Custody[/] · Bontang, 27 November 2024: two contests, 277 stations, 134,567 voters")
    out.print("[dim]Totals as published. Synthetic: voters per station, officers, keys, and what goes wrong.[/]")
    out.print(f"[dim]Ledger {ORIGIN}, data in {founding.settings.data_dir}[/]")
    if founding.moved_to:
        out.print(f"[dim]What was there before is now in {founding.moved_to}[/]")
    out.print()


def tail(out: Console, told: Mapping[str, Any]) -> None:
    """Show the ending."""
    for remark in told["remarks"]:
        out.print(f"[dim]{remark}[/]")
    _balance(out, told["balance"])
    _discrepancies(out, told)
    _story(out, told["box"])
    _proof(out, told)


def _rule(out: Console, title: str) -> None:
    out.print()
    out.rule(f"[bold]{title}[/]", align="left", style="dim")


def _table(*columns: tuple[str, str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), expand=True, header_style="dim")
    for name, how in columns:
        table.add_column(
            name, justify="right" if "right" in how else "left", no_wrap="wrap" not in how,
            ratio=1 if "wide" in how else None, overflow="fold" if "wrap" in how else "ellipsis",
        )  # fmt: skip
    return table


def _balance(out: Console, contests: list[dict[str, Any]]) -> None:
    _rule(out, "Balance of the ballots, to the sheet: by the ledger, and as published")
    columns = [(name, "right") for c in contests for name in (c["contest"], "published", "")]
    table = _table(("", "wide"), *columns)
    for n, line in enumerate(contests[0]["lines"]):
        cells: list[Text | str] = []
        for contest in contests:
            mine = contest["lines"][n]
            cells += [f"{mine['ledger']:,}", f"{mine['published']:,}", _mark(mine["ledger"] == mine["published"])]
        table.add_row(f"{'+' if n < INCOMING else '−'} {line['meaning']}", *cells, end_section=n == INCOMING - 1)
    left = [cell for c in contests for cell in (_remainder(c["lines"]), "0", _mark(c["equal"]))]
    table.add_section()
    table.add_row(Text("= unaccounted for", "bold"), *left)
    out.print(table)


INCOMING = 3
"""How many lines of the balance came in; the others are where they went."""


def _remainder(lines: list[dict[str, Any]]) -> Text:
    left = sum(line["ledger"] * (1 if n < INCOMING else -1) for n, line in enumerate(lines))
    return Text(f"{left:,}", "bold green" if left == 0 else "bold red")


def _mark(good: bool) -> Text:
    return Text("=", "green") if good else Text("≠", "bold red")


def _discrepancies(out: Console, told: Mapping[str, Any]) -> None:
    rows = told["discrepancies"]
    verdict = "exactly those that the story planted" if told["as_expected"] else "NOT those that the story planted"
    _rule(out, f"Open discrepancies: {len(rows)}, {verdict}")
    table = _table(("rule", ""), ("where", ""), ("what", "wide wrap"))
    for row in rows:
        rule = Text(row["rule"], SEVERITY_STYLE.get(row["severity"], ""))
        table.add_row(rule, row["place_name"] or row["place"], row["why"] or str(row["facts"]))
    out.print(table)
    out.print("[dim]Open until somebody signs an explanation. The phone that was offline for a day raised nothing.[/]")
    for difference in told["differences"]:
        out.print(f"[bold red]{difference}[/]")


def _story(out: Console, told: Mapping[str, Any]) -> None:
    what = told["what"]
    _rule(out, f"Who had this box, when: {what}")
    out.print(f"[dim]{group4(told['unit'])}[/]")
    rules = {row["index"]: row["rule"] for row in told["rows"]}
    table = _table(("WITA", ""), ("what happened", ""), ("where", "wide wrap"), ("by", "wide wrap"), ("leaf", "right"))
    for row in told["history"]:
        if row["kind"] == "event":
            table.add_row(*_event(row, rules))
        elif row["to"] is None:
            since = row["from"]
            table.add_row(_when(since["at"]), Text(f"gap: {row['cause']}", "red"), "", "", f"{since['index']:,}")
    out.print(table)


def _event(row: Mapping[str, Any], rules: Mapping[int, str]) -> list[Text | str]:
    words = Text(WORDS.get(row["type"], row["type"]), "" if row["result"] == "accepted" else "red")
    if row["via"]:
        words.append(" (in a load)", "dim")
    if row["index"] in rules:
        words.append(f" {rules[row['index']]}", "bold red")
    place, officer = row["place_name"] or row["place"], Text(row["officer"], "dim")
    return [_when(row["claimed_at"]), words, place, officer, f"{row['index']:,}"]


def _when(utc: str) -> str:
    return datetime.fromisoformat(utc).astimezone(WITA).strftime("%d %b %H:%M")


def _proof(out: Console, told: Mapping[str, Any]) -> None:
    proof, genesis = told["box"]["proof"], told["ledger"]["genesis"]
    style = "bold green" if proof["result"] == "PASS" else "bold red"
    out.print(f"Proof [{style}]{proof['result']}[/], offline: {proof['leaves']} leaves included and judged again")
    out.print(f"[dim]bundle  {proof['file']}[/]", soft_wrap=True)
    out.print(f"[dim]genesis {genesis}[/]")
    for reason in proof["reasons"]:
        out.print(f"[dim]{reason['level']:<7} {reason['detail']}[/]")
    leaves = told["ledger"]["size"]
    _rule(out, f"{told['events']:,} signed events in {told['seconds']:.0f} s; the ledger has {leaves:,} leaves")
    for name, command in told["look_around"]:
        out.print(f"[dim]{name:<20}[/] {command}", soft_wrap=True)
    out.print()
