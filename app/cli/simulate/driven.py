"""One fraction of the nation, driven: a fresh ledger, the service in its own process, every event over HTTP.

Founding is the operator's part (`custody init`); policy, plans, officers and labels go through the doors that anybody
uses. Each phase signs its events first, wave by wave, and then sends them with the clock running. Every answer must
say that its event is accepted and included, and at the end no discrepancy may be open: the first that differs ends
the run.
"""

import secrets
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from rich.progress import Progress, TaskID

from app.canon import JsonValue
from app.cli.bench.databases import durability
from app.cli.bench.defaults import Defaults
from app.cli.bench.figures import latencies
from app.cli.bench.processes import HOST, DatabaseServer, Server
from app.cli.bench.report import environment
from app.cli.bench.sending import exchange, hold
from app.cli.bench.stage import environment_of
from app.cli.bench.tokens import Pass, pass_of
from app.cli.bench.traffic import Ask, Event, Load, post_batch
from app.cli.demo.wire import Door, KeyLogin
from app.cli.init import found_here
from app.cli.phone import Phone, Signed, ids_commitment
from app.cli.simulate import documents as doc
from app.cli.simulate.cast import Cast, enrolments, found_cast
from app.cli.simulate.counts import ADDED, SETTING_UP, Counts, counts
from app.cli.simulate.facts import GENERAL
from app.cli.simulate.journey import Goods, Journey, event_of, goods_of
from app.cli.simulate.nation import ELECTIONS
from app.cli.simulate.sample import Sample
from app.cli.simulate.storage import log_position, recorded, stored
from app.cli.simulate.story import LABELS_PER_BLOCK, PHASES, Act, Grain, pieces
from app.clock import SystemClock
from app.config import Settings
from app.custody.committing import commit_heads
from app.custody.found import genesis_payload, public_jwk
from app.custody.record import Recorder
from app.custody.serverkeys import ServerKeys
from app.db import Database
from app.ids import new_event_id
from app.keys.signing import sign_jws
from app.ledger.highwater import HighWater
from app.ledger.note import VerifierKey

LEDGER = "nation"
ORIGIN = f"simulate.custody.localhost/ledger/{LEDGER}"
BATCH, CONNECTIONS, PHONES = 100, 8, 16
"""Events a batch and connections of offices; phones that flush at the same time, each its own batch."""
WAVE_EVENTS = 20_000
"""So many are signed and kept before they are sent."""
SUMMED = ("events", "requests", "wall_seconds", "cpu_seconds", "answers_cpu_seconds", "writes_cpu_seconds",
          "database_cpu_seconds", "driver_cpu_seconds", "sent_bytes", "signatures")  # fmt: skip
SIGNATURE = b'"protected":'
"""Stands once in each signature of an envelope, and nowhere else in it: the payload is base64url."""
PUBLISHED = 2 + len(ELECTIONS)
"""Events that no phase sends: genesis, policy, a plan for each election."""


@dataclass(slots=True)
class Run:
    """One fraction over one fresh database."""

    folder: Path
    url: str
    found: Sample
    grain: Grain
    seed: int
    progress: Progress
    task: TaskID = field(init=False)
    goods: Goods = field(init=False)
    cast: Cast = field(init=False)
    server: Server = field(init=False)
    door: Door = field(init=False)
    key: VerifierKey = field(init=False)
    token: Pass = field(init=False)
    database: DatabaseServer | None = None
    load_average: float = 0.0
    told: list[dict[str, Any]] = field(default_factory=list)
    now_ms: int = 0

    def drive(self) -> dict[str, Any]:
        """Found, enrol, play both elections, measure, and return everything as data.

        Raises:
            RuntimeError: An answer was not as it must be; or what was sent, or what the ledger holds, is not what was
                counted beforehand.
            DemoError: The service refused something of the preparation.
        """
        expected = counts(self.found, self.grain)
        self.task = self.progress.add_task(f"{self.found.fraction}: founding", total=2 * expected.total("events"))
        self.goods, self.now_ms = goods_of(self.found, self.grain, self.seed), SystemClock().now_ms()
        settings = Defaults(data_dir=self.folder / "data", database_url=self.url)
        self._found(settings)
        db = Database(settings.url())
        try:
            return self._measured(db, settings, expected)
        finally:
            db.close()

    def _measured(self, db: Database, settings: Settings, expected: Counts) -> dict[str, Any]:
        machine = environment(self.folder, durability(db), self.load_average)
        empty, log = stored(db), log_position(db)
        self.database = DatabaseServer.behind(self.url) if self.url else None
        variables = {**environment_of(settings.database_url, settings.data_dir), "CUSTODY_LEDGER": LEDGER}
        login = KeyLogin(self.cast.founders[0].key, ORIGIN)
        with (
            Server.service(self.folder, variables) as self.server,
            closing(Door(f"http://{HOST}:{self.server.port}", login)) as self.door,
        ):
            self.token = pass_of(self.server, self.cast.founders[0])
            sizes = self._publish()
            self._play()
            size = self._check(expected)
        self._commit(settings, db)
        self._hold_ledger(db, expected)
        written, full = log_position(db), stored(db)
        self.progress.update(self.task, description=f"{self.found.fraction}: done")
        return {
            "fraction": str(self.found.fraction), "environment": machine, "recorded": size,
            "things": expected.things,
            "sent": {what: expected.total(what) for what in ADDED},
            "phases": self.told, "documents": sizes, "stored": {"empty": empty, "full": full},
            "log_bytes": written - log if written is not None and log is not None else None,
        }  # fmt: skip

    # -- before the goods move -----------------------------------------------------------------------

    def _found(self, settings: Settings) -> None:
        self.cast = found_cast(ORIGIN)
        keys, author = ServerKeys.make(settings.keys_folder(), ORIGIN), self.cast.founders[0]
        founders = [{"officer": p.officer, "agency": p.agency, "jwk": public_jwk(p.key)} for p in self.cast.founders]
        payload = genesis_payload(
            keys, LEDGER, founders, [], author=author.kid, event_id=new_event_id(self.now_ms, secrets.token_bytes(10)),
            at_ms=self.now_ms, policy_signers=2,
        )  # fmt: skip
        self.key = keys.ledger.verifier()
        receipt = found_here(settings, keys, sign_jws(payload, [p.key for p in self.cast.founders]), self.now_ms)
        author.seq, author.prev = 1, receipt.event

    def _publish(self) -> dict[str, int]:
        """Publish the policy and both plans; returns how many bytes they have."""
        sizes = {"policy": self._put("policy.publish", doc.policy_document(self.found))}
        for election in ELECTIONS:
            sizes[election] = self._put("plan.publish", doc.plan_document(self.found, election), election=election)
        return sizes

    def _put(self, type_: str, document: dict[str, Any], **more: str) -> int:
        answer = self.door.request("POST", "/v1/documents", json=document)
        self._record(self._by_two(type_, {"document": answer.json()["hash"], **more}))
        return len(answer.request.content)

    def _by_two(self, type_: str, details: dict[str, Any]) -> Signed:
        first, second = self.cast.founders[:2]
        return first.sign(type_, details, at_ms=self.now_ms, capacity="approver", with_={second: "approver"})

    def _record(self, signed: Signed) -> None:
        receipt = self.door.post("/v1/events", _object(signed.jws))
        if receipt.get("result") != "accepted":
            raise RuntimeError(f"the preparation was not accepted: {receipt}")

    def _labels(self) -> None:
        """Let every city issue the labels that its goods need."""
        for code in sorted({code for _, code in self.goods.acts}):
            phone = self.cast.sides[code].first
            for block in pieces(sorted(self.goods.units_of(code)), LABELS_PER_BLOCK):
                self._issue(phone, list(block), doc.depot("city", code))
                self.progress.update(self.task, advance=2)

    def _issue(self, phone: Phone, ids: list[str], place: str) -> None:
        details = {"count": len(ids), "ids_hash": ids_commitment(ids)}
        signed = phone.sign("labels.issue", details, at_ms=self.now_ms, place=place)
        receipt = self.door.post("/v1/labels", {"ids": ids, "event": signed.jws})
        if receipt.get("result") != "accepted":
            raise RuntimeError(f"labels were not issued: {receipt}")

    # -- both elections ------------------------------------------------------------------------------

    def _play(self) -> None:
        self._tick(SETTING_UP)
        streams = [[event_of(signed) for signed in stream] for stream in enrolments(self.cast, self.found, self.now_ms)]
        self.progress.update(self.task, advance=sum(map(len, streams)))
        self._send(GENERAL, SETTING_UP, iter([_offices(streams, self.token.text)]))
        self._labels()
        for election in ELECTIONS:
            journey = Journey(self.cast, self.goods, election, self.now_ms)
            for phase in PHASES:
                self._tick(f"{election} {phase}")
                journey.now_ms = self.now_ms
                if lanes := journey.lanes(phase):
                    self._send(election, phase, self._signed(journey, lanes, phase))

    def _tick(self, doing: str) -> None:
        """Go on to another phase: time has passed, and every phone has seen the newest checkpoint."""
        self.progress.update(self.task, description=f"{self.found.fraction}: {doing}")
        self.now_ms = SystemClock().now_ms()
        self.cast.see(self.door.request("GET", f"/ledger/{LEDGER}/checkpoint", anonymous=True).text)

    def _signed(self, journey: Journey, lanes: list[list[Act]], phase: str) -> Iterator[Load]:
        """Sign lanes wave by wave and yield each wave as a load."""
        make = _phones if phase == "station_day" else _offices
        for wave in waves(lanes):
            streams = [[journey.sign(act) for act in lane] for lane in wave]
            self.progress.update(self.task, advance=sum(map(len, streams)))
            yield make(streams, self.token.text)

    def _send(self, election: str, phase: str, loads: Iterator[Load]) -> None:
        """Send the loads of a phase and keep what they took; percentiles are over the requests of all of them."""
        summed: Counter[str] = Counter()
        seconds: list[float] = []
        peak_rss_mb = 0.0
        for load in loads:
            took, answered = exchange(load, self.server, self.folder, self.database)
            hold(answered, self.key)
            sent = [ask.data for asks in load.connections for ask in asks]
            took |= {"sent_bytes": sum(map(len, sent)), "signatures": sum(data.count(SIGNATURE) for data in sent)}
            summed.update({name: took[name] for name in SUMMED if name in took})
            seconds += [each.seconds for each in answered]
            peak_rss_mb = max(peak_rss_mb, took["peak_rss_mb"])
            self.progress.update(self.task, advance=load.events)
        self.told.append({
            "election": election, "phase": phase, **summed, **latencies(seconds), "peak_rss_mb": peak_rss_mb,
        })  # fmt: skip

    # -- afterwards ----------------------------------------------------------------------------------

    def _commit(self, settings: Settings, db: Database) -> None:
        """Commit to every unit's latest event, as the service does each minute; a short run may have seen no minute."""
        named = settings.model_copy(update={"ledger": LEDGER})
        mark = HighWater(settings.high_water_file(), ORIGIN)
        recorder = Recorder(db, named, ServerKeys.load(settings.keys_folder()), mark)
        while commit_heads(recorder, SystemClock().now_ms()):
            continue

    def _check(self, expected: Counts) -> int:
        """Hold what was sent to the plan, and ask for discrepancies; returns the ledger's size, all events included."""
        blocks = sum(  # of labels: an event each, with one signature
            -(-len(self.goods.units_of(code)) // LABELS_PER_BLOCK) for code in {code for _, code in self.goods.acts}
        )
        for what in ("events", "signatures"):
            sent = sum(row[what] for row in self.told) + blocks
            if sent != expected.total(what):
                _fail(f"{sent} {what} were sent, the plan counts {expected.total(what)}")
        size = int(self.door.get("/v1/ledger")["size"])
        found = self.door.pages("/v1/discrepancies", status="open")
        if found:
            _fail(f"{len(found)} discrepancies are open, the first: {found[0]}")
        return size

    def _hold_ledger(self, db: Database, expected: Counts) -> None:
        """Hold what the ledger's tables have, when nobody writes any more, to the plan: as many, and not one more."""
        found = recorded(db)
        wanted = {"events": expected.total("events") + PUBLISHED, "links": expected.total("links")}
        for what, count in wanted.items():
            if found[what] != count:
                _fail(f"the ledger has {found[what]} {what}, the plan counts {count}")


def _fail(sentence: str) -> NoReturn:
    raise RuntimeError(f"the simulated nation did not go as planned: {sentence}")


def _object(jws: JsonValue) -> dict[str, Any]:
    if not isinstance(jws, dict):
        raise TypeError("a signed event is an object")
    return jws


def waves(lanes: Sequence[list[Act]]) -> Iterator[list[list[Act]]]:
    """Yield lanes in order, as many at a time as hold about `WAVE_EVENTS`, at least one."""
    wave: list[list[Act]] = []
    held = 0
    for lane in lanes:
        if wave and held + len(lane) > WAVE_EVENTS:
            yield wave
            wave, held = [], 0
        wave.append(lane)
        held += len(lane)
    if wave:
        yield wave


def _offices(streams: Sequence[list[Event]], token: str) -> Load:
    """Deal streams to connections, each to the one with the least, and batch what a connection holds."""
    held: list[list[Event]] = [[] for _ in range(CONNECTIONS)]
    for stream in sorted(streams, key=len, reverse=True):
        min(held, key=len).extend(stream)
    return Load([[post_batch(part, token) for part in pieces(mine, BATCH)] for mine in held if mine])


def _phones(streams: Sequence[list[Event]], token: str) -> Load:
    """Let every stream be one phone's batch, so many phones at a time."""
    asks: list[list[Ask]] = [[] for _ in range(PHONES)]
    for n, stream in enumerate(streams):
        asks[n % PHONES].extend(post_batch(part, token) for part in pieces(stream, BATCH))
    return Load([mine for mine in asks if mine])
