"""What phones sign, in streams: events that depend on each other within a stream, and on nothing outside of it.

A stream is two officers and a few units that go back and forth between them: seen, released, accepted, inspected.
Each event has one signature; one officer signs with ES256, the other with Ed25519. A stream's events must be sent in
order; different streams know nothing of each other.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle

import orjson

from app.cli.bench.charter import AGENCY, PLACES
from app.cli.bench.traffic import Event
from app.cli.bench.world import DAY_MS, moment
from app.cli.phone import Phone, Signed, ids_commitment

Way = tuple[str, str]
WAYS: tuple[Way, Way] = (PLACES, (PLACES[1], PLACES[0]))


@dataclass(slots=True)
class Stream:
    """Two officers, their units, and the endless story of both."""

    here: Phone
    there: Phone
    units: list[str]
    story: Iterator[Signed]

    def sign(self, count: int) -> list[Signed]:
        """Sign the next events; they must reach the ledger in this order."""
        return [next(self.story) for _ in range(count)]

    def take(self, count: int) -> list[Event]:
        """Sign the next events and give them as a phone sends them."""
        return [as_sent(signed) for signed in self.sign(count)]


def as_sent(signed: Signed) -> Event:
    """Return a signed event as a phone sends it."""
    return Event(signed.hash.encode(), orjson.dumps(signed.jws))


def streams_of(phones: Sequence[Phone], units: Sequence[str], now_ms: Callable[[], int]) -> list[Stream]:
    """Deal phones in pairs and units evenly."""
    count = len(phones) // 2
    each = len(units) // count
    dealt = [list(units[n * each : (n + 1) * each]) for n in range(count)]
    return [
        Stream(phones[2 * n], phones[2 * n + 1], mine, _story(phones[2 * n], phones[2 * n + 1], mine, now_ms))
        for n, mine in enumerate(dealt)
    ]


def _story(here: Phone, there: Phone, units: list[str], now_ms: Callable[[], int]) -> Iterator[Signed]:
    """Yield signed events, for ever: each unit in turn goes to the other officer."""
    for (giver, taker), way in cycle(zip(((here, there), (there, here)), WAYS, strict=True)):
        for unit in units:
            yield from handover(giver, taker, unit, way, now_ms)


def handover(giver: Phone, taker: Phone, unit: str, way: Way, now_ms: Callable[[], int]) -> Iterator[Signed]:
    """Yield the four events of one unit's way: seen, released, accepted, inspected."""
    place, target = way
    yield _seen(giver, unit, place, now_ms())
    yield from exchange(giver, taker, [unit], way, now_ms)
    inspection = {"kind": "routine", "things": [{"what": "COUNT", "conform": True}]}
    yield taker.sign("inspection", inspection, units=[unit], at_ms=now_ms(), place=target, capacity="witness")


def _seen(phone: Phone, unit: str, place: str, now: int) -> Signed:
    return phone.sign("sighting", {}, units=[unit], at_ms=now, place=place, capacity="witness")


def exchange(
    giver: Phone, taker: Phone, units: Sequence[str], way: Way, now_ms: Callable[[], int],
    seconds: tuple[Phone, Phone] | None = None,
) -> Iterator[Signed]:  # fmt: skip
    """Yield a release and its accept, each with a second officer's signature where there are seconds."""
    (place, target), now = way, now_ms()
    by_giver, by_taker = ({seconds[0]: "second"}, {seconds[1]: "second"}) if seconds else (None, None)
    release = giver.sign(
        "custody.release", {"to_agency": AGENCY, "to_place": target, "due_by": moment(now + DAY_MS)},
        units=units, at_ms=now, place=place, with_=by_giver,
    )  # fmt: skip
    yield release
    yield taker.sign(
        "custody.accept", {"release": release.hash, "scanned": {"n": len(units), "hash": ids_commitment(units)}},
        units=units, at_ms=now_ms(), place=target, capacity="taker", after=[release.hash], with_=by_taker,
    )  # fmt: skip


def exchanges(
    teams: tuple[Sequence[Phone], Sequence[Phone]], loads: Sequence[Sequence[str]], now_ms: Callable[[], int]
) -> Iterator[Signed]:
    """Yield releases and accepts, for ever: loads go back and forth between two teams of one or two officers."""
    for (giver, taker), way in cycle(zip((teams, teams[::-1]), WAYS, strict=True)):
        seconds = (giver[1], taker[1]) if len(giver) > 1 else None
        for units in loads:
            yield from exchange(giver[0], taker[0], units, way, now_ms, seconds)


LIFE = 11
"""Events of a life, the one that commissioned the unit not counted: twelve with it."""


def life(here: Phone, there: Phone, unit: str, now_ms: Callable[[], int]) -> Iterator[Signed]:
    """Yield the rest of a unit's life: there, back, and there again, where it stays."""
    yield from handover(here, there, unit, WAYS[0], now_ms)
    yield from handover(there, here, unit, WAYS[1], now_ms)
    yield _seen(here, unit, PLACES[0], now_ms())
    yield from exchange(here, there, [unit], WAYS[0], now_ms)
