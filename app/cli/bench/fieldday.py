"""A day in the field: many devices, most with little to say, a few with all that they kept while there was no network.

The mix is fixed. Of a hundred requests 36 are syncs of 1 to 20 events (one event goes to the door of one event), two
are flushes of 100 to 200 events, 42 ask for a unit and 20 for its history. A device pair's story gives scans, releases,
accepts and checks in equal parts. The lots are drawn from a fixed seed, so that every run sends the same mix.
"""

from collections.abc import Iterator
from random import Random

from app.cli.bench.figures import Round
from app.cli.bench.stage import Stage
from app.cli.bench.stories import Stream
from app.cli.bench.traffic import Ask, Event, Load, get, post, post_batch

MIX = {"sync": 36, "flush": 2, "unit": 42, "history": 20}
"""Requests of each kind in a hundred."""
SMALL, LARGE = (1, 20), (100, 200)
SEED = 2024
CONNECTIONS = 64


def field_day(stage: Stage) -> Iterator[tuple[str, Round]]:
    """Send the mix of every device pair, closed, over connections that several of them share in turn."""
    lot = Random(SEED)  # noqa: S311 - a mix that is the same in every run
    kinds = _kinds(stage.size.field_day, lot)
    asks: list[list[Ask]] = [[] for _ in stage.streams]
    for number, kind in enumerate(kinds):
        place = number % len(stage.streams)
        asks[place].append(_ask(stage, stage.streams[place], kind, lot))
    connections = min(CONNECTIONS, len(asks))
    lines = [_woven(asks[first::connections]) for first in range(connections)]
    # Most requests are questions, so that CPU of each event would be too much by what the questions cost.
    yield "field_day", {**stage.send(Load(lines)), "devices": 2 * len(stage.streams), "per_request": True}


def _kinds(events: int, lot: Random) -> list[str]:
    """Return kinds of requests in the order of a shuffled mix, with so many events in all, about."""
    hundred = [kind for kind, times in MIX.items() for _ in range(times)]
    found: list[str] = []
    each = MIX["sync"] * sum(SMALL) / 2 + MIX["flush"] * sum(LARGE) / 2
    for _ in range(max(1, round(events / each))):
        lot.shuffle(hundred)
        found += hundred
    return found


def _ask(stage: Stage, stream: Stream, kind: str, lot: Random) -> Ask:
    if kind in {"unit", "history"}:
        unit = lot.choice(stream.units)
        path = f"/v1/units/{unit}" + ("/history" if kind == "history" else "")
        asked = get(path, stage.token, b'"unit":"' + unit.encode() + b'"', kind=kind)
        return Ask(asked.data, asked.status, asked.needed, asked.inside, kind, 0)
    events: list[Event] = stream.take(lot.randint(*(SMALL if kind == "sync" else LARGE)))
    stage.note([events])
    return post(events[0], "", kind=kind) if len(events) == 1 else post_batch(events, "", kind=kind)


def _woven(lines: list[list[Ask]]) -> list[Ask]:
    """Return the requests of several device pairs in turn; each pair's own stay in their order."""
    longest = max(map(len, lines))
    return [line[place] for place in range(longest) for line in lines if place < len(line)]
