"""Enrolment over HTTP: a registrar opens it, the phone claims it, a signed `key.enrol` approves it.

The one-time token travels in the fragment of a link, which browsers do not send and servers do not log.
"""

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from app.canon import JsonValue, check_text
from app.clock import parse_rfc3339, rfc3339_ms
from app.custody.details import AccessRole, Jwk
from app.custody.prove import ProvenEvent
from app.custody.receipts import Receipt
from app.errors import ConflictError, ForbiddenError, MalformedError, MissingError, RefusedError, ServiceError
from app.keys import enrolment as use
from app.keys.access import Enrolment
from app.keys.grants import Viewer
from app.keys.people import agency_of
from app.strict import Strict
from app.units.documents import Code, Moment, Name, Policy
from app.web.answers import Json, read_json, read_model
from app.web.auth import allow, public, viewer_of
from app.web.declare import Says, Takes, declare, ref
from app.web.events import HEADERS, SCENARIO_TIME, answer_with, received_at
from app.web.services import Services, services_of

router = APIRouter()
REGISTRAR = allow("registrar")


class Wanted(Strict):
    """Whom a registrar wants enrolled."""

    agency: Code
    role: Code
    place: Code
    access: Annotated[tuple[AccessRole, ...], Field(min_length=1, max_length=6)] = ("field",)
    valid_from: Moment
    valid_until: Moment
    officer: Code | None = None
    name: Name | None = None


class Claim(Strict):
    """What the phone sends, once."""

    token: Annotated[str, Field(min_length=16, max_length=64)]
    jwk: Jwk
    signature: Annotated[str, Field(min_length=86, max_length=86)]


@router.post(
    "/v1/enrolments",
    **declare(
        REGISTRAR,
        {201: Says("Opened; the token is shown this once.", ref("EnrolmentOpened"))},
        takes=Takes(Wanted),
        problems=(409, 422),
        tag="people",
    ),
)
async def open_enrolment(request: Request) -> Response:
    """Open an enrolment for an officer of the registrar's own agency."""
    wanted = await read_model(request, Wanted)
    return await run_in_threadpool(partial(_open, services_of(request), viewer_of(request), wanted))


def _open(services: Services, viewer: Viewer, wanted: Wanted) -> Response:
    _check_agency(viewer, wanted.agency)
    if wanted.name:
        check_text(wanted.name)
    now_ms = services.now_ms()
    asked = use.Wanted(**wanted.model_dump())
    with services.db.write() as session:
        _check_policy(services.need_policy(session), wanted)
        if wanted.officer and agency_of(session, services.ledger_id, wanted.officer) not in {None, wanted.agency}:
            raise ConflictError("That pseudonym belongs to another agency.", code="enrolment_state")
        expires_ms = now_ms + services.settings.enrolment_seconds * 1000
        opened = use.open_enrolment(session, services.ledger_id, asked, viewer.subject, expires_ms)
    link = f"{services.settings.base_url()}/enrol#e={opened.enrolment.enrolment}&t={opened.token}&o={services.origin}"
    told = {**_told(opened.enrolment), "challenge": opened.enrolment.challenge, "token": opened.token, "link": link}
    return Json(told, 201, {"Location": f"/v1/enrolments/{opened.enrolment.enrolment}"})


def _check_agency(viewer: Viewer, agency: str) -> None:
    """Let a registrar act for the own agency only, a founder for any; the rules ask the same of the event."""
    if agency != viewer.agency and "administrator" not in viewer.access:
        raise ForbiddenError("A registrar enrols officers of the own agency only.", code="not_your_agency")


def _check_policy(policy: Policy, wanted: Wanted) -> None:
    """Say now what the rules would say of the event later, when two people have signed in vain."""
    agency, role = policy.agency_by_id.get(wanted.agency), policy.role_by_code.get(wanted.role)
    if agency is None:
        raise RefusedError("The policy knows no such agency.", code="unknown_agency", agency=wanted.agency)
    if role is None or agency.kind not in role.agency_kinds or "administrator" in wanted.access:
        raise RefusedError("The policy gives that role to no agency of this kind.", code="role", role=wanted.role)
    if wanted.place not in policy.place_by_id:
        raise RefusedError("The policy knows no such place.", code="unknown_place", place=wanted.place)
    if parse_rfc3339(wanted.valid_from) >= parse_rfc3339(wanted.valid_until):
        raise RefusedError("The mandate ends before it begins.", code="mandate")


@router.post(
    "/v1/enrolments/{enrolment}/claim",
    **declare(
        public("The one-time token and the new key's signature are what counts."),
        {200: Says("Claimed; show the match code and wait for approval.", ref("Claimed"))},
        takes=Takes(Claim),
        problems=(401, 409, 410, 422),
        tag="people",
    ),
)
async def claim(request: Request, enrolment: str) -> Response:
    """Let a phone show its fresh key, once."""
    services, told = services_of(request), await read_model(request, Claim)
    return await run_in_threadpool(partial(_claim, services, enrolment, told))


def _claim(services: Services, enrolment: str, told: Claim) -> Response:
    jwk: dict[str, JsonValue] = told.jwk.model_dump(exclude_none=True)
    with services.db.write() as session:
        claimed = use.claim(
            session, services.ledger_id, services.origin, enrolment[:64], told.token, jwk, told.signature,
            services.now_ms(),
        )  # fmt: skip
    return Json({
        "enrolment": claimed.enrolment, "officer": claimed.officer, "agency": claimed.agency, "role": claimed.role,
        "place": claimed.place, "match_code": claimed.match_code, "origin": services.origin,
        "genesis": services.genesis,
        "ledger_key": services.keys.ledger.verifier().to_text(),
    })  # fmt: skip


@router.get(
    "/v1/enrolments/{enrolment}",
    **declare(REGISTRAR, {200: Says("How far it is.", ref("Enrolment"))}, problems=(404,), tag="people"),
)
def read_enrolment(request: Request, enrolment: str) -> Response:
    """Show how far an enrolment is, with the match code and the details that its event must carry."""
    services, viewer = services_of(request), viewer_of(request)
    with services.db.read_newest() as session:
        found = _visible(use.read_enrolment(session, services.ledger_id, enrolment[:64]), viewer)
    details = use.details_of(found) if found.status == "claimed" else None
    return Json({**_told(found), "match_code": found.match_code, "details": details, "event": found.event})


def _visible(found: Enrolment, viewer: Viewer) -> Enrolment:
    if found.agency != viewer.agency and "administrator" not in viewer.access:
        raise MissingError("There is no such enrolment.")
    return found


def _told(found: Enrolment) -> dict[str, Any]:
    return {
        "enrolment": found.enrolment, "status": found.status, "officer": found.officer, "agency": found.agency,
        "role": found.role, "place": found.place, "access": list(found.access), "valid_from": found.valid_from,
        "valid_until": found.valid_until, "expires_at": rfc3339_ms(found.expires_ms),
    }  # fmt: skip


@router.post(
    "/v1/enrolments/{enrolment}/approve",
    **declare(
        REGISTRAR,
        {
            201: Says("Recorded: the key is enrolled.", ref("Receipt")),
            200: Says("Approved before by the same event; the same receipt.", ref("Receipt")),
            202: Says("Recorded; waits.", ref("Receipt")),
        },
        takes=Takes(ref("Approval")),
        problems=(404, 409, 410, 422, 423),
        headers={SCENARIO_TIME: HEADERS[SCENARIO_TIME]},
        tag="people",
    ),
)
async def approve(request: Request, enrolment: str) -> Response:
    """Record the `key.enrol` that registrar and approver signed, if it says exactly what was claimed."""
    services, viewer = services_of(request), viewer_of(request)
    value = await read_json(request)
    received_ms, sweep_to_ms = received_at(request, services)
    proven = await run_in_threadpool(partial(_proven_approval, services, viewer, enrolment, value, received_ms))
    [answer] = await services.record([proven], sweep_to_ms=sweep_to_ms)
    if isinstance(answer, ServiceError):
        raise answer
    if answer.result == "accepted":
        await run_in_threadpool(partial(_note_approval, services, enrolment, answer))
    return answer_with(services, answer)


def _proven_approval(
    services: Services, viewer: Viewer, enrolment: str, value: JsonValue, received_ms: int
) -> ProvenEvent:
    if not isinstance(value, dict) or set(value) != {"event"}:
        raise MalformedError("The body is an object with `event`.", code="body_shape")
    with services.db.read_newest() as session:
        found = _visible(use.read_enrolment(session, services.ledger_id, enrolment[:64]), viewer)
    proven = services.prover.prove(value["event"], received_ms)
    if found.status == "approved" and found.event == proven.event.hash:
        return proven
    if proven.event.type.name != "key.enrol":
        raise ConflictError("The event enrols no key.", code="claim_mismatch")
    use.refuse_difference(found, proven.event.details.model_dump(mode="json", exclude_none=True), services.now_ms())
    return proven


def _note_approval(services: Services, enrolment: str, receipt: Receipt) -> None:
    """Note the approval; a crash before this leaves the key enrolled and the note to the event's replay."""
    with services.db.write() as session:
        use.note_approval(session, services.ledger_id, enrolment[:64], receipt.event)
