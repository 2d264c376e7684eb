"""`POST /oauth/token`: client_credentials, by an enrolled key (RFC 7523) or by a client's secret (RFC 6749).

Its answers have OAuth's shape, not problem documents: libraries expect `error` and `error_description`.
"""

from collections.abc import Mapping
from functools import partial
from urllib.parse import parse_qsl, unquote_plus

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from app.db import WriteSession
from app.errors import MalformedError, UnprovenError
from app.keys.clients import prove_secret
from app.keys.grants import Viewer
from app.keys.tokens import decode_basic, issue_token, narrowed, prove_assertion, spend_assertion, viewer_of_key
from app.web.answers import JSON, Json, read_body
from app.web.auth import public
from app.web.declare import Says, Takes, declare, ref
from app.web.services import Services, services_of

router = APIRouter()
FORM = "application/x-www-form-urlencoded"
GRANT = "client_credentials"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
MAX_FIELDS = 16


class OAuthError(Exception):
    """An answer in OAuth's own shape, RFC 6749 section 5.2."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        """Keep the error's code, a sentence, and the status."""
        super().__init__(error)
        self.error, self.description, self.status = error, description, status


_TOKEN = declare(
    public("Whoever asks proves himself in the request."),
    {200: Says("A bearer token.", ref("Token"))},
    takes=Takes(ref("TokenRequest"), FORM),
    tag="access",
)
_TOKEN["responses"].pop(415)  # another media type is OAuth's `invalid_request`
_TOKEN["responses"][400]["content"] |= {JSON: {"schema": ref("OAuthError")}}
_TOKEN["responses"][401] = Says("The client was not accepted.", ref("OAuthError")).content()


@router.post("/oauth/token", **_TOKEN)
async def token(request: Request) -> Response:
    """Give a short-lived bearer token to a proven caller."""
    services = services_of(request)
    basic = request.headers.get("authorization", "")
    try:
        form = _form(await _body(request))
        given = await run_in_threadpool(partial(_grant, services, form, basic))
    except OAuthError as no:
        headers = {"WWW-Authenticate": 'Basic realm="ballot-custody"'} if no.status == 401 and basic else {}
        return Json({"error": no.error, "error_description": no.description}, no.status, headers)
    return Json(given, 200, {"Pragma": "no-cache"})


async def _body(request: Request) -> bytes:
    try:
        return await read_body(request, FORM)
    except MalformedError as error:
        raise OAuthError("invalid_request", f"The body is {FORM}.") from error


def _form(data: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(data.decode("ascii"), keep_blank_values=True, strict_parsing=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        raise OAuthError("invalid_request", "The form cannot be read.") from None
    if len({name for name, _ in pairs}) != len(pairs):
        raise OAuthError("invalid_request", "A parameter stands once.")
    return dict(pairs)


def _grant(services: Services, form: Mapping[str, str], basic: str) -> dict[str, object]:
    if form.get("grant_type") != GRANT:
        raise OAuthError("unsupported_grant_type", f"Only {GRANT} is known here.")
    seconds = services.settings.access_token_seconds
    try:
        with services.db.write() as session:
            viewer = _proven(services, session, form, basic)
            viewer = narrowed(viewer, form.get("scope", ""))
            expires_ms = services.now_ms() + seconds * 1000
            bearer = issue_token(session, services.ledger_id, viewer, expires_ms)
    except UnprovenError as error:
        raise OAuthError("invalid_client", error.detail, 401) from None
    except MalformedError as error:
        raise OAuthError("invalid_scope", error.detail) from None
    return {
        "access_token": bearer, "token_type": "Bearer", "expires_in": seconds, "scope": " ".join(sorted(viewer.access)),
    }  # fmt: skip


def _proven(services: Services, session: WriteSession, form: Mapping[str, str], basic: str) -> Viewer:
    """Prove the caller in exactly one way."""
    ways = [bool(basic), "client_assertion" in form, "client_secret" in form]
    if sum(ways) != 1 or ways[2]:
        raise OAuthError("invalid_request", "Use either a client assertion or HTTP Basic, not both and nothing else.")
    if basic:
        return _by_secret(services, session, basic)
    return _by_assertion(services, session, form)


def _by_secret(services: Services, session: WriteSession, basic: str) -> Viewer:
    given = decode_basic(basic)
    name, secret = map(unquote_plus, given) if given else ("", "")
    client = prove_secret(session, services.ledger_id, name[:80], secret[:200])
    if client is None:
        raise UnprovenError("The client or its secret is not accepted.", code="credentials")
    return client.viewer()


def _by_assertion(services: Services, session: WriteSession, form: Mapping[str, str]) -> Viewer:
    if form.get("client_assertion_type") != ASSERTION_TYPE:
        raise OAuthError("invalid_request", f"client_assertion_type is {ASSERTION_TYPE}.")
    assertion = prove_assertion(
        session, services.ledger_id, form["client_assertion"], services.token_audiences(),
        services.now_ms(), services.mandate_ms(session),
    )  # fmt: skip
    if form.get("client_id", assertion.key.kid) != assertion.key.kid:
        raise UnprovenError("The client id is not the assertion's.", code="credentials")
    spend_assertion(session, services.ledger_id, assertion)
    return viewer_of_key(assertion.key)
