"""Town: a founded house with its people enrolled and labels printed, and short words for what they do.

Founding costs a second; a `Mould` does it once per database engine and pours copies in some milliseconds, so
that every test has a ledger of its own. `refused`, `accepted`, `pending` and `held` send an event and compare
everything: verdict, leaf, discrepancy rows, and that a refusal changed no unit, handover, label, seal or key.
"""

import dataclasses
import json
import secrets
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from app.canon import b64url_decode
from app.cli.phone import ZERO_HASH, Phone, Signed, ids_commitment
from app.clock import parse_rfc3339
from app.config import Settings
from app.custody.receipts import Answer, Receipt
from app.custody.record import Recorder
from app.custody.serverkeys import ServerKeys
from app.db import Database
from app.ids import new_unit_id
from app.ledger.highwater import HighWater
from tests import small as s
from tests.house import House
from tests.postgres import drop_database, fresh_database

OF_THE_KIT = frozenset({"KIT_EXCEEDED", "KIT_SHORT", "NOT_IN_KIT"})
DUE = "2024-12-20T12:00:00+08:00"
STATE_TABLES = (
    "unit", "label", "alias", "seal", "containment", "handover", "signing_key", "tally", "ledger_state", "waiting",
    "stowage", "supply", "inspection",
)  # fmt: skip
Row = tuple[str, str | None, str | None, str | None]

PEOPLE = {  # name: officer, agency, role, place, algorithm
    "kpu1": ("KPU-1", s.KPU, "LOGISTIK", s.CITY, "Ed25519"),
    "kpu2": ("KPU-2", s.KPU, "LOGISTIK", s.CITY, "ES256"),
    "kpu3": ("KPU-3", s.KPU, "LOGISTIK", s.CITY, "Ed25519"),
    "kpu4": ("KPU-4", s.KPU, "LOGISTIK", s.CITY, "Ed25519"),
    "ppk1": ("PPK-1", s.KPU, "PPK_KEC", "64.74.01", "Ed25519"),
    "ppk2": ("PPK-2", s.KPU, "PPK_KEC", "64.74.01", "ES256"),
    "tps1": ("KPPS-1", s.KPU, "KPPS", s.TPS1, "Ed25519"),
    "tps2": ("KPPS-2", s.KPU, "KPPS", s.TPS1, "Ed25519"),
    "pos1": ("POS-1", s.POS, "TRANSPORTIR", s.CITY, "Ed25519"),
    "pos2": ("POS-2", s.POS, "TRANSPORTIR", s.CITY, "Ed25519"),
    "prov1": ("PROV-1", s.PROV, "LOGISTIK", "64", "Ed25519"),
    "prov2": ("PROV-2", s.PROV, "LOGISTIK", "64", "Ed25519"),
    "pol": ("POL-1", s.POL, "POLRI", s.CITY, "Ed25519"),
    "tni": ("TNI-1", s.TNI, "POLRI", s.CITY, "Ed25519"),
    "bws": ("BWS-1", s.BWS, "PENGAWAS", s.CITY, "Ed25519"),
    "gov": ("GOV-1", s.GOV, "SAKSI_PEMUSNAHAN", s.CITY, "Ed25519"),
}


class Town(House):
    """A house with people; their phones are attributes: `town.kpu1` and so on, see `PEOPLE`."""

    kpu1: Phone
    kpu2: Phone
    kpu3: Phone
    kpu4: Phone
    ppk1: Phone
    ppk2: Phone
    tps1: Phone
    tps2: Phone
    pos1: Phone
    pos2: Phone
    prov1: Phone
    prov2: Phone
    pol: Phone
    tni: Phone
    bws: Phone
    gov: Phone
    reg: Phone

    def settle(self) -> Self:
        """Enrol everybody and print labels."""
        for name, (officer, agency, role, place, alg) in PEOPLE.items():
            setattr(self, name, self.enrol(officer, agency, role, place, alg=alg))
        self.reg = self.enrol("REG-1", s.KPU, "LOGISTIK", s.CITY, access=("field", "registrar"))
        self.blanks = self.labels(self.kpu1, 60)
        self.first_documents = self.query("SELECT policy, plans FROM ledger_state")[0]
        self.look(*self.phones())
        self.begins = self.size()
        return self

    def phones(self) -> list[Phone]:
        """Return every phone but the founders'."""
        return [getattr(self, name) for name in (*PEOPLE, "reg")]

    def copy(self, db: Database, folder: Path) -> Self:
        """Return a town that goes on from here over copies of its database and its folder."""
        other = object.__new__(type(self))
        other.db, other.settings, other.origin, other.now_ms = db, Settings(data_dir=folder), self.origin, self.now_ms
        other.founders = [dataclasses.replace(phone) for phone in self.founders]
        for name in (*PEOPLE, "reg"):
            setattr(other, name, dataclasses.replace(getattr(self, name)))
        other.blanks, other.begins, other.first_documents = list(self.blanks), self.begins, self.first_documents
        high_water = HighWater(other.settings.high_water_file(), other.origin)
        other.recorder = Recorder(db, other.settings, ServerKeys.load(folder / "keys"), high_water)
        return other

    def refresh(self) -> Self:
        """Begin anew on a used ledger: labels to take, and every phone has seen everything."""
        if len(self.blanks) < 40:
            self.blanks += self.labels(self.kpu1, 80)
        known = {kid: (seq, prev) for kid, seq, prev in self.query("SELECT kid, seq, hash FROM device")}
        for phone in self.phones():  # what an earlier test signed and never sent does not count
            phone.seq, phone.prev = known.get(phone.kid, (0, ZERO_HASH))
            phone.clock_offset_ms = 0
        self.look(*self.phones())
        self.begins = self.size()
        return self

    def mend(self) -> None:
        """Put the first policy and plan in force again, and give a new phone to whose key was revoked."""
        in_force = self.query("SELECT policy, plans FROM ledger_state")[0]
        if in_force != self.first_documents:
            self.put_policy(s.policy())
            self.put_plan(s.plan())
        revoked = {kid for (kid,) in self.query("SELECT kid FROM signing_key WHERE revoked_index IS NOT NULL")}
        for name, (officer, agency, role, place, alg) in PEOPLE.items():
            if getattr(self, name).kid in revoked:
                setattr(self, name, self.enrol(officer, agency, role, place, alg=alg))

    def leave(self) -> None:
        """Close what a copy opened."""
        self.recorder._high_water.close()
        self.db.close()

    # -- looking -------------------------------------------------------------------------------------

    def look(self, *phones: Phone) -> None:
        """Let phones see the newest checkpoint."""
        note = self.recorder.published[1].decode()
        for phone in phones:
            phone.sees(note)

    def size(self) -> int:
        """Return the number of leaves."""
        return int(self.one("SELECT size FROM ledger"))

    def one(self, sql: str) -> Any:
        """Return the first column of the first row of a query."""
        with self.db.read() as session:
            return session.exec_driver_sql(sql).scalar()

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        with self.db.read() as session:
            return [tuple(row) for row in session.exec_driver_sql(sql)]

    def state(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return every row that a refusal must leave alone."""
        return {table: sorted(self.query(f"SELECT * FROM {table}"), key=repr) for table in STATE_TABLES}

    def unit(self, unit: str) -> dict[str, Any]:
        """Return a unit's row, JSON columns parsed."""
        names = ("lifecycle", "custody", "agency", "officer", "place", "quantity", "condition", "parent", "effective",
                 "destination", "handover", "contents", "seals", "flag_since", "seq", "head", "children", "agencies",
                 "contest", "district", "item", "sensitivity", "label")  # fmt: skip
        row = self.query(f"SELECT {', '.join(names)} FROM unit WHERE unit = '{unit}'")[0]
        value = dict(zip(names, row, strict=True))
        for name in ("contents", "seals", "flag_since", "agencies"):
            value[name] = json.loads(value[name])
        return value

    def flags(self, unit: str) -> set[str]:
        """Return a unit's flags."""
        return set(self.unit(unit)["flag_since"])

    def handover(self, release: str) -> str:
        """Return the status of a handover."""
        return str(self.one(f"SELECT status FROM handover WHERE release = '{release}'"))

    def rows(self, *, since: int | None = None, gaps: bool = False) -> list[Row]:
        """Return (rule, unit, handover, place) of the discrepancies since a size; sequence gaps when asked for.

        What the plan's kit has to say is asked for by `kit`: many tests pack far more for one station than it needs.
        """
        first = self.begins if since is None else since
        found = self.query(
            f"SELECT rule, unit, handover, place FROM discrepancy WHERE leaf_index >= {first} ORDER BY leaf_index, id"
        )
        return [row for row in found if (gaps or row[0] != "SEQUENCE_GAP") and row[0] not in OF_THE_KIT]

    def kit(self, since: int | None = None) -> list[tuple[str, str | None, str | None, dict[str, Any]]]:
        """Return (rule, unit, place, facts) of what was held against the plan's kit since a size."""
        first = self.begins if since is None else since
        found = self.query(
            f"SELECT rule, unit, place, facts FROM discrepancy WHERE leaf_index >= {first} ORDER BY leaf_index, id"
        )
        return [(rule, unit, place, json.loads(facts)) for rule, unit, place, facts in found if rule in OF_THE_KIT]

    def tallies(self, since: int | None = None) -> dict[tuple[str, str | None], int]:
        """Return the sums of tallies per (figure, contest), zeros left out."""
        first = self.begins if since is None else since
        sums: dict[tuple[str, str | None], int] = {}
        for figure, contest, quantity in self.query(
            f"SELECT figure, contest, quantity FROM tally WHERE leaf_index >= {first}"
        ):
            sums[figure, contest] = sums.get((figure, contest), 0) + quantity
        return {key: quantity for key, quantity in sums.items() if quantity}

    def leaf(self, index: int) -> dict[str, Any]:
        """Return a leaf as it stands on the ledger, parsed."""
        with self.db.read() as session:
            return json.loads(self.recorder.reader.leaves_at(session, [index])[index])

    def outcome(self, signed: Signed) -> tuple[str | None, str]:
        """Return the outcome of a waiting event and the code of the verdict leaf that told it."""
        receipt = self.receipt(signed)
        if receipt.outcome_index is None:
            return receipt.outcome, ""
        payload = json.loads(b64url_decode(self.leaf(receipt.outcome_index)["event"]["payload"]))
        return receipt.outcome, payload["details"]["code"]

    def receipt(self, signed: Signed) -> Receipt:
        """Return the receipt of an event that was sent before."""
        answer = self.send(signed)
        assert isinstance(answer, Receipt)
        assert answer.replayed
        return answer

    # -- sending and comparing -----------------------------------------------------------------------

    def act(
        self, phone: Phone, type_: str, details: Mapping[str, Any], units: Sequence[str] = (), *, place: str = s.WAREHOUSE,
        capacity: str = "giver", at: str | None = None, election: str | None = None, after: Sequence[str] = (),
        **with_: str,
    ) -> Signed:  # fmt: skip
        """Make and sign an event: co-signers by name of the phone, `kpu2="second"`."""
        others = {getattr(self, name): as_what for name, as_what in with_.items()}
        now = self.tick()
        at_ms = parse_rfc3339(at) if at else now
        return phone.sign(
            type_, details, at_ms=at_ms, units=units, place=place, capacity=capacity, with_=others, after=after,
            election=election,
        )  # fmt: skip

    def accepted(self, signed: Signed, *rows: Row, documents: dict[str, bytes] | None = None) -> Receipt:
        """Send an event that must be accepted and report exactly these rows."""
        since = self.size()
        receipt = self.ok(signed, documents)
        self._compare(since, rows)
        self._on_ledger(signed, receipt, "accepted", "")
        return receipt

    def refused(
        self, signed: Signed, code: str, *rows: Row, result: str = "refused", documents: dict[str, bytes] | None = None
    ) -> Receipt:
        """Send an event that must be refused: recorded, with exactly these rows, and nothing else changed."""
        since, before = self.size(), self.state()
        receipt = self.no(signed, code, result, documents)
        after = self.state()
        if result == "pending":
            before.pop("waiting")
            after.pop("waiting")
        assert after == before, "a refusal changed something"
        assert receipt.links == ()
        self._compare(since, rows)
        self._on_ledger(signed, receipt, result, code)
        return receipt

    def waits(self, signed: Signed, code: str = "pending_predecessor", *rows: Row) -> Receipt:
        """Send an event that must be pending."""
        return self.refused(signed, code, *rows, result="pending")

    def held(self, signed: Signed, *rows: Row) -> Receipt:
        """Send an event that must be held."""
        return self.refused(signed, "key_revoked", *rows, result="held")

    def unrecorded(self, signed: Signed, code: str, documents: dict[str, bytes] | None = None) -> Answer:
        """Send an event that is not even recorded."""
        before = self.size()
        answer = self.send(signed, documents)
        assert not isinstance(answer, Receipt), answer
        assert answer.code == code
        assert self.size() == before
        return answer

    def _compare(self, since: int, rows: Iterable[Row]) -> None:
        assert sorted(self.rows(since=since), key=repr) == sorted(rows, key=repr)

    def _on_ledger(self, signed: Signed, receipt: Receipt, result: str, code: str) -> None:
        leaf = self.leaf(receipt.index)
        assert leaf["event"] == signed.jws
        assert (leaf["verdict"]["result"], leaf["verdict"]["code"], leaf["verdict"]["rules"]) == (result, code, 1)
        assert [link["unit"] for link in leaf["links"]] == [link.unit for link in receipt.links]

    # -- goods ---------------------------------------------------------------------------------------

    def bind(self, unit: str, item: str, **more: Any) -> dict[str, Any]:
        """Return a line that binds a label."""
        return {"act": "bind", "unit": unit, "item": item, **more}

    def commission(
        self, *lines: dict[str, Any], phone: Phone | None = None, place: str = s.WAREHOUSE, **with_: str
    ) -> Signed:
        """Return a signed commission of these lines."""
        with_ = with_ or {"kpu2": "second"}
        units = [line["unit"] for line in lines]
        return self.act(phone or self.kpu1, "unit.commission", {"lines": list(lines)}, units, place=place, **with_)

    def lot(self, quantity: int = 100, *, contest: str | None = "PILGUB", district: str | None = "64", item: str = "BALLOT",
            condition: str = "good", checked: bool = True, **more: Any) -> str:  # fmt: skip
        """Commission a lot at the warehouse and inspect it; return its id."""
        unit = self.blanks.pop()
        line = self.bind(unit, item, quantity=quantity, condition=condition, **more)
        line |= {name: value for name, value in (("contest", contest), ("district", district)) if value}
        self.ok(self.commission(line))
        if checked:
            self.ok(self.inspected([unit]))
        return unit

    def inspected(self, units: Sequence[str], phone: Phone | None = None, place: str = s.WAREHOUSE) -> Signed:
        """Return a conforming inspection."""
        details = {"kind": "receipt", "things": [{"what": "COUNT", "conform": True}]}
        return self.act(phone or self.kpu1, "inspection", details, units, place=place, capacity="witness")

    def box(self, destination: str | None = s.TPS1, contest: str | None = "PILGUB", item: str = "BOX_TPS") -> str:
        """Commission an empty box; return its id."""
        unit = self.blanks.pop()
        line = self.bind(unit, item)
        line |= {name: value for name, value in (("contest", contest), ("destination", destination)) if value}
        self.ok(self.commission(line))
        return unit

    def load(self) -> str:
        """Commission an empty load; return its id."""
        return self.box(None, None, "LOAD")

    def pack(
        self, parent: str, *children: str, phone: Phone | None = None, place: str = s.WAREHOUSE, override: str = ""
    ) -> Signed:
        """Return a signed packing; `override` is the reason for which a container holds more than it should."""
        told = {"parent": parent, **({"override": {"reason": override}} if override else {})}
        return self.act(phone or self.kpu1, "unit.pack", told, children, place=place, kpu2="second")

    def unpack(self, parent: str, *children: str, place: str = s.WAREHOUSE) -> Signed:
        """Return a signed unpacking."""
        return self.act(self.kpu1, "unit.unpack", {"parent": parent}, children, place=place, kpu2="second")

    def seal(self, unit: str, *numbers: str, place: str = s.WAREHOUSE) -> Signed:
        """Return a signed sealing at points 1, 2, …"""
        lines = [{"unit": unit, "point": n, "number": number} for n, number in enumerate(numbers, 1)]
        return self.act(self.kpu1, "seal.apply", {"seals": lines}, [unit], place=place, kpu2="second")

    def move(self, source: str, target: str, quantity: int, **more: Any) -> Signed:
        """Return a signed move between lots."""
        details = {"source": source, "target": target, "quantity": quantity, "reason": "PACK"}
        more.setdefault("kpu2", "second")
        return self.act(self.kpu1, "lot.move", details, [source, target], **more)

    def sealed_box(self, quantity: int = 103, number: str | None = None) -> tuple[str, str]:
        """Return a sealed box for TPS1 and the pack of ballots in it."""
        lot, box = self.lot(quantity), self.box()
        self.ok(self.pack(box, lot))
        self.ok(self.seal(box, number or f"KT-{secrets.token_hex(4).upper()}"))
        return box, lot

    # -- handovers -----------------------------------------------------------------------------------

    def release(
        self, units: Sequence[str], to: tuple[str, str] = (s.KPU, s.PPK), *, phone: Phone | None = None, due: str = DUE,
        place: str = s.WAREHOUSE, after: Sequence[str] = (), at: str | None = None, details: Mapping[str, Any] | None = None,
        **with_: str,
    ) -> Signed:  # fmt: skip
        """Return a signed release, by default of two officers of the commission with an escort."""
        told = {"to_agency": to[0], "to_place": to[1], "due_by": due, **(details or {})}
        with_ = with_ or {"kpu2": "second", "pol": "escort"}
        return self.act(phone or self.kpu1, "custody.release", told, units, place=place, after=after, at=at, **with_)

    def accept(
        self, release: str | None, units: Sequence[str], *, phone: Phone | None = None, place: str = s.PPK,
        exceptions: Sequence[tuple[str, str]] = (), after: Sequence[str] | None = None, at: str | None = None,
        scanned: Mapping[str, Any] | None = None, named: Sequence[str] = (), **with_: str,
    ) -> Signed:  # fmt: skip
        """Return a signed accept, by default of two officers of the district committee."""
        here = [unit for unit in units if (unit, "missing") not in exceptions]
        told = {
            "release": release, "scanned": scanned or {"n": len(here), "hash": ids_commitment(here)},
            "exceptions": [{"unit": unit, "kind": kind, "reason": "SEEN"} for unit, kind in exceptions],
        }  # fmt: skip
        after = ([release] if release else []) if after is None else after
        with_ = with_ or {"ppk2": "second"}
        return self.act(
            phone or self.ppk1,
            "custody.accept",
            told,
            named,
            place=place,
            capacity="taker",
            after=after,
            at=at,
            **with_,
        )

    def hand_over(self, units: Sequence[str], to: tuple[str, str] = (s.KPU, s.PPK), **kwargs: Any) -> str:
        """Release and accept at the district committee; return the release's hash."""
        release = self.release(units, to, **kwargs)
        self.ok(release)
        self.ok(self.accept(release.hash, units, place=to[1]))
        return release.hash

    def deliver(self, unit: str) -> None:
        """Bring a sealed box from the warehouse over the district committee to polling station 1."""
        self.hand_over([unit])
        to_station = self.release([unit], (s.KPU, s.TPS1), phone=self.ppk1, place=s.PPK, ppk2="second", pol="escort")
        self.ok(to_station)
        self.ok(self.accept(to_station.hash, [unit], phone=self.tps1, place=s.TPS1, tps2="second"))

    def open_at_station(self, unit: str) -> Signed:
        """Return a signed opening at polling station 1, every bound seal intact."""
        seals = self.unit(unit)["seals"]
        found = [{"unit": unit, "point": int(p), "number": n, "finding": "intact"} for p, n in sorted(seals.items())]
        details = {"seals": found, "reason": "VOTING"}
        return self.act(self.tps1, "unit.open", details, [unit], place=s.TPS1, tps2="second")

    def opened_box(self) -> tuple[str, str]:
        """Return a box that was opened at polling station 1, and the pack in it."""
        box, lot = self.sealed_box()
        self.deliver(box)
        self.ok(self.open_at_station(box))
        return box, lot

    def flag(self, type_: str, units: Sequence[str], phone: Phone | None = None) -> Signed:
        """Return a signed quarantine or hold, by the supervisor unless told otherwise."""
        details = {"case": "P-1/2024"} if type_.startswith("hold") else {"reason": "SUSPECT"}
        return self.act(phone or self.bws, type_, details, units, capacity="approver")

    def revoke(self, phone: Phone) -> Signed:
        """Return a signed revocation by both founders."""
        first, second = self.founders
        return first.sign(
            "key.revoke", {"kid": phone.kid, "reason": "stolen"}, at_ms=self.tick(), capacity="approver",
            with_={second: "approver"},
        )  # fmt: skip

    def decide(self, event: str, result: str = "accept", **with_: str) -> Signed:
        """Return a signed decision of the supervisor and whoever is named."""
        details = {"event": event, "result": result, "reason": "CHECKED"}
        return self.act(self.bws, "decision", details, capacity="approver", after=[event], **with_)

    @property
    def service(self) -> Phone:
        """The service's own key in a hand that should not have it: for what only the service may sign."""
        known = self.query(f"SELECT seq, hash FROM device WHERE kid = '{self.recorder._keys.service.kid}'")
        seq, prev = known[0] if known else (0, ZERO_HASH)
        phone = Phone(self.recorder._keys.service, "SERVICE", "SERVICE", self.origin, s.ELECTION, s.CITY, seq, prev)
        self.look(phone)
        return phone

    def fresh_ids(self, count: int) -> list[str]:
        """Return ids that nobody issued."""
        return sorted(new_unit_id(secrets.token_bytes(10)) for _ in range(count))


class Mould:
    """One settled town per database engine, poured again for every test."""

    def __init__(
        self, url: str, folder: Path, copy_database: Callable[[str, Path], str], kind: type[Town] = Town
    ) -> None:
        """Found and settle the original over a migrated database.

        Args:
            url: Of the original.
            folder: Of the original's keys and high-water mark.
            copy_database: Gives the URL of a copy of a database that nobody has open, for a folder.
            kind: The class of the town.
        """
        self._url, self._folder, self._copy = url, folder, copy_database
        db = Database(url)
        self.original = kind(db, folder).settle()
        self.original.check(signatures=True)
        self.original.leave()

    def pour(self, folder: Path) -> Town:
        """Return a town of its own."""
        shutil.copytree(self._folder, folder / "house", copy_function=shutil.copy2)
        return self.original.copy(Database(self._copy(self._url, folder)), folder / "house")

    @staticmethod
    def take_back(town: Town) -> None:
        """Close a poured town and remove its database from the server."""
        town.leave()
        if not town.db.is_sqlite:
            drop_database(town.db.url.render_as_string(hide_password=False))


def sqlite_mould(template: Path, folder: Path, kind: type[Town] = Town) -> Mould:
    """Return the mould for SQLite, from a migrated file that nobody has used."""

    def copied(url: str, into: Path) -> str:
        shutil.copyfile(url.removeprefix("sqlite:///"), into / "custody.db")
        return f"sqlite:///{into / 'custody.db'}"

    return Mould(copied(f"sqlite:///{template}", folder), folder / "house", copied, kind)


def postgres_mould(template: str, folder: Path, kind: type[Town] = Town) -> Mould:
    """Return the mould for PostgreSQL, from a migrated database that nobody has open."""
    own = fresh_database(template, template=template)
    return Mould(own, folder / "house", lambda url, _: fresh_database(url, template=url), kind)


def second_writer(town: Town) -> Recorder:
    """Another process's worth of writer over the same database."""
    settings = town.settings.model_copy(update={"high_water_path": town.settings.data_dir / "other-high-water.json"})
    if not settings.high_water_file().exists():
        shutil.copyfile(town.settings.high_water_file(), settings.high_water_file())
    db = Database(town.db.url.render_as_string(hide_password=False))
    high_water = HighWater(settings.high_water_file(), town.origin)
    return Recorder(db, settings, ServerKeys.load(settings.keys_folder()), high_water)
