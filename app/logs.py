"""Logs: one JSON object a line for machines, or lines for people; the same in every process of the service.

Never bodies, tokens, names or what people typed; a traceback shows no local variable.
"""

import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

import orjson
import structlog

from app.config import Settings

REQUESTS = "app.request"


class _Lines(logging.StreamHandler[TextIO]):
    """Writes JSON lines: a record as every handler does, a line that is finished as it is."""

    def write(self, line: str) -> None:
        """Write one finished line."""
        self.acquire()
        try:
            self.stream.write(line)
            self.flush()
        finally:
            self.release()


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
    handler = _Lines(sys.stderr) if as_json else logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=settings.log_level, force=True)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it tells each request to each witness otherwise
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


def log_request(method: str, route: str, status: int, ms: float) -> None:
    """Write the line of one answered request.

    There is one for every event that comes alone; through the libraries it cost as much as a signature.
    """
    handler = next((each for each in logging.getLogger().handlers if isinstance(each, _Lines)), None)
    if handler is None:
        structlog.get_logger(REQUESTS).info("request", method=method, route=route, status=status, ms=ms)
    elif logging.getLogger(REQUESTS).isEnabledFor(logging.INFO):
        moment = datetime.now(UTC).replace(tzinfo=None).isoformat()
        told = {"method": method, "route": route, "status": status, "ms": ms, "event": "request", "level": "info"}
        handler.write(orjson.dumps({**told, "logger": REQUESTS, "timestamp": f"{moment}Z"}).decode() + "\n")
