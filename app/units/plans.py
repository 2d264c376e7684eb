"""The plan of one election: what every polling station is to receive, by which way, by when (pure).

Domain reference A8: the packing list per destination is computed from voters, and the plan is versioned: a new
`plan.publish` puts a new document in force. Members beyond station, voters, districts and kit are optional, so that a
plan may say as much as the commission has decided; what it does not say is not judged. Whether a plan agrees with the
policy in force is told by `app.units.plancheck`; here stands only what contradicts itself.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field

from app.clock import parse_rfc3339
from app.errors import MalformedError
from app.strict import Strict
from app.units.terms import Code, Moment, Name, Quantity

MAX_STOPS = 16
Window = tuple[int | None, int | None]
"""Earliest release and latest delivery, UTC milliseconds."""


def reserve(voters: int, permille: int) -> int:
    """Return the legal reserve of one station, rounded up (domain reference section 11: per station, then add)."""
    return (voters * permille + 999) // 1000


def line_key(item: str, contest: str | None) -> str:
    """Return the name of a line of goods in sums: the item, with its contest for goods that belong to one."""
    return item if contest is None else f"{item}/{contest}"


def line_of(key: str) -> tuple[str, str | None]:
    """Return item and contest of a line's name."""
    item, _, contest = key.partition("/")
    return item, contest or None


class KitLine(Strict):
    """So many of an item (of a contest, for ballots) for one station."""

    item: Code
    contest: Code | None = None
    quantity: Quantity


class District(Strict):
    """The electoral district of a station in one contest; it decides which ballot design belongs there."""

    contest: Code
    district: Code


class Stop(Strict):
    """A place on the way with a window of its own."""

    place: Code
    release_from: Moment | None = None
    deliver_by: Moment | None = None

    @cached_property
    def window(self) -> Window:
        """Earliest release towards this place and latest delivery there."""
        return _window(self.release_from, self.deliver_by)


class RouteStop(Stop):
    """A stop of one station's route; `escort` says whether the leg that ends here needs one.

    Absent, the station's own word counts.
    """

    escort: bool | None = None


class Station(Strict):
    """What one polling station is to receive, by which way, by when, and whether under escort.

    `route` names the stops between the store and the station, in order; the station itself is the end and not
    repeated. `reserve` is the legal reserve as the plan tells it; the formula decides whether it is right.
    """

    place: Code
    voters: Quantity
    reserve: Quantity | None = None
    districts: tuple[District, ...] = Field(max_length=64)
    kit: tuple[KitLine, ...] = Field(max_length=64)
    escort: bool = True
    release_from: Moment | None = None
    deliver_by: Moment | None = None
    route: tuple[RouteStop, ...] = Field(default=(), max_length=MAX_STOPS)

    @cached_property
    def window(self) -> Window:
        """Earliest release towards the station and latest delivery there."""
        return _window(self.release_from, self.deliver_by)

    @cached_property
    def way(self) -> tuple[str, ...]:
        """The places of the route in order, the station last."""
        return (*(stop.place for stop in self.route), self.place)

    @cached_property
    def stop_at(self) -> dict[str, RouteStop]:
        """Stops of the route by place."""
        return {stop.place: stop for stop in self.route}

    @cached_property
    def kit_by_line(self) -> dict[str, int]:
        """Planned quantities by line."""
        planned: dict[str, int] = {}
        for line in self.kit:
            key = line_key(line.item, line.contest)
            planned[key] = planned.get(key, 0) + line.quantity
        return planned

    def line_for(self, item: str, contest: str | None) -> str | None:
        """Return the kit's line that goods count for: their contest's, else the item's; None when not in the kit."""
        exact = line_key(item, contest)
        if exact in self.kit_by_line:
            return exact
        return item if item in self.kit_by_line else None

    def against_kit(self, goods: dict[str, int]) -> dict[str, int]:
        """Return how many of these goods count for each line of the kit; what is not in the kit is left out."""
        counted = dict.fromkeys(self.kit_by_line, 0)
        for key, quantity in goods.items():
            line = self.line_for(*line_of(key))
            if line is not None:
                counted[line] += quantity
        return counted

    def needs_escort(self, to_place: str) -> bool:
        """Say whether the leg that ends at a place needs an escort."""
        stop = self.stop_at.get(to_place)
        return self.escort if stop is None or stop.escort is None else stop.escort

    def window_at(self, place: str) -> Window:
        """Return the window of this station's goods at a place, (None, None) where the station has none there."""
        if place == self.place:
            return self.window
        stop = self.stop_at.get(place)
        return stop.window if stop is not None else (None, None)


class Limit(Strict):
    """How many of an item one container takes, whatever their contest: what it physically holds."""

    container: Code
    item: Code
    quantity: Quantity


class Plan(Strict):
    """The plan of one election: destination, kit, capacity, route, windows and escort per station.

    `reserve_permille` is the rate that the plan was made with; the election's in the policy is the law. `stops` are
    windows of places that hold for every station's goods, unless the station's route has its own.
    """

    v: Literal[1]
    kind: Literal["plan"]
    election: Code
    title: Name
    synthetic: bool = False
    reserve_permille: Annotated[int, Field(ge=0, le=1000)] | None = None
    capacity: tuple[Limit, ...] = Field(default=(), max_length=256)
    stations: tuple[Station, ...] = Field(max_length=20000)
    stops: tuple[Stop, ...] = Field(default=(), max_length=20000)

    @cached_property
    def station_by_place(self) -> dict[str, Station]:
        """Stations by place id."""
        return {station.place: station for station in self.stations}

    @cached_property
    def windows(self) -> dict[str, Window]:
        """Earliest release and latest delivery per place, UTC milliseconds."""
        nodes: tuple[Stop | Station, ...] = (*self.stops, *self.stations)
        return {node.place: node.window for node in nodes}

    @cached_property
    def limits(self) -> dict[tuple[str, str], int]:
        """What a container takes, by container and item."""
        return {(limit.container, limit.item): limit.quantity for limit in self.capacity}

    def district_of(self, place_id: str, contest: str) -> str | None:
        """Return the district of a station in a contest, or None when the plan has none."""
        station = self.station_by_place.get(place_id)
        return next((d.district for d in station.districts if d.contest == contest), None) if station else None


def _window(release_from: str | None, deliver_by: str | None) -> Window:
    return (
        parse_rfc3339(release_from) if release_from else None,
        parse_rfc3339(deliver_by) if deliver_by else None,
    )


def check_plan(plan: Plan) -> None:
    """Check that a plan does not contradict itself.

    Raises:
        MalformedError: `document_inconsistent`: a station, stop or limit stands twice, a route passes a place twice
            or its own station, or a window closes before it opens. `time`: a moment that no calendar has.
    """
    _check_unique("station", [s.place for s in plan.stations])
    _check_unique("stop", [s.place for s in plan.stops])
    _check_unique("capacity", [(limit.container, limit.item) for limit in plan.capacity])
    for station in plan.stations:
        if len(set(station.way)) != len(station.way):
            raise _inconsistent(f"The route of {station.place} passes a place twice.")
    for place, (opens, closes) in _every_window(plan):
        if opens is not None and closes is not None and opens > closes:
            raise _inconsistent(f"The window of {place} closes before it opens.")


def _every_window(plan: Plan) -> Iterator[tuple[str, Window]]:
    yield from plan.windows.items()
    for station in plan.stations:
        for stop in station.route:
            yield stop.place, stop.window


def _check_unique(what: str, ids: list[str] | list[tuple[str, str]]) -> None:
    if len(set(ids)) != len(ids):
        raise _inconsistent(f"The document names a {what} twice.")


def _inconsistent(detail: str) -> MalformedError:
    return MalformedError(detail, code="document_inconsistent")
