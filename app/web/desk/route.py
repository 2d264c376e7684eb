"""How a route of the desk answers a browser when something is wrong: with a page, not with a problem document.

A reader without a session goes to the sign-in page and from there back to where he wanted. Programs, which do not ask
for `text/html`, get the same problem documents as everywhere.
"""

from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import urlencode

from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.errors import BusyError, ServiceError, UnprovenError
from app.web.auth import Access
from app.web.declare import Says, declare
from app.web.desk.language import code_of, keep_language
from app.web.desk.paper import show
from app.web.desk.session import HOME, close_session, session_token
from app.web.problems import body_of, status_of

SIGN_IN = f"{HOME}/masuk"
_HTML = {"type": "string"}

SENTENCES = {
    "label_checksum": "Nomor ini salah terbaca. Periksa kembali setiap huruf dan angka.",
    "label_retired": "Label ini sudah diganti atau ditarik. Pindai label penggantinya.",
    "unit_id": "Ini bukan nomor unit.",
    "parameter": "Salah satu saringan tidak dapat dipakai. Kosongkan lalu coba lagi.",
    "cursor": "Alamat halaman berikutnya tidak berlaku di sini. Mulai lagi dari halaman pertama.",
    "size": "Buku besar belum pernah sebesar itu.",
    "no_policy": "Belum ada kebijakan yang berlaku; seorang administrator menerbitkannya lebih dahulu.",
    "media_type": "Formulir ini tidak dapat dibaca.",
    "bad_request": "Permintaan ini tidak dapat dibaca.",
}
"""What a page says of a code; of any other what it says of the status."""
BY_STATUS = {
    401: "Sesi Anda tidak berlaku lagi. Silakan masuk kembali.",
    403: "Peran Anda tidak membuka halaman ini.",
    404: "Tidak ada di sini, atau tidak untuk Anda.",
    503: "Layanan sedang sibuk. Coba lagi beberapa saat.",
}
OTHERWISE = "Permintaan ini tidak dapat dijawab."


class DeskRoute(APIRoute):
    """A route of the desk."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers, errors included."""
        inner = super().get_route_handler()

        async def answer(request: Request) -> Response:
            if not _is_browser(request):
                return await inner(request)
            wanted = code_of(request.query_params.get("lang"))
            if wanted is not None and request.method == "GET":
                moved = RedirectResponse(_without_language(request), 303)
                keep_language(request, moved, wanted)
                return moved
            try:
                return await inner(request)
            except ServiceError as error:
                return await run_in_threadpool(page_of, request, error)

        return answer


def page_of(request: Request, error: ServiceError) -> Response:
    """Return the page that tells of an error, or the way to the sign-in page."""
    if isinstance(error, UnprovenError) and request.method == "GET":
        return _to_sign_in(request)
    told = body_of(error)
    status, code = status_of(error), str(told["code"])
    sentence = SENTENCES.get(code, BY_STATUS.get(status, OTHERWISE))
    headers = {"Retry-After": str(max(1, error.retry_after_seconds))} if isinstance(error, BusyError) else {}
    return show(request, "problem.html", status, headers, sentence=sentence, code=code, incident=told.get("incident"))


def paper(access: Access, media_type: str = "text/html", *, problems: tuple[int, ...] = ()) -> dict[str, Any]:
    """Return the keyword arguments of a desk's route.

    Pages are for people: they stand in the table of accesses and in no description of the API, which would promise
    their HTML to programs.
    """
    said = declare(access, {200: Says("A page of the desk.", _HTML, media_type)}, problems=problems, tag="desk")
    return {**said, "include_in_schema": False}


def _is_browser(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")


def _without_language(request: Request) -> str:
    pairs = [(name, value) for name, value in request.query_params.multi_items() if name != "lang"]
    return f"{request.url.path}?{urlencode(pairs)}" if pairs else request.url.path


def _to_sign_in(request: Request) -> Response:
    query = f"?{request.url.query}" if request.url.query else ""
    wanted = request.url.path + query
    asked = {"ke": wanted} if wanted != HOME else {}
    moved = RedirectResponse(f"{SIGN_IN}?{urlencode(asked)}" if asked else SIGN_IN, 303)
    if session_token(request) is not None:
        close_session(request, moved)
    return moved
