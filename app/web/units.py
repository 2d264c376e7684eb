"""A unit as it stands, what happened to it, its evidence to take away, and its label as a picture."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from app.audit.evidence import build_absence, build_evidence
from app.audit.history import unit_history
from app.audit.scope import Scope
from app.audit.units import look_up, unit_state
from app.errors import ForbiddenError
from app.ids import parse_unit_id
from app.labels.formats import A4_3X8_70X37
from app.labels.payload import LabelText
from app.labels.picture import png, svg
from app.units.state import Label
from app.web.auth import allow, anybody_enrolled, viewer_of
from app.web.declare import Says, declare, ref
from app.web.labels import PRINTERS
from app.web.labelwords import Words
from app.web.paging import index_after, page, text_after
from app.web.query import Cursor, Size
from app.web.services import services_of

router = APIRouter()
_NOT_THERE = (400, 404, 410, 422)


@router.get(
    "/v1/units/{unit}",
    **declare(
        anybody_enrolled(),
        {200: Says("The unit's facets; the ETag is the head of its chain.", ref("Unit"))},
        problems=_NOT_THERE,
        tag="units",
    ),
)
def get_unit(
    request: Request, unit: str, limit: Annotated[int, Query(ge=1, le=256)] = 100, cursor: Cursor = None
) -> Response:
    """Tell where a unit is, who has it, and how it is; `contents` is paged."""
    del cursor
    services, after = services_of(request), text_after(request)
    with services.db.read() as session:
        told = unit_state(
            session, services.ledger_id, viewer_of(request), unit, now_ms=services.mandate_ms(session),
            contents_after=after, contents_limit=limit,
        )  # fmt: skip
    contents, chain = told["contents"], told["chain"]
    assert isinstance(contents, dict)  # noqa: S101 - the shape of unit_state
    assert isinstance(chain, dict)  # noqa: S101
    return page(request, {**told, "next": contents["next"]}, {"ETag": f'"{chain["head"]}"'})


@router.get(
    "/v1/units/{unit}/history",
    **declare(
        anybody_enrolled(),
        {200: Says("What happened to the unit and to what contained it; gaps are rows.", ref("HistoryPage"))},
        problems=_NOT_THERE,
        tag="units",
    ),
)
def get_history(
    request: Request, unit: str, size: Size = None, limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    cursor: Cursor = None,
) -> Response:  # fmt: skip
    """Tell a unit's story in ledger order, as known now or at a tree size; places are named as the policy does now."""
    del cursor
    services, after = services_of(request), index_after(request)
    with services.db.read() as session:
        told = unit_history(session, services.ledger_id, viewer_of(request), unit, size=size, after=after, limit=limit)
    return page(request, told)


@router.get(
    "/v1/units/{unit}/evidence",
    **declare(
        allow("auditor", "administrator", "operator"),
        {200: Says("A bundle that verifies offline.", {"type": "string", "format": "binary"}, "application/zip")},
        problems=(*_NOT_THERE, 413),
        tag="units",
    ),
)
def get_evidence(
    request: Request, unit: str,
    stamped: Annotated[bool, Query(description="Under the newest checkpoint with a time stamp.")] = False,  # noqa: FBT002
) -> Response:  # fmt: skip
    """Return the unit's chain, what contained it, documents, keys and proofs as a zip; no private contents."""
    services = services_of(request)
    with services.db.read() as session:
        named = look_up(session, Scope.of(session, services.ledger_id, viewer_of(request)), unit).unit.unit
        policy = services.trust.source if services.trust is not None else None
        data = build_evidence(session, services.ledger_id, viewer_of(request), unit, policy=policy, stamped=stamped)
    headers = {"Content-Disposition": f'attachment; filename="evidence-{named}.zip"', "Cache-Control": "no-store"}
    return Response(data, 200, headers, media_type="application/zip")


@router.get(
    "/v1/units/{unit}/absence",
    **declare(
        allow("auditor", "administrator"),
        {200: Says("A bundle that verifies offline.", {"type": "string", "format": "binary"}, "application/zip")},
        problems=(*_NOT_THERE, 409),
        tag="units",
    ),
)
def get_absence(request: Request, unit: str) -> Response:
    """Prove that no unit of an id exists, as of the newest commitment; for auditors of the whole ledger."""
    services, named = services_of(request), parse_unit_id(unit)
    if not viewer_of(request).all_agencies or viewer_of(request).place is not None:
        raise ForbiddenError("Only who may see every unit may ask that there is none.")
    policy = services.trust.source if services.trust is not None else None
    with services.db.read() as session:
        data = build_absence(session, services.ledger_id, named, policy=policy)
    headers = {"Content-Disposition": f'attachment; filename="absence-{named}.zip"', "Cache-Control": "no-store"}
    return Response(data, 200, headers, media_type="application/zip")


@router.get(
    "/v1/units/{unit}/label.svg",
    **declare(
        PRINTERS, {200: Says("The label.", {"type": "string"}, "image/svg+xml")}, problems=_NOT_THERE, tag="labels"
    ),
)
def get_svg(request: Request, unit: str) -> Response:
    """Return the unit's label as SVG."""
    return Response(svg(_label_text(request, unit)), media_type="image/svg+xml")


@router.get(
    "/v1/units/{unit}/label.png",
    **declare(
        PRINTERS,
        {200: Says("The label.", {"type": "string", "format": "binary"}, "image/png")},
        problems=_NOT_THERE,
        tag="labels",
    ),
)
def get_png(request: Request, unit: str, scale: Annotated[int, Query(ge=3, le=40)] = 8) -> Response:
    """Return the unit's label as PNG, so many pixels a module."""
    data = png(_label_text(request, unit), A4_3X8_70X37, px_per_module=scale)
    return Response(data, media_type="image/png")


def _label_text(request: Request, named: str) -> LabelText:
    services = services_of(request)
    with services.db.read() as session:
        found = look_up(session, Scope.of(session, services.ledger_id, viewer_of(request)), named).unit
        label = found.label or found.unit
        words = Words.load(session, services, [Label(label, "", "bound", found.unit)])
        return words.text(label, found)
