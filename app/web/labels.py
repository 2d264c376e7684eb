"""Labels over HTTP: fresh ids, a block reserved by a signed event, and the block on paper.

The list of ids travels beside the event that commits to its hash; both are kept, so the rules can read what was
issued. What is printed is looked up when it is printed: a bound label says what it is on, a blank one only its id.
"""

import secrets
import tempfile
from collections.abc import Iterator
from functools import partial
from typing import IO, Annotated, BinaryIO, cast

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from app.canon import JsonValue, b64url_encode, sha256
from app.custody.lookup import Recorded, recorded
from app.custody.prove import ProvenEvent
from app.custody.rules.labels import ids_document, ids_hash
from app.db import Session
from app.errors import MalformedError, MissingError, RefusedError, TooLargeError
from app.ids import is_unit_id, new_unit_id
from app.keys.grants import Viewer
from app.labels.formats import A4_3X8_70X37, FORMATS, SheetFormat
from app.labels.sheet import pdf_sheet
from app.strict import Strict
from app.units import records as unit_records
from app.units.state import Label
from app.web.answers import Json, read_json, read_model
from app.web.auth import allow, viewer_of
from app.web.declare import Says, Takes, declare, ref
from app.web.events import HEADERS, received_at, record_one
from app.web.labelwords import Words
from app.web.paging import page, text_after
from app.web.services import Services, services_of

router = APIRouter()
PRINTERS = allow("field", "operator", "administrator", "integrator")
MAX_PAGE = 1000
SPOOL_BYTES = 4 * 1024 * 1024
CHUNK_BYTES = 64 * 1024


class Wanted(Strict):
    """How many fresh ids are wanted."""

    count: Annotated[int, Field(ge=1, le=20_000)]


@router.post(
    "/v1/labels/ids",
    **declare(
        PRINTERS,
        {200: Says("Fresh random ids and the commitment to them; nothing is kept.", ref("FreshIds"))},
        takes=Takes(Wanted),
        tag="labels",
    ),
)
async def fresh_ids(request: Request) -> Response:
    """Make ids for a block; whoever signs `labels.issue` reserves them."""
    wanted = await read_model(request, Wanted)
    limit = services_of(request).settings.max_label_block
    if wanted.count > limit:
        raise TooLargeError("A block holds fewer labels.", max_labels=limit)
    ids = sorted({new_unit_id(secrets.token_bytes(10)) for _ in range(wanted.count)})
    return Json({"ids": ids, "ids_hash": ids_hash(ids), "count": len(ids)})


@router.post(
    "/v1/labels",
    **declare(
        PRINTERS,
        {
            201: Says("Reserved; `event` names the block.", ref("Receipt")),
            200: Says("Reserved before; the same receipt.", ref("Receipt")),
            202: Says("Recorded; waits.", ref("Receipt")),
        },
        takes=Takes(ref("LabelsIssue")),
        problems=(409, 410, 422, 423),
        headers=HEADERS,
        tag="labels",
    ),
)
async def issue_labels(request: Request) -> Response:
    """Reserve a block of labels: the list of ids and the signed `labels.issue` that commits to it."""
    services = services_of(request)
    value = await read_json(request, services.settings.max_event_bytes + 24 * services.settings.max_label_block)
    received_ms, sweep_to_ms = received_at(request, services)
    proven = await run_in_threadpool(_proven_issue, services, value, received_ms)
    return await record_one(request, proven, sweep_to_ms)


def _proven_issue(services: Services, value: JsonValue, received_ms: int) -> ProvenEvent:
    """Prove the event and keep the list of ids that it commits to.

    Raises:
        MalformedError: `body_shape`, `label_checksum`, and whatever `Prover.prove` raises.
        RefusedError: `ids_mismatch`: the event is of another type or commits to another list.
        TooLargeError: More ids than a block may hold.
    """
    ids, event = (value.get("ids"), value.get("event")) if isinstance(value, dict) and len(value) == 2 else (None, None)
    if not isinstance(ids, list) or event is None:
        raise MalformedError("The body is an object with `ids` and `event`.", code="body_shape")
    limit = services.settings.max_label_block
    if len(ids) > limit:
        raise TooLargeError("A block holds fewer labels.", max_labels=limit)
    named = [one for one in ids if isinstance(one, str) and is_unit_id(one)]
    if len(named) != len(ids):
        raise MalformedError("The list holds something that is no unit id.", code="label_checksum")
    proven = services.prover.prove(event, received_ms)
    data = ids_document(named)
    content_hash = b64url_encode(sha256(data))
    if proven.event.type.name != "labels.issue" or proven.event.details.ids_hash != content_hash:
        raise RefusedError("The event does not commit to this list of ids.", code="ids_mismatch", ids_hash=content_hash)
    with services.db.write() as session:
        unit_records.keep_document(session, services.ledger_id, "ids", data)
    proven.documents[content_hash] = data
    return proven


@router.get(
    "/v1/labels/{block}",
    **declare(
        allow("field", "operator", "administrator", "integrator", "auditor"),
        {200: Says("Labels of a block with their status, a page.", ref("LabelPage"))},
        problems=(400, 404, 422),
        tag="labels",
    ),
)
def list_labels(
    request: Request, block: str, limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 200, cursor: str | None = None
) -> Response:
    """List a block's labels in order of their ids; the block's name is the hash of its `labels.issue`."""
    del cursor
    services, after = services_of(request), text_after(request)
    with services.db.read() as session:
        ids = _ids_of(session, services, viewer_of(request), block)
        rest = [label for label in ids if after is None or label > after]
        labels = _labels(session, services, rest[:limit])
    items = [{"label": one.label, "status": one.status, "unit": one.unit} for one in labels]
    following = rest[limit - 1] if len(rest) > limit else None
    return page(request, {"block": block, "count": len(ids), "items": items, "next": following})


@router.get(
    "/v1/labels/{block}/sheet.pdf",
    **declare(
        PRINTERS,
        {200: Says("Sheets ready to print at 100 %.", {"type": "string", "format": "binary"}, "application/pdf")},
        problems=(404, 422),
        tag="labels",
    ),
)
def print_labels(
    request: Request, block: str, format: str = A4_3X8_70X37.name,  # noqa: A002 - the parameter's public name
    first: Annotated[int, Query(ge=1, le=20_000)] = 1, count: Annotated[int, Query(ge=1, le=20_000)] = 20_000,
) -> Response:  # fmt: skip
    """Print labels of a block: `count` of them from number `first` on, in order of their ids."""
    services, form = services_of(request), _format(format)
    with services.db.read() as session:
        ids = _ids_of(session, services, viewer_of(request), block)[first - 1 :][:count]
        words = Words.load(session, services, _labels(session, services, ids))
    file = tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES)  # noqa: SIM115 - closed by whoever sends it
    try:
        pdf_sheet(words.labels(), cast("BinaryIO", file), form)
    except BaseException:
        file.close()
        raise
    size = file.tell()
    file.seek(0)
    headers = {"Content-Length": str(size), "Content-Disposition": f'inline; filename="label-{block[:12]}.pdf"'}
    return StreamingResponse(_chunks(file), 200, headers, media_type="application/pdf")


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        yield from iter(partial(file.read, CHUNK_BYTES), b"")


def _format(name: str) -> SheetFormat:
    if name not in FORMATS:
        raise RefusedError("There is no such sheet format.", code="sheet_format", formats=sorted(FORMATS))
    return FORMATS[name]


def _ids_of(session: Session, services: Services, viewer: Viewer, block: str) -> list[str]:
    """Return the ids of a block that the viewer may see, in order.

    Raises:
        MissingError: There is no such block, or it is another agency's or of another place.
    """
    found = recorded(session, services.view.reader, block)
    if found is None or not _sees_block(session, services, viewer, found):
        raise MissingError("There is no such block of labels.")
    data = unit_records.read_document(session, services.ledger_id, found.event.details.ids_hash)
    if data is None or found.ref.result != "accepted":
        raise MissingError("There is no such block of labels.")
    return data.decode("ascii").split()


def _sees_block(session: Session, services: Services, viewer: Viewer, found: Recorded) -> bool:
    if found.ref.type != "labels.issue" or not (viewer.all_agencies or viewer.agency == found.ref.agency):
        return False
    policy = services.policy(session)
    return viewer.place is None or (policy is not None and policy.within(found.ref.place, viewer.place))


def _labels(session: Session, services: Services, ids: list[str]) -> list[Label]:
    found = unit_records.fetch(session, services.ledger_id, Label, ids)
    return [label for label in found if isinstance(label, Label)]
