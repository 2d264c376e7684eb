"""Random journeys against a tiny model of who holds what; the whole ledger is verified after every step.

The machine releases, accepts, rejects, cancels, seals, opens, sends again, sends late and out of order,
revokes keys, decides over held events, and tampers. The model (`World`) knows nothing of the service's text:
a few dictionaries and what the design says of them. After each step the service's verdict, the holder, the
place and the seals of every unit are compared with it, and `House.check` replays the ledger from its leaves.
"""

import secrets
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import Phase
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import text

from app.cli.phone import Phone, Signed, ids_commitment
from app.custody.rules.case import Case
from tests import small as s
from tests.journeys.conftest import StockedTown
from tests.strategies import LONG, effort

SITES = {"WH": (s.KPU, s.WAREHOUSE), "TRUCK": (s.POS, s.TRUCK), "PPK": (s.KPU, s.PPK)}
ROLES = {"WH": ("LOGISTIK", s.CITY), "TRUCK": ("TRANSPORTIR", s.CITY), "PPK": ("PPK_KEC", "64.74.01")}
REACH = {"WH": {"WH", "PPK"}, "TRUCK": {"TRUCK"}, "PPK": {"PPK"}}  # whose goods a site's officers hold


@dataclass
class Thing:
    """One unit: where it is, under which seal, on which release, since when set apart."""

    site: str
    seal: str | None
    release: str | None = None
    apart: int | None = None


@dataclass
class Handover:
    """One release: what became of it (`unknown`, `held`, `refused` or a status)."""

    unit: str
    source: str
    target: str
    status: str
    cancelled_at: int = -1


@dataclass
class World:
    """Who holds what, by the design's words alone."""

    things: dict[str, Thing]
    handovers: dict[str, Handover] = field(default_factory=dict)
    numbers: set[str] = field(default_factory=set)

    def agency(self, site: str) -> str:
        """Return the agency of a site."""
        return SITES[site][0]

    def release(self, op: "Op", index: int) -> str:
        """Take a release: by who holds, where it is, free of marks that the signers knew."""
        thing = self.things[op.unit]
        known = thing.apart is not None and thing.apart < op.seen
        fine = thing.site == op.site and thing.release is None and not known
        status = "open" if fine else "refused"
        self.handovers[op.signed.hash] = Handover(op.unit, op.site, op.target, status)
        if fine:
            thing.release = op.signed.hash
        return "accepted" if fine else "refused"

    def _known(self, op: "Op") -> Handover | str:
        handover = self.handovers.get(op.release)
        if handover is None or handover.status == "held":
            return "pending"
        return "refused" if handover.status in {"refused", "accepted", "rejected"} else handover

    def accept(self, op: "Op", index: int) -> str:
        """Take an accept: by the named agency, once; a cancel that its signers did not know does not undo it."""
        handover = self._known(op)
        if isinstance(handover, str):
            return handover
        if handover.status == "cancelled" and handover.cancelled_at < op.seen:
            return "refused"
        if self.agency(op.site) != self.agency(handover.target) or op.site == handover.source:
            return "refused"
        thing = self.things[handover.unit]
        back = handover.status == "cancelled" and thing.release is None
        if thing.release == op.release or (back and self.agency(thing.site) == self.agency(handover.source)):
            marked = thing.apart is not None and thing.apart > op.release_index(self)
            if (handover.status == "cancelled" or marked) and thing.apart is None:
                thing.apart = index
            thing.site, thing.release = op.site, None
        handover.status = "accepted"
        return "accepted"

    def reject(self, op: "Op", index: int) -> str:
        """Take a rejection: by the named agency, of an open release; the giver keeps the goods."""
        handover = self._known(op)
        if isinstance(handover, str):
            return handover
        if (
            handover.status != "open"
            or self.agency(op.site) != self.agency(handover.target)
            or op.site == handover.source
        ):
            return "refused"
        handover.status = "rejected"
        self.things[handover.unit].release = None
        return "accepted"

    def cancel(self, op: "Op", index: int) -> str:
        """Take a cancel that both sides signed."""
        handover = self._known(op)
        if isinstance(handover, str):
            return handover
        if handover.status != "open" or self.agency(op.site) != self.agency(handover.source):
            return "refused"
        handover.status, handover.cancelled_at = "cancelled", index
        self.things[handover.unit].release = None
        return "accepted"

    def _in_hand(self, op: "Op") -> Thing | None:
        thing = self.things[op.unit]
        return thing if thing.site in REACH[op.site] and thing.release is None and thing.apart is None else None

    def seal(self, op: "Op", index: int) -> str:
        """Take a sealing: in hand, at a free point, with a number that nobody used."""
        thing = self._in_hand(op)
        if thing is None or thing.seal is not None or op.number in self.numbers:
            return "refused"
        thing.seal = op.number
        self.numbers.add(op.number)
        return "accepted"

    def open(self, op: "Op", index: int) -> str:
        """Take an opening: in hand; another seal than the bound one sets the unit apart."""
        thing = self._in_hand(op)
        if thing is None:
            return "refused"
        if thing.seal != op.number:
            thing.apart = index
        thing.seal = None
        return "accepted"

    def clear(self, op: "Op", index: int) -> str:
        """Take a clearing: by the holder's agency and the supervisor."""
        thing = self.things[op.unit]
        if thing.apart is None or self.agency(op.site) != self.agency(thing.site):
            return "refused"
        thing.apart = None
        return "accepted"


@dataclass
class Op:
    """A signed event and what the model must know of it."""

    kind: str
    signed: Signed
    kids: frozenset[str]
    site: str
    seen: int
    unit: str = ""
    target: str = ""
    release: str = ""
    number: str = ""
    index: int = -1
    state: str = ""

    def release_index(self, world: World) -> int:
        """Return the leaf index of the release that this answers."""
        return INDEX_OF.get(self.release, 1 << 60)


INDEX_OF: dict[str, int] = {}


class Journeys(RuleBasedStateMachine):
    """Drives a town and the model side by side."""

    pour: Callable[[Path], StockedTown]
    take_back: Callable[[StockedTown], None]

    def __init__(self) -> None:
        """Begin with the stock at the warehouse."""
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="custody-journey-"))
        self.town = type(self).pour(self.folder)
        self.world = World({unit: Thing("WH", seal) for unit, seal in self.town.stock.items()})
        self.world.numbers = {seal for seal in self.town.stock.values() if seal}
        self.units = list(self.town.stock)
        self.pairs = {
            "WH": [self.town.kpu1, self.town.kpu2], "TRUCK": [self.town.pos1, self.town.pos2],
            "PPK": [self.town.ppk1, self.town.ppk2],
        }  # fmt: skip
        self.revoked: dict[str, int] = {}
        self.outbox: list[Op] = []
        self.done: list[Op] = []
        self.pending: list[Op] = []
        self.held: list[Op] = []
        self.checked = True
        INDEX_OF.clear()

    def teardown(self) -> None:
        """Give everything back, after one thorough look."""
        try:
            self.town.check(signatures=True)
        finally:
            type(self).take_back(self.town)
            shutil.rmtree(self.folder)

    # -- making events -------------------------------------------------------------------------------

    def make(self, kind: str, type_: str, details: dict, site: str, *, capacity: str = "giver", place: str | None = None,
             others: dict[Phone, str] | None = None, units: tuple[str, ...] = (), late: bool = False, **known: str) -> None:  # fmt: skip
        """Sign an event by both officers of a site and send it now, or keep it for later."""
        first, second = self.pairs[site]
        with_ = {second: "second", **(others or {})}
        self.town.look(first)
        signed = first.sign(
            type_, details, at_ms=self.town.tick(), units=units, place=place or SITES[site][1], capacity=capacity, with_=with_,
            after=[known["release"]] if "release" in known else [],
        )  # fmt: skip
        kids = frozenset({first.kid, *(phone.kid for phone in with_)})
        op = Op(kind, signed, kids, site, first.seen[0], **known)
        if late:
            self.outbox.append(op)
        else:
            self.deliver(op)

    def deliver(self, op: Op) -> None:
        """Send an event and let the model take it, too; both must agree."""
        index = self.town.size()
        answer = self.town.send(op.signed)
        op.index = answer.index
        assert answer.index == index
        if any(kid in self.revoked for kid in op.kids):
            op.state = "held"
            self.held.append(op)
            if op.kind == "release":
                self.world.handovers[op.signed.hash] = Handover(op.unit, op.site, op.target, "held")
        else:
            op.state = self.take(op, index)
        assert answer.result == op.state, (op.kind, answer.result, answer.code, op.state)
        self.done.append(op)
        if op.state == "pending":
            self.pending.append(op)
        elif op.kind == "release" and op.state != "held":
            self.wake(op.signed.hash)

    def take(self, op: Op, index: int) -> str:
        """Let the model judge an event that takes its place at a leaf index."""
        INDEX_OF.setdefault(op.signed.hash, index)
        if op.kind == "release":
            INDEX_OF[op.signed.hash] = index
        return getattr(self.world, op.kind)(op, index)

    def wake(self, release: str) -> None:
        """Let the model judge again what waited for a release, in the order in which it came."""
        for op in [op for op in self.pending if op.release == release]:
            self.pending.remove(op)
            told = self.outcome(op)
            op.state = self.take(op, told[1])
            assert told[0] == op.state, (op.kind, told, op.state)

    def outcome(self, op: Op) -> tuple[str, int]:
        """Return what the ledger says became of an event, and the leaf that says so."""
        rows = self.town.query(f"SELECT outcome, outcome_index FROM event_outcome WHERE hash = '{op.signed.hash}'")
        assert rows, f"{op.kind} still waits"
        return rows[0]

    # -- rules ---------------------------------------------------------------------------------------

    @rule(data=st.data(), source=st.sampled_from(sorted(SITES)), to=st.sampled_from(sorted(SITES)), late=st.booleans())
    def release(self, data, source, to, late):
        """Release a unit, most often from where it is."""
        unit = data.draw(st.sampled_from(self.units))
        if data.draw(st.integers(0, 3)):
            source = self.world.things[unit].site
        if to == source:
            to = {"WH": "PPK", "PPK": "TRUCK", "TRUCK": "WH"}[source]
        details = {"to_agency": SITES[to][0], "to_place": SITES[to][1], "due_by": "2024-12-31T00:00:00+08:00"}
        self.make(
            "release", "custody.release", details, source, others={self.town.pol: "escort"}, units=(unit,), late=late,
            unit=unit, target=to,
        )  # fmt: skip

    def _some_release(self, data) -> Op | None:
        known = [op for op in (*self.done, *self.outbox) if op.kind == "release"]
        if not known:
            return None
        still = [op for op in known if self.world.handovers.get(op.signed.hash, Handover("", "", "", "unknown")).status
                 in {"unknown", "open", "held"}]  # fmt: skip
        return data.draw(st.sampled_from(still if still and data.draw(st.integers(0, 3)) else known))

    @rule(data=st.data(), site=st.sampled_from(sorted(SITES)), late=st.booleans())
    def accept(self, data, site, late):
        """Accept a release, most often by who is named; also before it arrives, and twice."""
        of = self._some_release(data)
        if of is None:
            return
        if data.draw(st.integers(0, 3)):
            site = of.target
        told = {"release": of.signed.hash, "scanned": {"n": 1, "hash": ids_commitment([of.unit])}, "exceptions": []}
        self.make("accept", "custody.accept", told, site, capacity="taker", late=late, release=of.signed.hash)

    @rule(data=st.data(), late=st.booleans())
    def reject(self, data, late):
        """Refuse to take what was released."""
        of = self._some_release(data)
        if of is not None:
            details = {"release": of.signed.hash, "reason": "WET"}
            self.make(
                "reject", "custody.reject", details, of.target, capacity="taker", late=late, release=of.signed.hash
            )

    @rule(data=st.data(), late=st.booleans())
    def cancel(self, data, late):
        """Take a release back together with the taker."""
        of = self._some_release(data)
        if of is not None:
            place = s.PPK if "PPK" in {of.target, of.site} else SITES[of.site][1]
            self.make(
                "cancel", "custody.cancel", {"release": of.signed.hash, "reason": "RAIN"}, of.site, place=place,
                others={self.pairs[of.target][0]: "taker"}, late=late, release=of.signed.hash,
            )  # fmt: skip

    def _site_for(self, data, unit: str) -> str:
        right = self.world.things[unit].site
        return right if data.draw(st.integers(0, 4)) else data.draw(st.sampled_from(sorted(SITES)))

    @rule(data=st.data(), late=st.booleans(), used=st.booleans())
    def seal(self, data, late, used):
        """Seal a unit, sometimes with a number that was used before."""
        unit = data.draw(st.sampled_from(self.units))
        number = f"N-{secrets.token_hex(6).upper()}"
        if used and self.world.numbers and not data.draw(st.integers(0, 2)):
            number = data.draw(st.sampled_from(sorted(self.world.numbers)))
        details = {"seals": [{"unit": unit, "point": 1, "number": number}]}
        self.make(
            "seal",
            "seal.apply",
            details,
            self._site_for(data, unit),
            units=(unit,),
            late=late,
            unit=unit,
            number=number,
        )

    @rule(data=st.data(), late=st.booleans(), honest=st.booleans())
    def open(self, data, late, honest):
        """Open a unit and name the seal that was found."""
        unit = data.draw(st.sampled_from(self.units))
        number = self.world.things[unit].seal if honest else "FAKE-1"
        found = [{"unit": unit, "point": 1, "number": number, "finding": "intact"}] if number else []
        details = {"seals": found, "reason": "INSPECT"}
        known = {"number": number} if number else {"number": None}
        self.make(
            "open", "unit.open", details, self._site_for(data, unit), units=(unit,), late=late, unit=unit, **known
        )

    @rule(data=st.data())
    def clear(self, data):
        """End a quarantine by two sides."""
        apart = [unit for unit in self.units if self.world.things[unit].apart is not None]
        if apart:
            unit = data.draw(st.sampled_from(apart))
            site = self._site_for(data, unit)
            self.make(
                "clear", "quarantine.clear", {"reason": "EXPLAINED"}, site, others={self.town.bws: "approver"},
                units=(unit,), unit=unit,
            )  # fmt: skip

    @rule(data=st.data())
    @precondition(lambda self: self.outbox)
    def arrive_late(self, data):
        """Send something that was signed before, in any order."""
        op = data.draw(st.sampled_from(self.outbox))
        self.outbox.remove(op)
        self.deliver(op)

    @rule(data=st.data())
    @precondition(lambda self: self.done)
    def send_again(self, data):
        """Send something again: the same receipt, nothing new."""
        op = data.draw(st.sampled_from(self.done))
        size = self.town.size()
        answer = self.town.send(op.signed)
        assert answer.replayed
        assert answer.index == op.index
        assert self.town.size() == size

    @rule(hours=st.integers(1, 30))
    def wait(self, hours):
        """Let time pass; nothing falls due in it."""
        self.town.tick(60 * hours)

    @rule(site=st.sampled_from(sorted(SITES)), which=st.integers(0, 1))
    @precondition(lambda self: len(self.revoked) < 3)
    def revoke(self, site, which):
        """End a key; the officer gets a new phone, and what the old one signed is held."""
        lost = self.pairs[site][which]
        self.revoked[lost.kid] = self.town.ok(self.town.revoke(lost)).index
        role, place = ROLES[site]
        self.pairs[site][which] = self.town.enrol(lost.officer, lost.agency, role, place)

    @rule(data=st.data(), let_in=st.booleans())
    @precondition(lambda self: self.held)
    def decide(self, data, let_in):
        """Let a held event in, or not, by the supervisor and the other side."""
        op = data.draw(st.sampled_from(self.held))
        self.held.remove(op)
        other = self.pairs["WH" if op.site == "TRUCK" else "TRUCK"][0]
        as_what = "approver" if op.site == "TRUCK" else "second"
        details = {"event": op.signed.hash, "result": "accept" if let_in else "refuse", "reason": "CHECKED"}
        self.town.ok(
            self.town.bws.sign(
                "decision", details, at_ms=self.town.tick(), place=s.CITY, capacity="approver", with_={other: as_what}
            )
        )
        told = self.outcome(op)
        op.state = self.take(op, told[1]) if let_in else "refused"
        if op.state == "pending":
            op.state = "refused"
        if op.kind == "release" and not let_in:
            self.world.handovers[op.signed.hash].status = "refused"
        assert told[0] == op.state, (op.kind, told, op.state)
        if op.kind == "release":
            self.wake(op.signed.hash)

    @rule(data=st.data())
    def tamper(self, data):
        """Change one cell behind the service's back: found, located, and undone."""
        table, column, key = data.draw(st.sampled_from(TAMPERED))
        rows = self.town.query(f"SELECT {key}, {column} FROM {table} WHERE {column} IS NOT NULL ORDER BY {key}")
        if not rows:
            return
        name, before = data.draw(st.sampled_from(rows))
        after = spoiled(before)
        write(self.town, table, column, key, name, after)
        found = self.town.findings(twice=False)
        write(self.town, table, column, key, name, before)
        assert any(table in line for line in found), (table, column, found)

    # -- what must hold after each step --------------------------------------------------------------

    @invariant()
    def the_ledger_is_sound(self):
        """Verify everything again from the leaves."""
        self.town.check(twice=False)

    @invariant()
    def both_say_the_same(self):
        """Compare every unit with the model."""
        for unit, thing in self.world.things.items():
            row = self.town.unit(unit)
            agency, place = SITES[thing.site]
            assert (row["agency"], row["place"]) == (agency, place), unit
            assert row["custody"] == ("released" if thing.release else "held"), unit
            assert row["handover"] == thing.release, unit
            assert row["seals"] == ({"1": thing.seal} if thing.seal else {}), unit
            assert ("quarantine" in row["flag_since"]) == (thing.apart is not None), unit

    @invariant()
    def handovers_say_the_same(self):
        """Compare every handover that took effect with the model."""
        stored = dict(self.town.query("SELECT release, status FROM handover"))
        own = {h: x.status for h, x in self.world.handovers.items() if x.status not in {"refused", "held"}}
        assert stored == own


TAMPERED = [  # table, column, key: at least one of every kind of row
    ("unit", "place", "unit"), ("unit", "quantity", "unit"), ("unit", "head", "unit"), ("unit", "seq", "unit"),
    ("unit", "custody", "unit"), ("handover", "status", "release"), ("handover", "to_agency", "release"),
    ("seal", "unit", "number"), ("label", "status", "label"), ("signing_key", "agency", "kid"), ("device", "seq", "kid"),
    ("discrepancy", "rule", "id"), ("event", "result", "leaf_index"), ("event", "place", "leaf_index"),
    ("ledger_leaf", "leaf", "leaf_index"), ("containment", "parent", "id"), ("tally", "quantity", "id"),
]  # fmt: skip


def spoiled(value: object) -> object:
    """Return another value of the same type."""
    if isinstance(value, int):
        return value + 1
    if isinstance(value, bytes | memoryview):
        data = bytearray(value)
        data[len(data) // 2] ^= 1
        return bytes(data)
    return str(value)[:-1] + ("X" if str(value)[-1] != "X" else "Y")


def write(town: StockedTown, table: str, column: str, key: str, name: object, value: object) -> None:
    """Write a cell as an administrator with the database open would: triggers put aside and back."""
    with town.db.write_engine.connect() as connection, connection.begin():
        if town.db.is_sqlite:
            known = connection.exec_driver_sql(
                "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ?", (table,)
            ).all()
            for trigger, _ in known:
                connection.exec_driver_sql(f"DROP TRIGGER {trigger}")
        else:
            known = connection.exec_driver_sql(
                "SELECT tgname, '' FROM pg_trigger WHERE NOT tgisinternal AND tgrelid = %s::regclass", (table,)
            ).all()
            connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        done = connection.execute(
            text(f"UPDATE {table} SET {column} = :value WHERE {key} = :name"), {"value": value, "name": name}
        )
        assert done.rowcount == 1
        for trigger, sql in known:
            connection.exec_driver_sql(sql or f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {trigger}")


def run(mould, examples: int, long_examples: int, steps: int, long_steps: int, **more) -> None:
    """Drive the machine over towns of one mould."""

    class Here(Journeys):
        pour = staticmethod(mould.pour)
        take_back = staticmethod(mould.take_back)

    run_state_machine_as_test(
        Here, settings=effort(examples, long_examples, stateful_step_count=long_steps if LONG else steps, **more)
    )


def test_random_journeys_on_sqlite(stocked_sqlite):
    run(stocked_sqlite, examples=7, long_examples=300, steps=22, long_steps=60)


def test_a_wrong_transition_is_found(stocked_sqlite, monkeypatch):
    """The negative control: rules that let anybody release make the two sides disagree."""

    def let_anybody(case, unit, **_):
        return case.side("giver")

    monkeypatch.setattr(Case, "holding_side", let_anybody)
    with pytest.raises(AssertionError):
        run(stocked_sqlite, examples=20, long_examples=20, steps=25, long_steps=25, phases=[Phase.generate])


@pytest.mark.postgres
def test_random_journeys_on_postgresql(stocked_postgres):
    run(stocked_postgres, examples=2, long_examples=40, steps=15, long_steps=40)
