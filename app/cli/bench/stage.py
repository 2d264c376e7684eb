"""What a scenario over HTTP finds: a founded ledger with signed streams, the service and the yardsticks running."""

import json
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.progress import Progress, TaskID

from app.cli.bench.defaults import Defaults
from app.cli.bench.figures import Round
from app.cli.bench.grown import Grown, opened, place
from app.cli.bench.processes import DatabaseServer, Server
from app.cli.bench.sending import send
from app.cli.bench.stories import Stream, streams_of
from app.cli.bench.tokens import Pass, pass_of
from app.cli.bench.traffic import Event, Load, at_rate, batches, seconds_of, shares
from app.cli.bench.wish import Size, Wish
from app.cli.bench.world import Founding
from app.cli.phone import Phone
from app.clock import SystemClock
from app.ledger.note import VerifierKey


@dataclass(slots=True)
class Stage:
    """The service and the yardsticks over one fresh database and folder; use it as a context."""

    folder: Path
    url: str
    wish: Wish
    progress: Progress
    task: TaskID | None = None
    """Shows what is being done."""
    streams: list[Stream] = field(default_factory=list)
    sent_bytes: int = 0
    sent_events: int = 0
    notes: dict[str, Any] = field(default_factory=dict)
    _servers: dict[str, Server] = field(default_factory=dict)
    _database: DatabaseServer | None = None
    _stack: ExitStack = field(default_factory=ExitStack)
    _pass: Pass | None = None
    _ledger_keys: dict[str, VerifierKey] = field(default_factory=dict)
    """The key that each server's ledger signs with, by the server's name."""
    _grown: tuple[Grown, Pass] | None = None
    watcher: Phone | None = None
    """An officer of the grown ledger, who may read everything and sign what was seen."""
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
            self._pass = pass_of(self._servers["service"], self.streams[0].here)
        except BaseException as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def __exit__(
        self, type_: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop every server, and drop what is not kept; an error is told what the servers said last."""
        self._stack.__exit__(type_, error, trace)

    def _serve(self, name: str, server: Server) -> None:
        self._servers[name] = self._stack.enter_context(server)

    def _prepare(self) -> None:
        size, founding = self.size, Founding(Defaults(data_dir=self.folder / "data", database_url=self.url))
        self._ledger_keys["service"] = VerifierKey.parse(founding.vkey)
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

    @property
    def token(self) -> str:
        """An access token to the service, young enough for a load."""
        if self._pass is None:
            raise RuntimeError("the service does not run yet")
        return self._pass.text

    def says(self, text: str) -> None:
        """Show what is being done."""
        if self.task is not None:
            self.progress.update(self.task, description=text)

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

    def in_batches(self, count: int, size: int, connections: int) -> tuple[list[list[Event]], Load]:
        """Sign about `count` events for whole batches of `size`; returns them by stream, and as a load."""
        connections = min(connections, len(self.streams))
        each, step = shares(len(self.streams), connections, size)
        used = self.streams[: each * connections]
        made = [stream.take(max(1, round(count / len(used) / step)) * step) for stream in used]
        self.note(made)
        return made, batches(made, size, self.token, connections)

    def note(self, made: list[list[Event]]) -> None:
        """Count events that will be stored."""
        self.sent_events += sum(map(len, made))
        self.sent_bytes += sum(len(event.body) for stream in made for event in stream)

    def send(self, load: Load, name: str = "service") -> Round:
        """Send a load to a server and hold every answer to what it must say."""
        database = self._database if name in {"service", "naive", "grown"} else None
        return send(load, self._servers[name], self.folder, database, self._ledger_keys.get(name))

    def send_open(self, name: str, load: Load, requests_per_second: float) -> Round:
        """Send a load as an open one, and show how long it will take."""
        opened_load = at_rate(load, requests_per_second)
        self.says(f"{name}: {requests_per_second:,.0f} requests a second for {seconds_of(opened_load):,.0f} s")
        return self.send(opened_load)

    def grown(self) -> tuple[Grown, str]:
        """Return the ledger whose histories are read, served as `grown`, and a token for it; made when first asked."""
        if self._grown is None:
            task = self.progress.add_task("growing a ledger", total=self.size.events)
            own, url = self._stack.enter_context(place(self.folder, self.wish.database_url, self.wish.keep))
            made = self._stack.enter_context(opened(own, url))
            made.need(self.size.events)
            made.grow(self.size.events, lambda size: self.progress.update(task, completed=size))
            reader = self.watcher = made.officer()
            self._serve("grown", Server.service(made.folder, environment_of(made.url, made.folder / "data"), "grown"))
            self.progress.remove_task(task)
            self._grown = made, pass_of(self._servers["grown"], reader)
        return self._grown[0], self._grown[1].text


def environment_of(url: str, data: Path) -> dict[str, str]:
    """Return the settings with which the benchmark serves a ledger: where it is; everything else is at its default.

    So each request has its line in the log, as it has in production: some five microseconds, and a write.
    """
    return {"CUSTODY_DATA_DIR": str(data), "CUSTODY_DATABASE_URL": url}


Told = dict[str, list[Round]]


def nothing_told() -> Told:
    """Return an empty record of rounds by name."""
    return defaultdict(list)
