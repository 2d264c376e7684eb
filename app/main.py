"""`create_app`: wires the rooms into one HTTP service, and nothing else.

Start: open the database and refuse one that may lose commits, read the keys, refuse a rolled-back tree, start the
writer, then the clock. Stop, after the server has answered its last request: the clock, the writer (which first
records what is waiting), the database.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pkgutil import resolve_name

from anyio import to_thread
from fastapi import FastAPI

from app.clock import Clock, SystemClock
from app.config import Settings
from app.custody.link import WriterLink
from app.custody.lookup import meta_of
from app.custody.prove import Prover
from app.custody.serverkeys import ServerKeys
from app.custody.state import Meta
from app.custody.view import View
from app.db import Database
from app.errors import MissingError
from app.exchange.witness_clock import trust_of
from app.ledger.append import read_head
from app.web import api
from app.web.metrics import Metrics
from app.web.services import Services

VERSION = "0.1.0"
WORKER = "app.worker:Worker"
"""Named, not imported: entrances do not see each other."""
READERS = 6
"""Requests that are answered in threads at a time: more take turns with each other at twice the cost."""


def create_app(
    settings: Settings | None = None, clock: Clock | None = None, writer: socket.socket | None = None
) -> FastAPI:
    """Return the application; rooms are opened when the server starts it.

    Args:
        settings: How to run; read from the environment when absent.
        clock: Tells the time; the machine's own when absent.
        writer: Leads to the writer that several processes share; each starts its own when absent.
    """
    chosen = settings or Settings()
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        services = open_services(chosen, clock or SystemClock(), metrics, writer)
        app.state.services = services
        to_thread.current_default_thread_limiter().total_tokens = READERS
        try:
            async with _writing(services):
                yield
        finally:
            services.db.close()

    app = FastAPI(
        title="Ballot Custody", version=VERSION, lifespan=lifespan, openapi_url=None, docs_url=None, redoc_url=None,
        redirect_slashes=False,
    )  # fmt: skip
    api.install(app, chosen, metrics)
    return app


def open_services(settings: Settings, clock: Clock, metrics: Metrics, writer: socket.socket | None = None) -> Services:
    """Open database, keys and ledger; nothing is written yet.

    Raises:
        MissingError: There is no ledger, or a server key is missing; `custody init` makes both.
        RuntimeError: The database may lose commits, the keys are another ledger's, or a demo ledger in production.
        TamperError: A key file may be read by others.
    """
    db = Database(settings.url(), settings.read_url(), replicated=settings.synchronous_standby)
    try:
        db.check_durability()
        keys = ServerKeys.load(settings.keys_folder())
        with db.read_newest() as session:
            head = read_head(session, settings.ledger)
            meta = meta_of(session, head.ledger_id)
            view = View.of(session, head)
        meta = _checked(meta, keys, settings)
        prover = Prover(db, view.ledger_id, view.origin)
        link = WriterLink(settings, view, metrics.group, writer)
        services = Services(
            settings, clock, db, keys, view, prover, link, metrics, bool(meta.demo), meta.genesis, trust_of(settings)
        )
        db.is_behind = lambda session: read_head(session, services.view.name).size < services.view.published[0]
    except BaseException:
        db.close()
        raise
    return services


@asynccontextmanager
async def _writing(services: Services) -> AsyncIterator[None]:
    """Run the writer, in its own process or, when the settings say so, in threads of this one."""
    link, worker = services.intake, None
    if services.settings.writer == "thread":
        worker = resolve_name(WORKER)(services.settings, services.clock, services.db, services.metrics.group)
        services.view, services.intake = worker.recorder.view, worker.intake
        worker.start()
    elif isinstance(link, WriterLink):
        await link.start()
    intake, view = services.intake, services.view
    services.metrics.observe(lambda: intake.waiting, lambda: view.published[0], lambda: intake.healthy)
    try:
        yield
    finally:
        if worker is not None:
            await asyncio.to_thread(worker.stop)
        elif isinstance(link, WriterLink):
            await link.stop()


def check(settings: Settings) -> None:
    """Open everything once and close it again, so that what is wrong is said before the server starts.

    Raises:
        MissingError: As `open_services`, and so the others.
        TamperError: The tree is smaller than what was signed before.
    """
    services = open_services(settings, SystemClock(), Metrics())
    try:
        worker = resolve_name(WORKER)(settings, services.clock, services.db)
        if worker.witnesses is not None:
            worker.witnesses.stop()
    finally:
        services.db.close()


def _checked(meta: Meta | None, keys: ServerKeys, settings: Settings) -> Meta:
    """Refuse a ledger that was not founded, other people's keys, and a demo in production."""
    if meta is None:
        raise MissingError("The ledger has no genesis; `custody init` makes one.", code="no_ledger")
    if meta.origin != keys.ledger.name or meta.service_kid != keys.service.kid:
        raise RuntimeError("The server keys in that folder belong to another ledger.")
    keys.signing(meta.ledger_keys)
    if meta.demo and settings.production:
        raise RuntimeError("A demo ledger does not run in production.")
    return meta
