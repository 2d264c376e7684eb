"""The auditor's lists: events, handovers, discrepancies, and the balance."""

from typing import Annotated, Any, Literal, cast
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from app.audit.discrepancies import list_discrepancies
from app.audit.events import event_proof, list_events, one_event
from app.audit.handovers import list_handovers
from app.audit.reconcile import figure_events, reconcile
from app.ids import parse_unit_id
from app.web.answers import Json
from app.web.auth import allow, anybody_enrolled, viewer_of
from app.web.declare import Says, declare, ref
from app.web.paging import index_after, page, read_cursor, text_after
from app.web.query import Cursor, Limit, Moment, Size, Word, moment_ms
from app.web.services import services_of

router = APIRouter()
FIGURE_EVENTS = "/v1/reconciliation/events"
_ANYBODY = anybody_enrolled()
_WATCHERS = allow("auditor", "administrator", "operator", "integrator")
_ACCOUNTANTS = allow("auditor", "administrator", "operator")
_LIST = (400, 404, 422)


@router.get(
    "/v1/events",
    **declare(
        _ANYBODY, {200: Says("Events, a page, in ledger order.", ref("EventPage"))}, problems=_LIST, tag="events"
    ),
)
def get_events(
    request: Request, unit: Word = None, place: Word = None, agency: Word = None, officer: Word = None,
    type: Word = None,  # noqa: A002 - the parameter's public name
    result: Word = None, since: Moment = None, until: Moment = None,
    clock: Literal["claimed", "received"] = "claimed", limit: Limit = 50, cursor: Cursor = None,
) -> Response:  # fmt: skip
    """List the events that the caller may see; `since` and `until` go by the device's word or by our receipt."""
    del cursor
    services = services_of(request)
    named = parse_unit_id(unit) if unit is not None else None
    with services.db.read() as session:
        told = list_events(
            session, services.ledger_id, viewer_of(request), unit=named, place=place, agency=agency, officer=officer,
            type_=type, result=result, from_ms=moment_ms(since), until_ms=moment_ms(until), clock=clock,
            after=index_after(request), limit=limit,
        )  # fmt: skip
    return page(request, told)


@router.get(
    "/v1/events/{event}",
    **declare(
        _ANYBODY,
        {200: Says("The event with receipt and proof; the envelope for auditors.", ref("Event"))},
        problems=(404,),
        tag="events",
    ),
)
def get_event(request: Request, event: str) -> Response:
    """Return one event by its hash or its event id."""
    services = services_of(request)
    with services.db.read() as session:
        told = one_event(
            session, services.ledger_id, viewer_of(request), event, reader=services.view.reader,
            origin=services.origin,
        )  # fmt: skip
    return Json(told)


@router.get(
    "/v1/events/{event}/proof",
    **declare(
        _ANYBODY,
        {200: Says("A c2sp.org/tlog-proof that verifies offline.", {"type": "string"}, "text/plain")},
        problems=(404,),
        tag="events",
    ),
)
def get_event_proof(request: Request, event: str) -> Response:
    """Return the proof file of one event, under a checkpoint that met the trust policy where there is one."""
    services = services_of(request)
    with services.db.read() as session:
        data = event_proof(
            session, services.ledger_id, viewer_of(request), event, reader=services.view.reader
        )  # fmt: skip
    headers = {"Content-Disposition": 'attachment; filename="event.tlog-proof"', "Cache-Control": "no-store"}
    return Response(data, 200, headers, media_type="text/plain; charset=utf-8")


@router.get(
    "/v1/handovers",
    **declare(_ANYBODY, {200: Says("Handovers, a page.", ref("Page"))}, problems=_LIST, tag="audit"),
)
def get_handovers(
    request: Request, status: Literal["open", "overdue", "disputed", "done"] | None = None, place: Word = None,
    agency: Word = None, limit: Limit = 50, cursor: Cursor = None,
) -> Response:  # fmt: skip
    """List handovers in the order of their releases."""
    del cursor
    services = services_of(request)
    with services.db.read() as session:
        told = list_handovers(
            session, services.ledger_id, viewer_of(request), now_ms=services.mandate_ms(session), status=status,
            place=place, agency=agency, after=index_after(request), limit=limit,
        )  # fmt: skip
    return page(request, told)


@router.get(
    "/v1/discrepancies",
    **declare(_WATCHERS, {200: Says("Discrepancies, a page.", ref("Page"))}, problems=_LIST, tag="audit"),
)
def get_discrepancies(
    request: Request, rule: Word = None, status: Literal["open", "explained", "resolved"] | None = None,
    unit: Word = None, handover: Word = None, place: Word = None, agency: Word = None, severity: Word = None,
    limit: Limit = 50, cursor: Cursor = None,
) -> Response:  # fmt: skip
    """List the contradictions that the rules found, in ledger order."""
    del cursor
    services = services_of(request)
    with services.db.read() as session:
        told = list_discrepancies(
            session, services.ledger_id, viewer_of(request), rule=rule, status=status,
            unit=parse_unit_id(unit) if unit is not None else None, handover=handover, place=place, agency=agency,
            severity=severity, after=text_after(request), limit=limit,
        )  # fmt: skip
    return page(request, told)


@router.get(
    "/v1/reconciliation",
    **declare(
        _ACCOUNTANTS,
        {200: Says("The balance per contest, every figure with the events behind it.", ref("Reconciliation"))},
        problems=(*_LIST, 409),
        tag="audit",
    ),
)
def get_reconciliation(
    request: Request, election: Word = None, contest: Word = None, place: Word = None, size: Size = None,
    events: Annotated[int, Query(ge=0, le=500)] = 50,
) -> Response:  # fmt: skip
    """Compute identities 1 to 4 from the ledger."""
    services = services_of(request)
    with services.db.read() as session:
        told = reconcile(
            session, services.ledger_id, viewer_of(request), election=election, contest=contest, place=place,
            size=size, events_per_figure=events,
        )  # fmt: skip
    filters = {"election": election, "place": place, "size": size}
    return Json({**told, "contests": [_addressed(one, filters) for one in cast("list[Any]", told["contests"])]})


def _addressed(contest: dict[str, Any], filters: dict[str, Any]) -> dict[str, Any]:
    """Say of each figure with more events than are shown where the whole list is."""

    def address(figure: str) -> str:
        asked = {"contest": contest["contest"], "figure": figure, **filters}
        return f"{FIGURE_EVENTS}?{urlencode({name: value for name, value in asked.items() if value is not None})}"

    figures = [
        {**one, "next": address(one["figure"]) if one["next"] is not None else None} for one in contest["figures"]
    ]
    return {**contest, "figures": figures}


@router.get(
    FIGURE_EVENTS,
    **declare(
        _ACCOUNTANTS,
        {200: Says("The events behind one figure, a page.", ref("FigureEvents"))},
        problems=(*_LIST, 409),
        tag="audit",
    ),
)
def get_figure_events(
    request: Request, contest: Annotated[str, Query(max_length=120)], figure: Annotated[str, Query(max_length=120)],
    election: Word = None, place: Word = None, size: Size = None, limit: Annotated[int, Query(ge=1, le=500)] = 100,
    cursor: Cursor = None,
) -> Response:  # fmt: skip
    """List the events behind a figure of a contest."""
    del cursor
    services, after = services_of(request), read_cursor(request)
    with services.db.read() as session:
        told = figure_events(
            session, services.ledger_id, viewer_of(request), contest=contest, figure=figure, election=election,
            place=place, size=size, after=int(after or 0), limit=limit,
        )  # fmt: skip
    return page(request, told)
