"""For whoever runs the service: alive, ready, counted."""

from contextlib import suppress

from fastapi import APIRouter
from sqlalchemy.exc import DBAPIError
from starlette.requests import Request
from starlette.responses import Response

from app.errors import ServiceError
from app.ledger import freezing
from app.ledger.append import read_head
from app.ledger.witnessed import lag_ms, newest_witnessed
from app.web.answers import Json
from app.web.auth import public
from app.web.declare import Says, declare, ref
from app.web.metrics import CONTENT_TYPE
from app.web.services import Services, services_of

router = APIRouter()
_OPERATION = public("Asked by machines that hold no token; keep it behind the proxy.")


@router.get("/healthz", **declare(_OPERATION, {200: Says("The process is alive.", ref("Health"))}, tag="operations"))
async def healthz() -> Response:
    """Say that the process answers; nothing else is looked at."""
    return Json({"status": "alive"})


_READY = declare(_OPERATION, {200: Says("Ready to record.", ref("Health"))}, tag="operations")
_READY["responses"] |= {503: Says("Not ready; `failing` says what.", ref("Health")).content()}


@router.get("/readyz", **_READY)
def readyz(request: Request) -> Response:
    """Say whether events can be recorded: the writer is healthy, the database answers, the head agrees with itself."""
    services = services_of(request)
    failing = [name for name, fine in (("writer", services.intake.healthy), ("database", _reads(services))) if not fine]
    return Json({"status": "failing" if failing else "ready", "failing": failing}, 503 if failing else 200)


def _reads(services: Services) -> bool:
    try:
        services.db.reach()
        with services.db.read_newest() as session:
            head = read_head(session, services.view.name)
        return head.size >= services.view.published[0]
    except ServiceError:
        return False
    except Exception:  # noqa: BLE001 - whatever the driver says, the database does not answer
        return False


@router.get(
    "/metrics",
    **declare(_OPERATION, {200: Says("Prometheus' text format.", {"type": "string"}, "text/plain")}, tag="operations"),
)
def metrics(request: Request) -> Response:
    """Return counters for Prometheus; those of the ledger itself keep their last value while the database is away."""
    services = services_of(request)
    with suppress(ServiceError, DBAPIError):
        _count_ledger(services)
    return Response(services.metrics.text(), 200, {"Content-Type": CONTENT_TYPE})


def _count_ledger(services: Services) -> None:
    with services.db.read() as session:
        head = read_head(session, services.view.name)
        found = newest_witnessed(session, head.ledger_id)
        lag = lag_ms(session, head.ledger_id, services.mandate_ms(session)) if services.trust is not None else 0
        services.metrics.ledger(
            frozen=head.frozen is not None, alarms=freezing.count(session, head.ledger_id),
            witnessed_size=found[0] if found is not None else 0, lag_seconds=lag / 1000,
        )  # fmt: skip
