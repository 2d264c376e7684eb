"""The pinned scenarios, round by round, with the yardsticks between them so that both see the same machine."""

import json
import secrets
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from rich.progress import Progress

from app.canon import JsonValue, jcs
from app.cli.bench import report
from app.cli.bench.databases import durability, stored_bytes
from app.cli.bench.processes import HOST, ROOT, Server
from app.cli.bench.traffic import ACCEPTED, INCLUDED, Load, batches, reads, send, singles
from app.cli.bench.world import ORIGIN, Founding, Stream, streams_of
from app.cli.phone import Phone
from app.clock import SystemClock
from app.config import Settings
from app.db import Database
from app.keys.signing import sign_compact

BARE = ROOT / "scripts" / "yardsticks" / "bare.py"
SCENARIOS = ("single", "batch_100", "batch_1000", "history")
BATCH_CONNECTIONS = {100: 8, 1000: 4}
READ_CONNECTIONS = 16


@dataclass(frozen=True, slots=True)
class Size:
    """How much is sent: rounds, connections and events per scenario and round."""

    rounds: int = 3
    streams: int = 64
    units: int = 10
    single: int = 6400
    batch_100: int = 12800
    batch_1000: int = 16000
    naive: int = 640
    reads: int = 4000
    warm_up: int = 640


FULL = Size()
QUICK = Size(rounds=1, single=2560, batch_100=6400, batch_1000=8000, naive=320, reads=1600, warm_up=320)


@dataclass(slots=True)
class Bench:
    """One run: the service and the yardsticks over one fresh database and folder."""

    folder: Path
    url: str
    size: Size
    scenarios: Sequence[str]
    streams: list[Stream] = field(default_factory=list)
    keys: Path = field(init=False)
    token: str = ""
    sent_bytes: int = 0
    sent_events: int = 0
    told: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))

    def run(self, progress: Progress) -> dict[str, Any]:
        """Prepare, run every round, and return everything as data."""
        settings = Settings(data_dir=self.folder / "data", database_url=self.url)
        task = progress.add_task("founding a ledger", total=2 + self.size.rounds)
        self._prepare(settings)
        db = Database(self.url)
        environment, empty = report.environment(self.folder, durability(db)), stored_bytes(db)
        env = {
            "CUSTODY_DATA_DIR": str(settings.data_dir),
            "CUSTODY_DATABASE_URL": self.url,
            "CUSTODY_LOG_LEVEL": "ERROR",
        }
        naive = {"YARDSTICK_KEYS": str(self.keys), "YARDSTICK_DATABASE": self._beside("naive")}
        with ExitStack() as stack:
            servers = {
                "service": stack.enter_context(Server.service(self.folder, env)),
                "noop": stack.enter_context(Server.app("noop", self.folder)),
                "naive": stack.enter_context(Server.app("naive", self.folder, naive)),
            }
            progress.update(task, advance=1, description="warming up")
            self.token = self._token(servers["service"], self.streams[0].here)
            self._warm_up(servers)
            for number in range(self.size.rounds):
                progress.update(task, advance=1, description=f"round {number + 1} of {self.size.rounds}")
                self._round(servers)
        stored = max(stored_bytes(db) - empty, 0) / max(self.sent_events, 1)
        db.close()
        progress.update(task, advance=1, description="done")
        return self._result(environment, stored)

    def _prepare(self, settings: Settings) -> None:
        founding = Founding(settings)
        phones = founding.enrol(2 * self.size.streams)
        units = founding.commission(phones[0], self.size.streams * self.size.units)
        founding.close(phones)
        self.streams = streams_of(phones, units, SystemClock().now_ms)
        self.keys = self.folder / "keys.json"
        self.keys.write_text(json.dumps(founding.jwks))

    def _beside(self, name: str) -> str:
        return self.url if not self.url.startswith("sqlite") else f"sqlite:///{self.folder / name}.db"

    def _token(self, server: Server, phone: Phone) -> str:
        claims: JsonValue = {
            "iss": phone.kid, "sub": phone.kid, "aud": ORIGIN, "exp": int(time.time()) + 240,
            "jti": secrets.token_hex(16),
        }  # fmt: skip
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": sign_compact(jcs(claims), phone.key, "JWT"),
        }
        answer = httpx.post(f"http://{HOST}:{server.port}/oauth/token", data=form)
        if answer.status_code != 200:
            raise RuntimeError(f"the service gives no token: {answer.text[:500]}")
        return str(answer.json()["access_token"])

    # -- rounds --------------------------------------------------------------------------------------

    def _signed(self, count: int) -> list[list[bytes]]:
        """Sign the next events of every stream, `count` in all."""
        made = [stream.take(max(1, count // len(self.streams))) for stream in self.streams]
        self.sent_events += sum(map(len, made))
        self.sent_bytes += sum(len(event) for stream in made for event in stream)
        return made

    def _warm_up(self, servers: dict[str, Server]) -> None:
        events = self._signed(self.size.warm_up)
        send(singles(events, "/v1/events", self.token, (INCLUDED, ACCEPTED)), servers["service"], self.folder)
        send(singles(events, "/noop", "", (INCLUDED,)), servers["noop"], self.folder)
        send(batches(self._signed(self.size.warm_up), 100, self.token, 8), servers["service"], self.folder)

    def _round(self, servers: dict[str, Server]) -> None:
        for name in self.scenarios:
            for label, result in self._steps(name, servers):
                self.told[label].append(result)

    def _steps(self, name: str, servers: dict[str, Server]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the results of one scenario and of its yardsticks, in one breath."""

        def run(load: Load, server: str) -> dict[str, Any]:
            return send(load, servers[server], self.folder)

        if name == "single":
            events = self._signed(self.size.single)
            yield "noop_post", run(singles(events, "/noop", "", (INCLUDED,)), "noop")
            yield "single", run(singles(events, "/v1/events", self.token, (INCLUDED, ACCEPTED)), "service")
            few = [stream[: max(1, self.size.naive // len(events))] for stream in events]
            yield "naive", run(singles(few, "/naive", "", ()), "naive")
        elif name == "history":
            yield from self._reads(run)
        else:
            size = int(name.removeprefix("batch_"))
            events = self._signed(self.size.batch_100 if size == 100 else self.size.batch_1000)
            if size == 100:
                yield "bare", self._bare([event for stream in events for event in stream])
            yield name, run(batches(events, size, self.token, BATCH_CONNECTIONS[size]), "service")

    def _reads(self, run: Callable[[Load, str], dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
        units = [unit for stream in self.streams for unit in stream.units]
        chosen = [secrets.choice(units) for _ in range(self.size.reads)]
        yield "noop_get", run(reads([f"/noop/{unit}" for unit in chosen], "", READ_CONNECTIONS), "noop")
        ours = [f"/v1/units/{unit}/history" for unit in chosen]
        yield "history", run(reads(ours, self.token, READ_CONNECTIONS), "service")

    def _bare(self, events: list[bytes]) -> dict[str, Any]:
        """Run the bare pipeline over the same events, in a process and a database of its own."""
        lines = self.folder / "events.jsonl"
        lines.write_bytes(b"\n".join(events))
        target = self._beside(f"bare-{secrets.token_hex(4)}")
        command = [sys.executable, str(BARE), "--keys", str(self.keys), "--events", str(lines), "--database", target]
        done = subprocess.run(command, capture_output=True, check=False)  # noqa: S603
        if done.returncode:
            raise RuntimeError(f"the bare pipeline failed: {done.stderr.decode()[-2000:]}")
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    # -- results -------------------------------------------------------------------------------------

    def _result(self, environment: dict[str, Any], stored: float) -> dict[str, Any]:
        summaries = {name: report.summary(rounds) for name, rounds in self.told.items()}
        scenarios = {name: summaries.pop(name) for name in SCENARIOS if name in summaries}
        if "bare" in summaries:
            rounds = self.told["bare"]
            costs = sorted(1e6 * each["verify_cpu_seconds"] / each["events"] for each in rounds)
            summaries["bare"]["verify_cpu_us_per_event"] = round(costs[len(costs) // 2], 1)
        if "history" in scenarios:
            units = sum(len(stream.units) for stream in self.streams)
            scenarios["history"]["events_per_unit"] = round(self.sent_events / units, 1)
        body = self.sent_bytes / max(self.sent_events, 1)
        storage = {
            "bytes_per_event": round(stored), "body_bytes": round(body), "stored_vs_body": round(stored / body, 2),
        }  # fmt: skip
        return {
            "environment": environment, "rounds": self.size.rounds, "connections": self._connections(),
            "scenarios": scenarios, "yardsticks": summaries, "ratios": report.ratios(scenarios, summaries),
            "storage": storage,
        }  # fmt: skip

    def _connections(self) -> dict[str, int]:
        batched = {f"batch_{size}": connections for size, connections in BATCH_CONNECTIONS.items()}
        return {"single": len(self.streams), **batched, "history": READ_CONNECTIONS}
