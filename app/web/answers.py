"""Answers in our own JSON, and bodies read strictly: what every door shares."""

from collections.abc import Mapping
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, TypeAdapter
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from app.canon import JsonValue, parse_json
from app.errors import MalformedError
from app.strict import read_strict

M = TypeVar("M", bound=BaseModel)
JSON = "application/json"
IMMUTABLE = "public, max-age=31536000, immutable"
MAX_BODY_BYTES = 64 * 1024


def encode(value: object) -> bytes:
    """Write a value as compact JSON; member order is ours to give."""
    return orjson.dumps(value)


class Json(Response):
    """An answer in JSON that is not to be stored by anybody."""

    media_type = JSON

    def __init__(self, value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        """Answer a value.

        Args:
            value: JSON-ready.
            status: Status code.
            headers: More headers; `Cache-Control` is `no-store` unless given.
        """
        super().__init__(encode(value), status, {"Cache-Control": "no-store", **(headers or {})})


async def read_body(request: Request, media_type: str = JSON) -> bytes:
    """Read a whole body of one media type; its size and pace were bounded by the middleware.

    Raises:
        MalformedError: `media_type`, another one, or an encoded body; `bad_request`, it broke off.
    """
    given, _, parameters = request.headers.get("content-type", "").partition(";")
    charset = parameters.strip().lower().replace('"', "")
    if given.strip().lower() != media_type or charset not in {"", "charset=utf-8"}:
        raise MalformedError(f"This door takes {media_type}.", code="media_type")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise MalformedError("This door takes bodies that are not compressed.", code="media_type")
    try:
        return await request.body()
    except ClientDisconnect:
        raise MalformedError("The body broke off.", code="bad_request") from None


async def read_json(request: Request, max_bytes: int = MAX_BODY_BYTES) -> JsonValue:
    """Read a body as strict JSON.

    Raises:
        MalformedError: As `read_body` and `parse_json`.
        TooLargeError: More than `max_bytes`.
    """
    return parse_json(await read_body(request), max_bytes=max_bytes)


async def read_model(request: Request, model: type[M], max_bytes: int = MAX_BODY_BYTES) -> M:
    """Read a body as one of our strict models.

    Raises:
        MalformedError: `body_shape` with the place of the first wrong member, beside those of `read_json`.
    """
    data = await read_body(request)
    parse_json(data, max_bytes=max_bytes)
    return read_strict(TypeAdapter(model), data, "body_shape")


def preferences(request: Request) -> dict[str, str]:
    """Return what a client prefers (RFC 7240), lower case."""
    found: dict[str, str] = {}
    for part in ",".join(request.headers.getlist("prefer")).split(","):
        name, _, value = part.partition(";")[0].strip().lower().partition("=")
        found.setdefault(name.strip(), value.strip().strip('"'))
    return found


def query_of(request: Request) -> dict[str, Any]:
    """Return the query's parameters, the last of each name."""
    return dict(request.query_params)
