"""What a plan and the policy in force do not agree on: every finding with its station (pure).

`check` reads both and reports; it refuses nothing, for the commission decides what to mend. `plan.publish` itself
refuses only places, contests and items that the policy does not know. `needs` gives identity 1 of the balance: per
contest the voters, the legal reserve rounded up per station and then added, and the re-vote stock of the policy
(domain reference section 11).
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from app.units.documents import STATION_KINDS, Election, Policy
from app.units.plans import Plan, Station, Window, line_key, line_of, reserve


@dataclass(frozen=True, slots=True)
class Finding:
    """One disagreement; `station` is empty for what is said of the whole plan."""

    code: str
    station: str
    detail: str
    facts: dict[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Need:
    """What has to be printed for one contest: identity 1."""

    contest: str
    stations: int
    voters: int
    reserve: int
    revote: int

    @property
    def total(self) -> int:
        """Everything together: the ceiling for the printer."""
        return self.voters + self.reserve + self.revote


def needs(plan: Plan, policy: Policy) -> list[Need]:
    """Return the need of each contest of the plan's election; none for an election that the policy does not know."""
    election = policy.election_by_id.get(plan.election)
    if election is None:
        return []
    return [_need(plan, election, contest.id, contest.revote) for contest in election.contests]


def _need(plan: Plan, election: Election, contest: str, revote: int) -> Need:
    here = [station for station in plan.stations if any(d.contest == contest for d in station.districts)]
    kept = sum(reserve(station.voters, election.reserve_permille) for station in here)
    return Need(contest, len(here), sum(station.voters for station in here), kept, revote)


def check(plan: Plan, policy: Policy) -> list[Finding]:
    """Return everything on which a plan disagrees with a policy, in the order of its stations."""
    election = policy.election_by_id.get(plan.election)
    if election is None:
        return [
            Finding("UNKNOWN_ELECTION", "", "The policy has no such election; correct it or publish the policy first.",
                    {"election": plan.election})
        ]  # fmt: skip
    found = [*_of_plan(plan, policy, election)]
    for station in plan.stations:
        found.extend(_of_station(plan, policy, election, station))
    return found


def _of_plan(plan: Plan, policy: Policy, election: Election) -> Iterator[Finding]:
    rate = plan.reserve_permille
    if rate is not None and rate != election.reserve_permille:
        facts: dict[str, str | int] = {"planned": rate, "expected": election.reserve_permille}
        yield Finding("RESERVE_RATE", "", "The plan was made with another reserve rate than the policy's.", facts)
    for limit in plan.capacity:
        for item in (limit.container, limit.item):
            if item not in policy.item_by_code:
                yield Finding("UNKNOWN_ITEM", "", "The capacity names an item that is not in the catalogue.",
                              {"item": item})  # fmt: skip
    for stop in plan.stops:
        if stop.place not in policy.place_by_id:
            yield Finding("UNKNOWN_PLACE", "", "A window is for a place that the policy does not know.",
                          {"place": stop.place})  # fmt: skip


def _of_station(plan: Plan, policy: Policy, election: Election, station: Station) -> Iterator[Finding]:
    place = policy.place_by_id.get(station.place)
    if place is None:
        yield Finding("UNKNOWN_PLACE", station.place, "The policy does not know this polling station.")
    elif place.kind not in STATION_KINDS:
        yield Finding("NOT_A_STATION", station.place, "This place is no polling station.", {"kind": place.kind})
    yield from _contests(policy, election, station)
    yield from _reserve(election, station)
    yield from _ballots(policy, election, station)
    yield from _fits(plan, policy, station)
    yield from _route(plan, policy, station)


def _contests(policy: Policy, election: Election, station: Station) -> Iterator[Finding]:
    contests = {contest.id for contest in election.contests}
    told = Counter(district.contest for district in station.districts)
    lines = Counter(line_key(line.item, line.contest) for line in station.kit)
    for contest in sorted({*told, *(line.contest for line in station.kit if line.contest)} - contests):
        yield Finding("UNKNOWN_CONTEST", station.place, "The election has no such contest.", {"contest": contest})
    for contest in (contest for contest, times in told.items() if times > 1):
        yield Finding("DISTRICT_REPEATED", station.place, "A contest has two districts here.", {"contest": contest})
    for key in (key for key, times in lines.items() if times > 1):
        yield Finding("KIT_REPEATED", station.place, "The kit has this line twice; add them up.", {"line": key})
    for line in station.kit:
        item = policy.item_by_code.get(line.item)
        if item is None:
            yield Finding("UNKNOWN_ITEM", station.place, "The catalogue has no such item.", {"item": line.item})
        elif item.per_contest and line.contest is None:
            yield Finding("CONTEST_MISSING", station.place, "Goods of this kind belong to one contest; name it.",
                          {"item": line.item})  # fmt: skip


def _reserve(election: Election, station: Station) -> Iterator[Finding]:
    right = reserve(station.voters, election.reserve_permille)
    if station.reserve is not None and station.reserve != right:
        yield Finding("RESERVE_WRONG", station.place, "The legal reserve is (voters x rate + 999) // 1000 per station.",
                      {"planned": station.reserve, "expected": right})  # fmt: skip


def _ballots(policy: Policy, election: Election, station: Station) -> Iterator[Finding]:
    """Compare the ballots of the kit with voters and reserve, and with the contests that are held here."""
    right = station.voters + reserve(station.voters, election.reserve_permille)
    held = {district.contest for district in station.districts}
    planned: set[str] = set()
    for key, quantity in station.kit_by_line.items():
        code, contest = line_of(key)
        item = policy.item_by_code.get(code)
        if item is None or not item.per_contest or item.sensitivity != "accountable" or contest is None:
            continue
        planned.add(contest)
        facts: dict[str, str | int] = {"item": code, "contest": contest, "planned": quantity, "expected": right}
        if quantity != right:
            yield Finding("KIT_NOT_NEED", station.place, "The ballots are not voters and legal reserve.", facts)
        if contest not in held:
            yield Finding("DISTRICT_MISSING", station.place, "Ballots of a contest that has no district here.", facts)
    for contest in sorted(held - planned if planned else ()):
        yield Finding("KIT_MISSING", station.place, "A contest is held here and the kit has no ballots of it.",
                      {"contest": contest})  # fmt: skip


def _fits(plan: Plan, policy: Policy, station: Station) -> Iterator[Finding]:
    """Say what does not fit into the containers of the kit, where the kit has such containers at all."""
    for limit in plan.capacity:
        wanted, containers = (_sum(station, code) for code in (limit.item, limit.container))
        if containers and wanted > containers * limit.quantity and limit.item in policy.item_by_code:
            facts: dict[str, str | int] = {
                "item": limit.item, "container": limit.container, "planned": wanted,
                "capacity": containers * limit.quantity,
            }  # fmt: skip
            yield Finding("CAPACITY_EXCEEDED", station.place, "The containers of the kit do not hold that much.", facts)


def _sum(station: Station, item: str) -> int:
    return sum(quantity for key, quantity in station.kit_by_line.items() if line_of(key)[0] == item)


def _route(plan: Plan, policy: Policy, station: Station) -> Iterator[Finding]:
    for stop in station.route:
        if stop.place not in policy.place_by_id:
            yield Finding("UNKNOWN_PLACE", station.place, "The route passes a place that the policy does not know.",
                          {"place": stop.place})  # fmt: skip
        elif not policy.serves(stop.place, station.place):
            yield Finding("STOP_ELSEWHERE", station.place, "The route passes a place that does not serve this station.",
                          {"place": stop.place})  # fmt: skip
    yield from _order(station.place, [(place, _window_at(plan, station, place)) for place in station.way])


def _window_at(plan: Plan, station: Station, place: str) -> Window:
    own = station.window_at(place)
    return own if own != (None, None) else plan.windows.get(place, (None, None))


def _order(station: str, way: list[tuple[str, Window]]) -> Iterator[Finding]:
    """Say where a later stop of the way opens or closes before an earlier one."""
    for which, what in ((0, "opens"), (1, "closes")):
        latest: tuple[str, int] | None = None
        for place, window in way:
            moment = window[which]
            if moment is None:
                continue
            if latest is not None and moment < latest[1]:
                yield Finding("WINDOW_ORDER", station, f"A stop {what} before the one before it on the way.",
                              {"place": place, "before": latest[0], "what": what})  # fmt: skip
            latest = place, moment
