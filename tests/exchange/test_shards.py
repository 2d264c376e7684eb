"""A national ledger takes other ledgers' checkpoints in, over real HTTP from ledgers that are honest, or not."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from app.audit.shards import newest_shards
from app.canon import b64url_encode
from app.clock import FixedClock
from app.config import Settings
from app.custody.intake import Intake
from app.custody.sharding import take_checkpoints, taken
from app.errors import BusyError, MalformedError, MissingError, UnprovenError
from app.exchange.shard_clock import ALARM, ShardClock, list_of
from app.exchange.shards import look_at
from app.ledger import freezing
from app.ledger.checkpoint import Checkpoint, sign
from app.ledger.directory import LedgerList, Listed, sign_list
from app.ledger.note import Note, SignatureType, SignerKey
from app.ledger.tiles import TileCoordinate
from app.worker import Worker
from tests.exchange.shelf import KEY, ORIGIN, leaves, put, shelving, write_tree

LIST_KEY = SignerKey("kpu.example/ledgers", SignatureType.NOTE, b"\x31" * 32)
GENESIS = b64url_encode(bytes(32))


@pytest.fixture
def shelf(tmp_path):
    with shelving(tmp_path / "shelf") as running:
        yield running


@pytest.fixture
def at(shelf):
    return shelf.folder / "ledger/kota"


class National:
    """A national ledger with its clock, which a test turns by hand."""

    def __init__(self, house, folder: Path):
        self.house, self.file = house, folder / "ledgers.note"
        self.settings = house.settings.model_copy(
            update={"ledgers": self.file, "ledgers_key": LIST_KEY.verifier().to_text(), "shard_seconds": 60}
        )
        self.intake = Intake(house.recorder, self.settings)
        self.intake.start()
        self.clock: ShardClock | None = None

    def pin(self, *ledgers: Listed):
        """Sign the list anew."""
        self.file.write_bytes(sign_list(LedgerList(tuple(sorted(ledgers, key=lambda one: one.origin))), LIST_KEY))

    def round(self) -> dict[str, str]:
        """Let one round pass; gives the state of each ledger."""
        if self.clock is None:
            clock = FixedClock(self.house.now_ms)
            self.clock = ShardClock(self.settings, clock, self.house.db, self.house.recorder, self.intake)
        return {one.origin: one.state for one in self.clock.round()}

    def sizes(self) -> list[tuple[str, int]]:
        """Return what was taken last, by the door's own query."""
        with self.house.db.read() as session:
            return [(one["origin"], one["size"]) for one in newest_shards(session, self.house.recorder.ledger_id)]

    def alarms(self) -> list[str]:
        with self.house.db.read() as session:
            return [one.kind for one in freezing.alarms(session, self.house.recorder.ledger_id)]

    def size(self) -> int:
        return self.house.recorder.published[0]


@pytest.fixture
def national(house, tmp_path):
    made = National(house, tmp_path)
    yield made
    made.intake.stop()
    house.check()


@pytest.fixture
def kota(shelf):
    return Listed(ORIGIN, GENESIS, KEY.verifier(), shelf.url)


def test_each_checkpoint_becomes_a_leaf_and_an_idle_ledger_none(national, kota, at):
    national.pin(kota)
    before = national.size()
    write_tree(at, leaves(3))
    assert national.round() == {ORIGIN: "fresh"}
    assert national.sizes() == [(ORIGIN, 3)]
    assert national.size() == before + 1
    assert national.round() == {ORIGIN: "same"}
    assert national.size() == before + 1
    write_tree(at, leaves(700))
    assert national.round() == {ORIGIN: "fresh"}
    assert (national.sizes(), national.alarms()) == ([(ORIGIN, 700)], [])
    with national.house.db.read() as session:
        index = newest_shards(session, national.house.recorder.ledger_id)[0]["index"]
        payload = national.house.recorder._payloads(session, [index])[index]
    told = json.loads(payload)["details"]
    assert told["note"].encode() == sign(Checkpoint(ORIGIN, 700, _root(at)), KEY)


def _root(at):
    return Checkpoint.parse(Note.parse((at / "checkpoint").read_bytes()).text).root


def test_an_empty_ledger_is_nothing_to_take_yet(national, kota, at):
    national.pin(kota)
    write_tree(at, [])
    assert (national.round(), national.sizes()) == ({ORIGIN: "same"}, [])


def test_signatures_of_others_are_not_taken_along(national, kota, at):
    national.pin(kota)
    write_tree(at, leaves(3))
    note = Note.parse((at / "checkpoint").read_bytes())
    witness = SignerKey("w.example/w", SignatureType.NOTE, b"\x09" * 32)
    put(at / "checkpoint", Note(note.text, (witness.sign(note.text), *note.signatures)).to_bytes())
    assert national.round() == {ORIGIN: "fresh"}
    seen = look_at(kota, None).seen
    assert seen is not None
    assert Note.parse(seen.note) == note


def test_two_roots_for_one_size_are_an_alarm_and_a_refusal_on_the_ledger(national, kota, at):
    national.pin(kota)
    write_tree(at, leaves(300))
    national.round()
    write_tree(at, leaves(300, "another history"))
    before = national.size()
    assert national.round() == {ORIGIN: "twin"}
    assert (national.sizes(), national.alarms()) == ([(ORIGIN, 300)], [ALARM])
    assert national.size() == before + 1, "the refusal is on the ledger"
    assert [rule for rule, *_ in national.house.rules()] == ["SHARD_FORK"]
    national.clock = None  # a restart forgets nothing
    assert national.round() == {ORIGIN: "twin"}
    assert (national.alarms(), national.size()) == ([ALARM], before + 1)


def test_a_larger_tree_of_another_history_is_never_taken(national, kota, at):
    national.pin(kota)
    write_tree(at, leaves(300))
    national.round()
    write_tree(at, leaves(900, "another history"))
    before = national.size()
    assert national.round() == {ORIGIN: "forked"}
    assert (national.sizes(), national.alarms(), national.size()) == ([(ORIGIN, 300)], [ALARM], before)
    assert national.round() == {ORIGIN: "forked"}
    assert national.alarms() == [ALARM]
    write_tree(at, leaves(900))
    assert national.round() == {ORIGIN: "fresh"}, "the control: the honest tree of that size is taken"


def test_a_smaller_tree_is_told_and_not_taken(national, kota, at):
    national.pin(kota)
    write_tree(at, leaves(300))
    national.round()
    write_tree(at, leaves(299))
    assert (national.round(), national.sizes(), national.alarms()) == ({ORIGIN: "behind"}, [(ORIGIN, 300)], [])


def test_what_proves_nothing_is_not_taken_and_hurts_no_other(national, kota, shelf, at, tmp_path):
    other = SignerKey("other.example/ledger/kota", SignatureType.NOTE, b"\x77" * 32)
    with shelving(tmp_path / "other") as beside:
        write_tree(beside.folder / "ledger/kota", leaves(5), other)
        national.pin(kota, Listed(other.name, b64url_encode(b"\1" * 32), other.verifier(), beside.url))
        write_tree(at, leaves(3))
        for status, body in ((500, b""), (404, b""), (302, b""), (200, b"nonsense"), (200, b"x" * 100_000)):
            shelf.say("checkpoint", status, body)
            assert national.round()[ORIGIN] == "unavailable"
        stranger = SignerKey(ORIGIN, SignatureType.NOTE, b"\x66" * 32)
        shelf.say("checkpoint", 200, sign(Checkpoint(ORIGIN, 3, bytes(32)), stranger))
        assert national.round()[ORIGIN] == "unavailable"
        shelf.say("checkpoint", 200, sign(Checkpoint(other.name, 5, bytes(32)), other))
        assert national.round()[ORIGIN] == "unavailable"
        assert national.sizes() == [(other.name, 5)], "the honest one beside it was taken"
        assert national.round()[ORIGIN] == "fresh"


def test_growth_is_believed_by_its_tiles_alone(national, kota, shelf, at):
    national.pin(kota)
    write_tree(at, leaves(300))
    national.round()
    write_tree(at, leaves(600))
    place = TileCoordinate(0, 1).path()
    shelf.say(place, 404)
    assert national.round() == {ORIGIN: "unavailable"}
    shelf.say(place, 200, bytes(8192))
    assert national.round() == {ORIGIN: "unavailable"}
    assert (national.sizes(), national.alarms()) == ([(ORIGIN, 300)], []), "a wrong tile convicts nobody"
    assert national.round() == {ORIGIN: "fresh"}


def test_the_list_is_read_anew_and_does_not_name_the_ledger_itself(national, kota, at):
    own = national.house.recorder
    with own.db.read() as session:
        key = own._keys.ledger.verifier()
        assert taken(session, own.ledger_id, []) == {}
    national.pin(Listed(own.origin, b64url_encode(b"\2" * 32), key, "http://127.0.0.1:9/ledger/x"))
    assert national.round() == {}
    write_tree(at, leaves(3))
    national.pin(replace(kota, url=""))
    assert national.round() == {}, "a ledger without an address is listed, and not asked"
    national.pin(kota)
    assert national.round() == {ORIGIN: "fresh"}
    national.file.write_bytes(national.file.read_bytes().replace(GENESIS.encode(), b"B" * 43))
    with pytest.raises(UnprovenError):
        national.round()


def test_a_frozen_ledger_takes_nothing_and_a_closed_one_neither(national, kota, at):
    national.pin(kota)
    write_tree(at, leaves(3))
    house = national.house
    with house.db.write() as session:
        freezing.freeze(session, house.recorder.ledger_id, "looked into")
    with pytest.raises(BusyError):
        national.round()
    with house.db.write() as session:
        freezing.thaw(session, house.recorder.ledger_id)
    with house.recorder.writing() as writing:
        said = {"reason": "ELECTION_OVER"}
        house.recorder.say(writing.walk, writing.group, "ledger.close", said, writing.walk.moment(house.now_ms))
    seen = look_at(kota, None).seen
    assert seen is not None
    assert take_checkpoints(house.recorder, [seen], house.now_ms) == {}


def test_settings_that_cannot_work_are_refused_at_the_start(house, tmp_path):
    vkey = LIST_KEY.verifier().to_text()
    good = tmp_path / "good"
    good.write_bytes(sign_list(LedgerList(()), LIST_KEY))
    bad = tmp_path / "bad"
    bad.write_bytes(b"nonsense")

    def start(**changes):
        settings = house.settings.model_copy(update={"shard_seconds": 60, **changes})
        return Worker(settings, FixedClock(house.now_ms), house.db)

    for changes, kind in (
        ({}, MissingError),
        ({"ledgers": good}, MissingError),
        ({"ledgers": tmp_path / "absent", "ledgers_key": vkey}, MissingError),
        ({"ledgers": bad, "ledgers_key": vkey}, MalformedError),
        ({"ledgers": good, "ledgers_key": "nonsense"}, MalformedError),
        ({"ledgers": good, "ledgers_key": KEY.verifier().to_text()}, UnprovenError),
    ):
        with pytest.raises(kind):
            start(**changes)
    assert start(ledgers=good, ledgers_key=vkey).shards is not None
    assert list_of(Settings()) is None
