"""A plan written as a table, one row per polling station, so that it reads back (pure). See `app.units.plansheet`."""

import csv
import io
from collections.abc import Iterator

from app.units.documents import Policy
from app.units.plancells import harmless
from app.units.plans import Plan, Station


def write_table(plan: Plan, policy: Policy | None = None, delimiter: str = ",") -> bytes:
    """Return the stations of a plan as a table that `read_table` takes: UTF-8 with a byte order mark, CRLF.

    What of a plan is not said per station (title, capacity, windows of places) is not in the table: `Frame.of` keeps
    it. With a policy a column `name` helps people; it is never read back.
    """
    names = _names(plan, policy)
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\r\n")
    writer.writerow(names)
    for station in plan.stations:
        told = dict(_cells(station))
        if policy is not None and station.place in policy.place_by_id:
            told["name"] = policy.place_by_id[station.place].name
        writer.writerow([harmless(told.get(name, "")) for name in names])
    return b"\xef\xbb\xbf" + out.getvalue().encode()


def _names(plan: Plan, policy: Policy | None) -> list[str]:
    used = dict.fromkeys(name for station in plan.stations for name, _ in _cells(station))
    head = ["place", *(["name"] if policy is not None else []), "voters"]
    single = ("reserve", "escort", "release_from", "deliver_by")
    stops = sorted((name for name in used if name.startswith("stop")), key=_stop_order)
    middle = [name for name in used if name.startswith(("district ", "kit "))]
    return [*head, *(name for name in single if name in used), *middle, *stops]


def _stop_order(name: str) -> tuple[int, int]:
    number, _, what = name.removeprefix("stop").partition(" ")
    return int(number), ("", "release_from", "deliver_by", "escort").index(what)


def _cells(station: Station) -> Iterator[tuple[str, str]]:
    yield "place", station.place
    yield "voters", str(station.voters)
    if station.reserve is not None:
        yield "reserve", str(station.reserve)
    yield "escort", _word(told=station.escort)
    yield from _moments("", station.release_from, station.deliver_by)
    for one in station.districts:
        yield f"district {one.contest}", one.district
    for key, quantity in station.kit_by_line.items():
        yield f"kit {key}", str(quantity)
    for n, stop in enumerate(station.route, 1):
        yield f"stop{n}", stop.place
        yield from _moments(f"stop{n} ", stop.release_from, stop.deliver_by)
        if stop.escort is not None:
            yield f"stop{n} escort", _word(told=stop.escort)


def _moments(before: str, release_from: str | None, deliver_by: str | None) -> Iterator[tuple[str, str]]:
    if release_from is not None:
        yield f"{before}release_from", release_from
    if deliver_by is not None:
        yield f"{before}deliver_by", deliver_by


def _word(*, told: bool) -> str:
    return "ya" if told else "tidak"
