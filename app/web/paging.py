"""Opaque cursors: where the next page begins, signed, and good for one caller and one question only.

A cursor holds the position that the use case gave (a leaf index, an id). It is bound to the caller, the route and
every filter, so nobody pages through somebody else's list, and it holds on every process of a ledger.
"""

import hmac
from collections.abc import Mapping
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

import orjson
from starlette.requests import Request
from starlette.responses import Response

from app.canon import b64url_decode, b64url_encode, jcs
from app.errors import MalformedError, ServiceError
from app.web.answers import Json
from app.web.auth import viewer_of
from app.web.services import services_of

MAC_BYTES = 16
MAX_CURSOR_CHARACTERS = 400
_NOT_FILTERS = frozenset({"cursor", "limit"})
Position = str | int


def _seal(request: Request, body: bytes) -> bytes:
    filters = sorted((name, value) for name, value in request.query_params.multi_items() if name not in _NOT_FILTERS)
    asked = jcs([viewer_of(request).subject, request.url.path, [list(pair) for pair in filters]])
    key = services_of(request).paging_key
    return hmac.new(key, sha256(asked).digest() + body, sha256).digest()[:MAC_BYTES]


def write_cursor(request: Request, position: Position) -> str:
    """Return the cursor of a position for this caller and question."""
    body = orjson.dumps(position)
    return b64url_encode(_seal(request, body) + body)


def read_cursor(request: Request) -> Position | None:
    """Return the position at which the asked page begins, None for the first page.

    Raises:
        MalformedError: `cursor`: not one of ours, or made for another caller or question.
    """
    text = request.query_params.get("cursor")
    if text is None:
        return None
    try:
        data = b64url_decode(text) if len(text) <= MAX_CURSOR_CHARACTERS else b""
    except ServiceError:
        data = b""
    seal, body = data[:MAC_BYTES], data[MAC_BYTES:]
    if not body or not hmac.compare_digest(seal, _seal(request, body)):
        raise MalformedError("The cursor was made for another question; begin at the first page.", code="cursor")
    position: Position = orjson.loads(body)
    return position


def index_after(request: Request) -> int | None:
    """Return the cursor's position as a leaf index."""
    position = read_cursor(request)
    return int(position) if position is not None else None


def text_after(request: Request) -> str | None:
    """Return the cursor's position as an id."""
    position = read_cursor(request)
    return str(position) if position is not None else None


def page(request: Request, answer: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    """Return a page: its `next` position becomes a cursor, and a `Link` to follow."""
    position = answer.get("next")
    if position is None:
        return Json({**answer, "next": None}, 200, headers)
    cursor = write_cursor(request, position)
    pairs = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
    address = f"{request.url.path}?{urlencode([*pairs, ('cursor', cursor)])}"
    return Json({**answer, "next": cursor}, 200, {"Link": f'<{address}>; rel="next"', **(headers or {})})
