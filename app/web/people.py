"""Keys, officers and agencies: who is enrolled, and whose names a registrar may see and erase."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from app.canon import JsonValue
from app.clock import rfc3339_ms
from app.db import ReadSession
from app.keys import people as use
from app.keys.grants import Viewer
from app.keys.records import all_keys, public_key
from app.keys.state import Key
from app.units.documents import Policy
from app.web.answers import Json
from app.web.auth import allow, anybody_enrolled, viewer_of
from app.web.declare import Says, declare, ref
from app.web.paging import page, text_after
from app.web.services import Services, services_of

router = APIRouter()
MAX_PAGE = 500
_EVERYBODYS = frozenset({"administrator", "root", "service", "admission"})


@router.get(
    "/v1/keys",
    **declare(
        anybody_enrolled(),
        {200: Says("Keys, a page, in order of their ids.", ref("KeyPage"))},
        problems=(400, 422),
        tag="people",
    ),
)
def list_keys(request: Request, officer: str | None = None, cursor: str | None = None) -> Response:
    """List keys: the ledger's own for everybody, officers' of the own agency, all for auditors."""
    del cursor
    services, viewer, after = services_of(request), viewer_of(request), text_after(request)
    with services.db.read() as session:
        found = [
            key for key in _visible(session, services, viewer)
            if (after is None or key.kid > after) and officer in {None, key.officer}
        ]  # fmt: skip
    following = found[MAX_PAGE - 1].kid if len(found) > MAX_PAGE else None
    return page(request, {"items": [_key(key) for key in found[:MAX_PAGE]], "next": following})


def _visible(session: ReadSession, services: Services, viewer: Viewer) -> Iterator[Key]:
    policy = services.policy(session)
    for key in all_keys(session, services.ledger_id):
        if key.kind in _EVERYBODYS or key.kid == viewer.subject or _sees(viewer, key, policy):
            yield key


def _sees(viewer: Viewer, key: Key, policy: Policy | None) -> bool:
    if not use.sees_officer(viewer, key.agency):
        return False
    return viewer.place is None or (
        policy is not None and key.place is not None and policy.within(key.place, viewer.place)
    )


def _key(key: Key) -> dict[str, Any]:
    jwk: dict[str, JsonValue] = public_key(key).jwk()
    return {
        "kid": key.kid, "jwk": jwk, "kind": key.kind, "officer": key.officer, "agency": key.agency, "role": key.role,
        "place": key.place, "access": list(key.access), "valid_from": _moment(key.valid_from_ms),
        "valid_until": _moment(key.valid_until_ms), "enrolled_index": key.enrolled_index,
        "revoked_index": key.revoked_index, "compromised_since": _moment(key.compromised_since_ms),
    }  # fmt: skip


def _moment(ms: int | None) -> str | None:
    return rfc3339_ms(ms) if ms else None


@router.get(
    "/v1/officers",
    **declare(
        allow("registrar", "auditor", "administrator"),
        {200: Says("Officers, a page; names for registrars of their own agency only.", ref("OfficerPage"))},
        problems=(400, 422),
        tag="people",
    ),
)
def list_officers(request: Request, cursor: str | None = None) -> Response:
    """List pseudonyms with their keys; a name stands beside only where the caller may see it."""
    del cursor
    services, viewer, after = services_of(request), viewer_of(request), text_after(request)
    with services.db.read() as session:
        seen = {key.officer for key in _visible(session, services, viewer)}
        found = [
            one for one in use.officers(session, services.ledger_id, viewer)
            if one.officer in seen and (after is None or one.officer > after)
        ]  # fmt: skip
    items = [
        {
            "officer": one.officer, "agency": one.agency, "name": one.name, "erased": one.erased,
            "keys": [{"kid": key.kid, "role": key.role, "revoked_index": key.revoked_index} for key in one.keys],
        }
        for one in found[:MAX_PAGE]
    ]  # fmt: skip
    following = found[MAX_PAGE - 1].officer if len(found) > MAX_PAGE else None
    return page(request, {"items": items, "next": following})


@router.delete(
    "/v1/officers/{officer}/name",
    **declare(allow("registrar"), {204: Says("Forgotten, for good.")}, problems=(404,), tag="people"),
)
async def erase_name(request: Request, officer: str) -> Response:
    """Forget an officer's name; the pseudonym stays on the ledger and means nobody."""
    await run_in_threadpool(partial(_erase, services_of(request), viewer_of(request), officer))
    return Response(None, 204)


def _erase(services: Services, viewer: Viewer, officer: str) -> None:
    with services.db.write() as session:
        use.erase_name(session, services.ledger_id, viewer, officer[:80], services.now_ms())


@router.get(
    "/v1/agencies",
    **declare(
        anybody_enrolled(),
        {200: Says("Agencies of the policy in force.", ref("AgencyList"))},
        problems=(409,),
        tag="people",
    ),
)
def list_agencies(request: Request) -> Response:
    """List the agencies that the policy in force names."""
    services = services_of(request)
    with services.db.read() as session:
        policy = services.need_policy(session)
    items = [{"agency": one.id, "name": one.name, "kind": one.kind} for one in policy.agencies]
    return Json({"items": items, "next": None})
