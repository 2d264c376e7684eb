"""`create_app`: wires the rooms into one HTTP service, and nothing else.

Start: open the database and refuse one that may lose commits, read the keys, refuse a rolled-back tree, start the
writer, then the clock. Stop, after the server has answered its last request: the clock, the writer (which first
records what is waiting), the database.
"""

import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pkgutil import resolve_name

import structlog
from fastapi import FastAPI

from app.clock import Clock, SystemClock
from app.config import Settings
from app.custody.intake import Intake
from app.custody.lookup import meta_of
from app.custody.record import Recorder
from app.custody.serverkeys import ServerKeys
from app.custody.state import Meta
from app.db import Database
from app.errors import MissingError
from app.ledger.append import read_head
from app.ledger.highwater import HighWater
from app.web import api
from app.web.metrics import Metrics
from app.web.services import Services

VERSION = "0.1.0"
WORKER = "app.worker:Worker"
"""Named, not imported: entrances do not see each other."""


def create_app(settings: Settings | None = None, clock: Clock | None = None) -> FastAPI:
    """Return the application; rooms are opened when the server starts it.

    Args:
        settings: How to run; read from the environment when absent.
        clock: Tells the time; the machine's own when absent.
    """
    chosen = settings or Settings()
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        services = open_services(chosen, clock or SystemClock(), metrics)
        worker = resolve_name(WORKER)(services)
        app.state.services = services
        services.intake.start()
        worker.start()
        try:
            yield
        finally:
            worker.stop()
            services.intake.stop()
            services.db.close()

    app = FastAPI(
        title="Ballot Custody", version=VERSION, lifespan=lifespan, openapi_url=None, docs_url=None, redoc_url=None,
        redirect_slashes=False,
    )  # fmt: skip
    api.install(app, chosen, metrics)
    return app


def open_services(settings: Settings, clock: Clock, metrics: Metrics) -> Services:
    """Open database, keys and ledger.

    Raises:
        MissingError: There is no ledger, or a server key is missing; `custody init` makes both.
        RuntimeError: The database may lose commits, the keys are another ledger's, or a demo ledger in production.
        TamperError: The tree is smaller than what was signed before, or a key file may be read by others.
    """
    db = Database(settings.url(), settings.read_url())
    try:
        db.check_durability()
        keys = ServerKeys.load(settings.keys_folder())
        with db.read() as session:
            head = read_head(session, settings.ledger)
            meta = meta_of(session, head.ledger_id)
        meta = _checked(meta, keys, settings)
        recorder = Recorder(db, settings, keys, HighWater(settings.high_water_file(), head.origin))
        intake = Intake(recorder, settings, metrics.group)
        metrics.observe(lambda: intake.waiting, lambda: recorder.published[0], lambda: intake.healthy)
        return Services(settings, clock, db, keys, recorder, intake, metrics, bool(meta.demo), meta.genesis)
    except BaseException:
        db.close()
        raise


def check(settings: Settings) -> None:
    """Open everything once and close it again, so that what is wrong is said before the server starts.

    Raises:
        MissingError: As `open_services`, and so the others.
    """
    open_services(settings, SystemClock(), Metrics()).db.close()


def _checked(meta: Meta | None, keys: ServerKeys, settings: Settings) -> Meta:
    """Refuse a ledger that was not founded, other people's keys, and a demo in production."""
    if meta is None:
        raise MissingError("The ledger has no genesis; `custody init` makes one.", code="no_ledger")
    if meta.origin != keys.ledger.name or meta.service_kid != keys.service.kid:
        raise RuntimeError("The server keys in that folder belong to another ledger.")
    if meta.demo and settings.production:
        raise RuntimeError("A demo ledger does not run in production.")
    return meta


def _for_people() -> structlog.typing.Processor:
    """Coloured lines on a terminal; a traceback without local variables, which may hold keys and tokens."""
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)


def configure_logging(settings: Settings) -> None:
    """Write logs as one JSON object a line, or for people; never bodies, tokens or what people typed."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    as_json = settings.log_format == "json"
    last: structlog.typing.Processor = structlog.processors.JSONRenderer() if as_json else _for_people()
    tail = [structlog.processors.format_exc_info, last] if as_json else [last]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *tail]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=settings.log_level, force=True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
