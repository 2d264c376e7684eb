"""Several ledgers in one database, each served by a process of its own, and a national one that binds them.

What belongs to one ledger never shows in another, evidence counts under the ledger that the signed list names, and a
province that rewrites its history is found by the national ledger.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.audit.evidence import build_evidence
from app.audit.fsck import fsck
from app.cli.verify import verify_listed
from app.db import Database
from app.keys.grants import Viewer
from app.ledger.directory import LedgerList, Listed, open_list, sign_list
from app.ledger.note import SignatureType, SignerKey
from tests import small
from tests.house import House
from tests.journeys.killing import running

LIST_KEY = SignerKey("kpu.example/ledgers", SignatureType.NOTE, b"\x31" * 32)
AUDITOR = Viewer("auditor", small.BWS, None, frozenset({"auditor"}))
DEADLINE_SECONDS = 60


@pytest.fixture
def houses(db: Database, tmp_path: Path) -> dict[str, House]:
    """Three ledgers in one database, each with keys and a mark of its own."""
    return {name: House(db, tmp_path / name, name=name) for name in ("prov-64", "prov-65", "nasional")}


def genesis_of(house: House) -> str:
    with house.db.read() as session:
        sql = f"SELECT genesis FROM ledger_state WHERE ledger_id = {house.recorder.ledger_id}"
        return str(session.exec_driver_sql(sql).scalar())


def listed(house: House, port: int | None = None) -> Listed:
    url = f"http://127.0.0.1:{port}/ledger/{house.recorder.name}" if port is not None else ""
    return Listed(house.origin, genesis_of(house), house.recorder._keys.ledger.verifier(), url)


def pin(path: Path, *ledgers: Listed) -> LedgerList:
    found = LedgerList(tuple(sorted(ledgers, key=lambda one: one.origin)))
    path.write_bytes(sign_list(found, LIST_KEY))
    return found


def until(ask: Callable[[], Any], fits: Callable[[Any], bool]) -> Any:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not fits(told := ask()):
        assert time.monotonic() < deadline, told
        time.sleep(0.05)
    return told


def a_unit(house: House) -> str:
    """Commission a box on this ledger."""
    phone = house.enrol("OFF-1", small.KPU, "LOGISTIK", small.CITY)
    (unit,) = house.labels(phone, 1)
    line = {"act": "bind", "unit": unit, "item": "BOX_TPS", "contest": "PILGUB"}
    house.ok(phone.sign("unit.commission", {"lines": [line]}, at_ms=house.tick(), units=[unit], place=small.WAREHOUSE))
    return unit


def test_two_provinces_and_the_nation_in_one_database(
    houses: dict[str, House], database_url: str, db: Database, tmp_path: Path
) -> None:
    west, east, nation = houses["prov-64"], houses["prov-65"], houses["nasional"]
    units = {house.origin: a_unit(house) for house in (west, east)}
    file = tmp_path / "ledgers.note"
    how = {"ledgers": str(file), "ledgers_key": LIST_KEY.verifier().to_text(), "shard_seconds": "1"}
    with (
        running(west, database_url, ledger="prov-64") as (_, port_west),
        running(east, database_url, ledger="prov-65") as (_, port_east),
    ):
        found = pin(file, listed(west, port_west), listed(east, port_east), listed(nation))
        with running(nation, database_url, ledger="nasional", heads_seconds="0", **how) as (_, port):
            base = f"http://127.0.0.1:{port}"
            sizes = {house.origin: house.recorder.published[0] for house in (west, east)}
            told = until(lambda: httpx.get(f"{base}/v1/shards").json()["items"], lambda items: len(items) == 2)
            assert {one["origin"]: one["size"] for one in told} == sizes
            note = httpx.get(f"{base}/v1/ledgers")
            assert note.headers["content-type"] == "text/plain; charset=utf-8"
            assert open_list(note.content, LIST_KEY.verifier()) == found
            assert httpx.get(f"http://127.0.0.1:{port_west}/v1/ledgers").json()["code"] == "no_list"
            assert httpx.get(f"http://127.0.0.1:{port_west}/v1/shards").json() == {"items": []}
            assert httpx.get(f"{base}/ledger/prov-64/checkpoint").json()["code"] == "no_ledger"
    for house in houses.values():
        report = fsck(db, ledger=house.recorder.name, high_water=house.settings.high_water_file())
        assert report.clean, report.as_json()
    marks = [house.settings.high_water_file() for house in houses.values()]
    assert fsck(db, high_water=marks[0], more_marks=marks[1:]).clean
    with db.read() as session:
        bundles = {
            house.origin: build_evidence(session, house.recorder.ledger_id, AUDITOR, units[house.origin])
            for house in (west, east)
        }
    for house in (west, east):
        report = verify_listed(bundles[house.origin], found)
        assert (report.result, report.ledger) == ("PASS", house.origin), report.as_text()
    without = pin(file, listed(east))
    report = verify_listed(bundles[west.origin], without)
    assert (report.result, [reason.code for reason in report.reasons]) == ("FAIL", ["ledger_not_listed"])
    mixed = LedgerList((Listed(west.origin, genesis_of(east), listed(west).key),))
    assert verify_listed(bundles[west.origin], mixed).result == "FAIL", "the genesis is the list's to say"


def test_what_belongs_to_one_ledger_is_unknown_to_the_next(houses: dict[str, House]) -> None:
    west, east = houses["prov-64"], houses["prov-65"]
    phone = west.enrol("OFF-1", small.KPU, "LOGISTIK", small.CITY)
    seen = phone.sign("sighting", {}, at_ms=west.tick(), place=small.WAREHOUSE, capacity="witness")
    before = east.recorder.published
    answer = east.send(seen)
    assert getattr(answer, "code", "") in {"wrong_ledger", "unknown_key"}, answer
    assert east.recorder.published == before
    west.ok(seen)
    west.check()
    east.check()
