"""The other ledgers: the signed list that verifiers pin, and what a national ledger has taken of each."""

import structlog
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.audit.shards import newest_shards
from app.errors import MissingError, ServiceError
from app.exchange.shard_clock import list_of
from app.web.answers import Json
from app.web.auth import public
from app.web.declare import Says, declare, ref
from app.web.services import services_of

router = APIRouter()
log = structlog.get_logger(__name__)
NOTE = "text/plain; charset=utf-8"
_OPEN = public("Which ledgers there are, and how large they are, is everybody's.")


@router.get(
    "/v1/ledgers",
    **declare(
        _OPEN,
        {200: Says("The signed list of ledgers, a note of c2sp.org/signed-note.", {"type": "string"}, "text/plain")},
        problems=(404,),
        tag="ledger",
    ),
)
def ledgers(request: Request) -> Response:
    """Return the signed list of ledgers as it is now; whoever reads it verifies it with a key that he was told."""
    try:
        found = list_of(services_of(request).settings)
    except ServiceError as error:  # it was fine at the start: what is wrong now is the operator's, not the caller's
        log.error("ledger_list_unusable", code=error.code, detail=error.detail)  # noqa: TRY400 - it says it all
        raise MissingError("The list of ledgers here cannot be used; tell its operator.", code="no_list") from None
    if found is None:
        raise MissingError("This service hands out no list of ledgers.", code="no_list")
    return Response(found[0], 200, {"Cache-Control": "no-cache"}, media_type=NOTE)


@router.get(
    "/v1/shards",
    **declare(_OPEN, {200: Says("The newest checkpoint taken of each ledger.", ref("Shards"))}, tag="ledger"),
)
def shards(request: Request) -> Response:
    """List the newest checkpoint that this ledger has taken of each other one."""
    services = services_of(request)
    with services.db.read() as session:
        return Json({"items": newest_shards(session, services.ledger_id)})
