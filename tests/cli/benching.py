"""A benchmark of a few events, for tests that look at what it says and not at how fast anything is."""

from rich.progress import Progress

from app.cli.bench import charter, parts
from app.cli.bench.command import run
from app.cli.bench.offline import Extent
from app.cli.bench.wish import Size, Wish

TINY = Size(
    rounds=1, streams=8, units=1, hundred=4, thousand=8, single=32, batch_100=64, batch_100_open=64, batch_1000=64,
    naive=8, reads=8, warm_up=8, field_day=100, single_4=16, two_signatures=64, two_signatures_100=64, hundred_units=16,
    bundles=2, balances=2, pages=2, labels=30, events=900,
)  # fmt: skip


def small(monkeypatch):
    """Let the parts of a run be small whose size no option has."""
    few = {"COMMITS": 2, "ONE_ROW_COMMITS": 5, "SYMBOLS": 4, "SIGNATURES": 20}
    for name, count in few.items():
        monkeypatch.setattr(parts, name, count)
    monkeypatch.setattr(charter, "STATIONS", 12)


def measured(folder, *scenarios, extent=None, **wish):
    """Run scenarios in a folder, without a bar."""
    with Progress(disable=True) as progress:
        return run(folder, Wish(scenarios, TINY, **wish), extent or Extent(), progress)
