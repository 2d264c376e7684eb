"""Logs: one JSON object a line for machines, or lines for people; the same in every process of the service.

Never bodies, tokens, names or what people typed; a traceback shows no local variable.
"""

import logging
import sys

import structlog

from app.config import Settings


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
