"""Signing in and out: client id and secret, as `POST /oauth/token` takes them, become a session of this browser.

Nothing about who may see what is decided here: the token is made for the client as it stands, and is looked at again
with every page. The secret is compared in constant time where it always is (`app.keys.clients`), and stands in no
answer, address or log.
"""

import re
from functools import partial

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.keys.clients import prove_secret
from app.keys.grants import Viewer
from app.keys.tokens import issue_token, revoke_token
from app.web.auth import public
from app.web.declare import Says, Takes, declare
from app.web.desk.forms import FORM, read_form
from app.web.desk.paper import show
from app.web.desk.route import SIGN_IN, DeskRoute, paper
from app.web.desk.session import (
    HOME,
    close_session,
    form_seed,
    is_ours,
    keep_seed,
    mark,
    open_session,
    seconds_of,
    session_token,
)
from app.web.services import Services, services_of

router = APIRouter(route_class=DeskRoute)
MAX_NAME, MAX_SECRET = 80, 200
_LOCAL = re.compile(r"/desk(?:[/?][!-\[\]-~]{0,1500})?")
"""Where a sign-in may lead back to: a page of the desk, in printable ASCII without a backslash."""
NOT_ACCEPTED = "Nama klien atau rahasianya tidak cocok. Periksa keduanya, lalu coba lagi."
FORM_TOO_OLD = "Formulir ini terlalu lama terbuka atau bukan dari halaman ini. Silakan isi sekali lagi."
_POSTED = {
    **declare(
        public("Whoever signs in proves himself in the form; whoever signs out shows its mark."),
        {303: Says("On to the page that was wanted.")},
        problems=(401, 403),
        takes=Takes({"type": "object"}, FORM),
    ),
    "include_in_schema": False,
}


def local(wanted: str) -> str:
    """Return the page of the desk that was wanted; the desk itself for anything that is none."""
    return wanted if _LOCAL.fullmatch(wanted) else HOME


@router.get(SIGN_IN, **paper(public("Who has no session yet must be able to begin one.")))
def get_sign_in(request: Request) -> Response:
    """Show the form."""
    return _form(request, local(request.query_params.get("ke", HOME)))


@router.post(SIGN_IN, **_POSTED)
async def post_sign_in(request: Request) -> Response:
    """Begin a session for a client that knows its secret."""
    fields = await read_form(request)
    wanted = local(fields.get("ke", HOME))
    if not is_ours(request, fields.get("tanda", ""), signed_in=False):
        return await run_in_threadpool(partial(_form, request, wanted, 403, FORM_TOO_OLD))
    return await run_in_threadpool(_signed_in, request, fields, wanted)


@router.post(f"{HOME}/keluar", **_POSTED)
async def post_sign_out(request: Request) -> Response:
    """End the session: the token counts no more, and the browser forgets it."""
    fields = await read_form(request)
    token = session_token(request)
    if token is not None and not is_ours(request, fields.get("tanda", ""), signed_in=True):
        return await run_in_threadpool(
            partial(show, request, "problem.html", 403, sentence=FORM_TOO_OLD, code="forbidden", incident=None)
        )
    if token is not None:
        await run_in_threadpool(_end, services_of(request), token)
    moved = RedirectResponse(SIGN_IN, 303)
    close_session(request, moved)
    return moved


def _form(request: Request, wanted: str, status: int = 200, wrong: str = "") -> Response:
    seed = form_seed(request)
    answer = show(
        request, "sign_in.html", status, wanted=wanted, wrong=wrong, mark=mark(request, seed),
        minutes=seconds_of(services_of(request)) // 60, is_in=session_token(request) is not None,
    )  # fmt: skip
    keep_seed(request, answer, seed)
    return answer


def _signed_in(request: Request, fields: dict[str, str], wanted: str) -> Response:
    services = services_of(request)
    viewer = _viewer(services, fields.get("klien", "").strip(), fields.get("rahasia", "").strip())
    if viewer is None:
        return _form(request, wanted, 401, NOT_ACCEPTED)
    before = session_token(request)
    with services.db.write() as session:
        if before is not None:
            revoke_token(session, services.ledger_id, before)
        expires_ms = services.now_ms() + seconds_of(services) * 1000
        token = issue_token(session, services.ledger_id, viewer, expires_ms)
    moved = RedirectResponse(wanted, 303)
    open_session(request, moved, token)
    return moved


def _viewer(services: Services, name: str, secret: str) -> Viewer | None:
    """Prove a client without taking the write lock, which a guesser must not be able to hold."""
    with services.db.read_newest() as session:
        client = prove_secret(session, services.ledger_id, name[:MAX_NAME], secret[:MAX_SECRET])
    return client.viewer() if client is not None else None


def _end(services: Services, token: str) -> None:
    with services.db.write() as session:
        revoke_token(session, services.ledger_id, token)
