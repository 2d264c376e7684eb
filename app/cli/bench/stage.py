"""What a scenario over HTTP finds: a founded ledger with signed streams, the service and the yardsticks running."""

import json
import secrets
import time
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx
from rich.progress import Progress

from app.canon import JsonValue, jcs
from app.cli.bench.figures import Round
from app.cli.bench.grown import Grown, opened, place
from app.cli.bench.processes import HOST, DatabaseServer, Server
from app.cli.bench.sending import send
from app.cli.bench.stories import Stream, streams_of
from app.cli.bench.traffic import Event, Load
from app.cli.bench.wish import Size, Wish
from app.cli.bench.world import ORIGIN, Founding
from app.cli.phone import Phone
from app.clock import SystemClock
from app.config import Settings
from app.keys.signing import sign_compact

TOKEN_SECONDS = 60


@dataclass(slots=True)
class Stage:
    """The service and the yardsticks over one fresh database and folder; use it as a context."""

    folder: Path
    url: str
    wish: Wish
    progress: Progress
    streams: list[Stream] = field(default_factory=list)
    token: str = ""
    sent_bytes: int = 0
    sent_events: int = 0
    notes: dict[str, Any] = field(default_factory=dict)
    _servers: dict[str, Server] = field(default_factory=dict)
    _database: DatabaseServer | None = None
    _stack: ExitStack = field(default_factory=ExitStack)
    _grown: tuple[Grown, str] | None = None
    boxes: list[str] = field(default_factory=list)
    heaps: list[list[str]] = field(default_factory=list)

    @property
    def size(self) -> Size:
        """How much is sent."""
        return self.wish.size

    @property
    def keys(self) -> Path:
        """A file with the public keys, for the yardsticks."""
        return self.folder / "keys.json"

    def __enter__(self) -> Self:
        """Found the ledger and start every server."""
        try:
            self._prepare()
            self._database = DatabaseServer.behind(self.url)
            naive = {"YARDSTICK_KEYS": str(self.keys), "YARDSTICK_DATABASE": self.beside("naive")}
            self._serve("service", Server.service(self.folder, environment_of(self.url, self.folder / "data")))
            self._serve("noop", Server.app("noop", self.folder))
            self._serve("naive", Server.app("naive", self.folder, naive))
            self.token = token(self._servers["service"], self.streams[0].here)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop every server, and drop what is not kept."""
        self._stack.close()

    def _serve(self, name: str, server: Server) -> None:
        self._servers[name] = self._stack.enter_context(server)

    def _prepare(self) -> None:
        size, founding = self.size, Founding(Settings(data_dir=self.folder / "data", database_url=self.url))
        phones = founding.enrol(2 * size.streams)
        units = founding.commission(phones[0], size.streams * size.units)
        if "two_signatures" in self.wish.scenarios:
            self.boxes = founding.commission_boxes(phones[0], phones[1], 2 * size.streams)
        if "hundred_units" in self.wish.scenarios:
            self.heaps = [founding.commission(phones[0], 100) for _ in range(4)]
        if "reconcile" in self.wish.scenarios:
            self.notes["lots"] = founding.settle_city(phones[0], phones[1])
        founding.close(phones)
        self.streams = streams_of(phones, units, SystemClock().now_ms)
        self.keys.write_text(json.dumps(founding.jwks))

    def server(self, name: str = "service") -> Server:
        """Return a running server."""
        return self._servers[name]

    def beside(self, name: str) -> str:
        """Return the database URL of a yardstick: a file of its own, or the same database on PostgreSQL."""
        return self.url if not self.url.startswith("sqlite") else f"sqlite:///{self.folder / name}.db"

    def signed(self, count: int) -> list[list[Event]]:
        """Sign the next events of every stream, `count` in all."""
        made = [stream.take(max(1, count // len(self.streams))) for stream in self.streams]
        self.note(made)
        return made

    def note(self, made: list[list[Event]]) -> None:
        """Count events that will be stored."""
        self.sent_events += sum(map(len, made))
        self.sent_bytes += sum(len(event.body) for stream in made for event in stream)

    def send(self, load: Load, name: str = "service") -> Round:
        """Send a load to a server and hold every answer to what it must say."""
        database = self._database if name in {"service", "naive", "grown"} else None
        return send(load, self._servers[name], self.folder, database)

    def grown(self) -> tuple[Grown, str]:
        """Return the ledger whose histories are read, served as `grown`, and a token for it; made when first asked."""
        if self._grown is None:
            task = self.progress.add_task("growing a ledger", total=self.size.events)
            own, url = self._stack.enter_context(place(self.folder, self.wish.database_url, self.wish.keep))
            made = self._stack.enter_context(opened(own, url))
            made.need(self.size.events)
            made.grow(self.size.events, lambda size: self.progress.update(task, completed=size))
            reader = made.officer()
            self._serve("grown", Server.service(made.folder, environment_of(made.url, made.folder / "data"), "grown"))
            self.progress.remove_task(task)
            self._grown = made, token(self._servers["grown"], reader)
        return self._grown


def environment_of(url: str, data: Path) -> dict[str, str]:
    """Return the settings with which the benchmark serves a ledger."""
    return {"CUSTODY_DATA_DIR": str(data), "CUSTODY_DATABASE_URL": url, "CUSTODY_LOG_LEVEL": "ERROR"}


def token(server: Server, phone: Phone) -> str:
    """Return an access token of a phone, as it asks for one.

    Raises:
        RuntimeError: The service gives none.
    """
    claims: JsonValue = {
        "iss": phone.kid, "sub": phone.kid, "aud": ORIGIN, "exp": int(time.time()) + 240, "jti": secrets.token_hex(16),
    }  # fmt: skip
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": sign_compact(jcs(claims), phone.key, "JWT"),
    }
    answer = httpx.post(f"http://{HOST}:{server.port}/oauth/token", data=form, timeout=TOKEN_SECONDS)
    if answer.status_code != 200:
        raise RuntimeError(f"the service gives no token: {answer.text[:500]}")
    return str(answer.json()["access_token"])


Told = dict[str, list[Round]]


def nothing_told() -> Told:
    """Return an empty record of rounds by name."""
    return defaultdict(list)
