"""Policies and plans by their content address: uploaded before the event that publishes them, kept for ever."""

from functools import partial

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from app.errors import MissingError
from app.units import records as unit_records
from app.units.documents import Policy, document_hash, parse_document
from app.web.answers import Json, read_body
from app.web.auth import allow, anybody_enrolled, viewer_of
from app.web.declare import Says, Takes, declare, ref
from app.web.publication import UntilPublished
from app.web.services import Services, services_of

router = APIRouter()
_KEEP = "private, max-age=31536000, immutable"


@router.post(
    "/v1/documents",
    **declare(
        allow("administrator", "registrar", "operator"),
        {201: Says("Kept under its hash.", ref("Kept")), 200: Says("Known already.", ref("Kept"))},
        takes=Takes({"type": "object"}),
        tag="documents",
    ),
)
async def post_document(request: Request) -> Response:
    """Keep a policy or a plan as received; an event publishes it by its hash."""
    data = await read_body(request)
    content_hash, new = await run_in_threadpool(partial(_keep, services_of(request), data))
    location = f"/v1/documents/{content_hash}"
    return Json({"hash": content_hash, "bytes": len(data)}, 201 if new else 200, {"Location": location})


def _keep(services: Services, data: bytes) -> tuple[str, bool]:
    kind = "policy" if isinstance(parse_document(data), Policy) else "plan"
    with services.db.write() as session:
        known = unit_records.read_document(session, services.ledger_id, document_hash(data)) is not None
        return unit_records.keep_document(session, services.ledger_id, kind, data), not known


_GET = declare(
    UntilPublished(anybody_enrolled().roles),
    {200: Says("The bytes as received.", {"type": "object"}), 304: Says("Unchanged.")},
    problems=(404,),
    tag="documents",
)
_GET["responses"][200]["content"]["text/plain"] = {"schema": {"type": "string"}}


@router.get("/v1/documents/{content_hash}", **_GET)
def get_document(request: Request, content_hash: str) -> Response:
    """Return a document's bytes exactly as they were uploaded.

    The list of ids behind a `labels.issue`, one a line, is for who sees everything: rules are judged again with it.
    """
    services = services_of(request)
    tag = f'"{content_hash}"'
    with services.db.read_newest() as session:  # whoever has put one in finds it at once
        data = unit_records.read_document(session, services.ledger_id, content_hash[:64])
    is_list = data is not None and not data.lstrip().startswith(b"{")
    if data is None or (is_list and not _sees_lists(request)):
        raise MissingError("There is no such document.")
    headers = {"ETag": tag, "Cache-Control": _KEEP}
    if request.headers.get("if-none-match") == tag:
        return Response(None, 304, headers)
    return Response(data, 200, headers, media_type="text/plain; charset=utf-8" if is_list else "application/json")


def _sees_lists(request: Request) -> bool:
    if request.state.published:
        return True
    viewer = viewer_of(request)
    return viewer.all_agencies and viewer.place is None
