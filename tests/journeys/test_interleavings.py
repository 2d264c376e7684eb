"""Offline batches in any order end the same: nothing lost, doubled or silently merged (T16).

Five phones worked for a day without a network. Their events arrive in any order, in groups of any size, some
twice. Whatever the order: every event is recorded once, every command has its outcome, and the units, seals,
handovers and devices stand as they would have with a network. Of two commands that compete the first admitted
stands and the other is refused with a row.
"""

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given

from app.db import Database
from tests import small as s
from tests.postgres import drop_database
from tests.strategies import arrivals, effort

EVENTS = 13
RIVALS = (11, 12)


def the_day(town):
    """Return what five phones signed without a network, in the order in which it happened."""
    lot, other = town.lot(), town.lot(50, checked=False)
    box, rival = town.box(), town.box(s.TPS2)
    town.look(*town.phones())
    check = town.inspected([other], phone=town.kpu3)
    pack = town.pack(box, lot)
    fill = town.act(town.kpu1, "unit.pack", {"parent": box}, [other], kpu2="second", after=[check.hash, pack.hash])
    lines = {"seals": [{"unit": box, "point": 1, "number": "OFF-1"}]}
    seal = town.act(town.kpu1, "seal.apply", lines, [box], kpu2="second", after=[fill.hash])
    release = town.release([box], after=[seal.hash])
    accept = town.accept(release.hash, [box])
    looked = town.act(town.ppk1, "sighting", {}, [box], place=s.PPK, capacity="witness")
    to_truck = town.release([box], (s.POS, s.TRUCK), phone=town.ppk1, place=s.PPK, ppk2="second", pol="escort",
                            after=[accept.hash])  # fmt: skip
    taken = town.accept(to_truck.hash, [box], phone=town.pos1, place=s.TRUCK, pos2="second")
    seen = [town.act(town.bws, "sighting", {}, [box], place=place, capacity="witness") for place in (s.HALL, s.TRUCK)]
    contest = [
        town.act(phone, "seal.apply", {"seals": [{"unit": rival, "point": point, "number": "ONCE-1"}]}, [rival])
        for point, phone in ((1, town.kpu3), (2, town.kpu4))
    ]
    day = [check, pack, fill, seal, release, accept, looked, to_truck, taken, *seen, *contest]
    assert len(day) == EVENTS
    return day, box, lot, other, rival


def send(town, day, order) -> None:
    for group in order:
        town.tick(5)
        answers = town.send_all([day[n] for n in group])
        assert all(hasattr(answer, "result") for answer in answers), answers


def end_state(town, day) -> dict:
    """Return what must not depend on the order."""
    hashes = ", ".join(f"'{each.hash}'" for each in day[: RIVALS[0]])
    rows = town.query(
        f"SELECT e.hash, COALESCE(o.outcome, e.result) FROM event e LEFT JOIN event_outcome o ON o.hash = e.hash "
        f"WHERE e.hash IN ({hashes})"
    )
    units = "unit, item, quantity, condition, lifecycle, effective, destination, agency, officer, place, custody, parent, label"
    return {
        "events": sorted(rows),
        "units": sorted(town.query(f"SELECT {units}, children, contents, agencies FROM unit"), key=repr),
        "handovers": sorted(town.query("SELECT release, status, closed_by FROM handover")),
        "containment": sorted(town.query("SELECT child, parent FROM containment WHERE until_index IS NULL")),
        "seals": sorted(town.query("SELECT number, unit, status FROM seal")),
        "devices": sorted(town.query("SELECT kid, seq, hash, missing FROM device WHERE kid IN ("
                                     + ", ".join(f"'{phone.kid}'" for phone in town.phones()) + ")")),
        "waiting": town.query("SELECT hash FROM waiting WHERE done_index IS NULL"),
        "gaps": town.query("SELECT id FROM discrepancy WHERE rule = 'SEQUENCE_GAP' AND status = 'open'"),
        "forks": town.query("SELECT id FROM discrepancy WHERE rule = 'SEQUENCE_FORK'"),
        "tallies": town.query("SELECT figure, contest, SUM(quantity) FROM tally GROUP BY figure, contest ORDER BY 1, 2"),
    }  # fmt: skip


def rivals(town, day) -> list[tuple[str, str]]:
    first, second = (town.query(f"SELECT result, code FROM event WHERE hash = '{day[n].hash}'")[0] for n in RIVALS)
    return sorted([first, second])


class Day:
    """A mould in which the day was signed and nothing of it has arrived."""

    def __init__(self, mould) -> None:
        self.mould = mould
        self.folder = Path(tempfile.mkdtemp(prefix="custody-day-"))
        town = mould.pour(self.folder)
        self.made = the_day(town)
        self.events = self.made[0]
        town.leave()
        self.town = town
        self.n = 0
        with self.arrive() as fresh:
            send(fresh, self.events, [list(range(EVENTS))])
            self.expected = end_state(fresh, self.events)

    def end(self) -> None:
        """Remove what was made."""
        if not self.town.db.is_sqlite:
            drop_database(self.town.db.url.render_as_string(hide_password=False))
        shutil.rmtree(self.folder)

    def arrive(self):
        """Return a context with a copy of the ledger as it stood when the phones went offline."""
        self.n += 1
        return _Copy(self, self.folder / f"copy-{self.n}")


class _Copy:
    def __init__(self, day: Day, folder: Path) -> None:
        self.day, self.folder = day, folder

    def __enter__(self):
        self.folder.mkdir()
        base = self.day.town
        shutil.copytree(base.settings.data_dir, self.folder / "house", copy_function=shutil.copy2)
        url = self.day.mould._copy(base.db.url.render_as_string(hide_password=False), self.folder)
        self.town = base.copy(Database(url), self.folder / "house")
        return self.town

    def __exit__(self, *_):
        self.day.mould.take_back(self.town)
        shutil.rmtree(self.folder)


@pytest.fixture
def day(stocked):
    made = Day(stocked)
    yield made
    made.end()


def test_in_the_order_in_which_it_happened(day):
    events, box, lot, other, _ = day.made
    with day.arrive() as town:
        for n in range(EVENTS):
            send(town, events, [[n]])
        assert end_state(town, events) == day.expected
        assert town.unit(box)["place"] == s.TRUCK
        assert town.unit(box)["seals"] == {"1": "OFF-1"}
        assert {town.unit(lot)["parent"], town.unit(other)["parent"]} == {box}
        assert rivals(town, events) == [("accepted", ""), ("refused", "seal_reuse")]
        town.check()


def test_backwards(day):
    events = day.events
    with day.arrive() as town:
        send(town, events, [[n] for n in reversed(range(EVENTS))])
        assert end_state(town, events) == day.expected
        assert rivals(town, events) == [("accepted", ""), ("refused", "seal_reuse")]
        assert town.query(f"SELECT result FROM event WHERE hash = '{events[RIVALS[1]].hash}'") == [("accepted",)]
        town.check()


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def test_in_any_order_in_any_groups_with_duplicates(kind, request):
    made = Day(request.getfixturevalue(f"stocked_{'sqlite' if kind == 'sqlite' else 'postgres'}"))

    @effort(30 if kind == "sqlite" else 4, 2000 if kind == "sqlite" else 100)
    @given(order=arrivals(EVENTS))
    def any_order(order):
        with made.arrive() as town:
            before = town.size()
            send(town, made.events, order)
            assert end_state(town, made.events) == made.expected
            assert rivals(town, made.events) == [("accepted", ""), ("refused", "seal_reuse")]
            recorded = [
                h for (h,) in town.query(f"SELECT hash FROM event WHERE leaf_index >= {before} AND type <> 'verdict'")
            ]
            assert sorted(recorded) == sorted(each.hash for each in made.events)
            town.check(twice=False)

    any_order()
    made.end()


def test_a_service_that_forgets_what_waits_is_noticed(day, monkeypatch):
    """The negative control: without waking what waits, some order ends otherwise."""
    from app.custody.walk import Walk  # noqa: PLC0415

    monkeypatch.setattr(Walk, "_wake", lambda self, step: None)
    with day.arrive() as town:
        send(town, day.events, [[n] for n in reversed(range(EVENTS))])
        assert end_state(town, day.events) != day.expected
