"""Lists at the desk: one question, told three ways, as a page with its filters, as CSV and as JSON.

A `Listing` says what may be asked and how the audit answers a page of it; the three routes follow from that. The JSON
is what the API's own door answers. Cursors are the API's, sealed for the caller and the question.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar
from urllib.parse import urlencode

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from app.db import ReadSession
from app.errors import MalformedError
from app.keys.grants import Viewer
from app.web.auth import Access, viewer_of
from app.web.desk.csvfile import MAX_ROWS, Column, Row, csv_file
from app.web.desk.paper import address, show
from app.web.desk.route import paper
from app.web.paging import Position, page, read_cursor, write_cursor
from app.web.services import Services, services_of

PAGE_ROWS = 50
MOST = 200
"""Rows that the audit tells at a time."""
Text = Annotated[str | None, Field(max_length=120)]
Size = Annotated[int | None, Field(ge=1, le=2**53 - 1)]
_PROBLEMS = (400, 404, 409, 410, 422)


class Filters(BaseModel):
    """What every list may be asked; parameters that it does not know are nobody's."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    limit: Annotated[int, Field(ge=1, le=MOST)] = PAGE_ROWS

    def asked(self) -> dict[str, Any]:
        """Return the filters that narrow the list."""
        return self.model_dump(exclude={"limit"}, exclude_none=True)


F = TypeVar("F", bound=Filters)
FilterModel = TypeVar("FilterModel", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Asked(Generic[F]):
    """One question to a list: who asks what."""

    services: Services
    viewer: Viewer
    filters: F


Fetch = Callable[[Asked[F], ReadSession, Position | None, int], dict[str, Any]]
"""Returns a page of the audit's: `items` and `next`, the position to go on after."""


@dataclass(frozen=True, slots=True)
class Listing(Generic[F]):
    """One list."""

    path: str
    template: str
    filters: type[F]
    fetch: Fetch[F]
    columns: tuple[Column, ...]
    choices: Callable[[], dict[str, Any]] = dict
    """What the form of filters offers beside free text."""

    def ask(self, request: Request) -> Asked[F]:
        """Read the question of a request."""
        return Asked(services_of(request), viewer_of(request), read_filters(request, self.filters))

    def as_page(self, request: Request) -> Response:
        """Answer as a page."""
        asked = self.ask(request)
        with asked.services.db.read() as session:
            told = self.fetch(asked, session, read_cursor(request), asked.filters.limit)
        return show(
            request, self.template, told=told, rows=told["items"], filters=asked.filters, choices=self.choices(),
            following=following(request, told["next"]), is_first="cursor" not in request.query_params,
            files=files(self.path, asked.filters), max_rows=MAX_ROWS,
        )  # fmt: skip

    def as_json(self, request: Request) -> Response:
        """Answer as the API's own door does."""
        asked = self.ask(request)
        with asked.services.db.read() as session:
            told = self.fetch(asked, session, read_cursor(request), asked.filters.limit)
        return page(request, told)

    def as_csv(self, request: Request) -> Response:
        """Answer as a file of at most `MAX_ROWS` rows."""
        asked = self.ask(request)
        with asked.services.db.read() as session:
            rows, last = _gathered(self.fetch, asked, session, read_cursor(request))
        name = self.path.removeprefix("/desk/").replace("/", "-")
        return csv_file(
            name, self.columns, rows, more=following(request, last), bom=request.query_params.get("bom") != "0"
        )


def _gathered(
    fetch: Fetch[F], asked: Asked[F], session: ReadSession, after: Position | None
) -> tuple[list[Row], Position | None]:
    """Gather pages until the list or the file is full; return the rows and where the list goes on."""
    rows: list[Row] = []
    while len(rows) < MAX_ROWS:
        told = fetch(asked, session, after, min(MOST, MAX_ROWS - len(rows)))
        rows += told["items"]
        after = told["next"]
        if after is None:
            break
    return rows, after


def serve(router: APIRouter, listing: Listing[Any], access: Access) -> None:
    """Give a list its three routes."""
    for ending, media_type, answer in (
        ("", "text/html", listing.as_page), (".csv", "text/csv", listing.as_csv),
        (".json", "application/json", listing.as_json),
    ):  # fmt: skip
        router.add_api_route(
            listing.path + ending, _endpoint(answer), methods=["GET"], **paper(access, media_type, problems=_PROBLEMS)
        )


def _endpoint(answer: Callable[[Request], Response]) -> Callable[[Request], Response]:
    """Return a function of a request alone, which is all that the framework shall look at."""

    def endpoint(request: Request) -> Response:
        return answer(request)

    return endpoint


def read_filters(request: Request, model: type[FilterModel]) -> FilterModel:
    """Read the filters of an address; a field that was left empty asks for nothing.

    Raises:
        MalformedError: `parameter`: one of them is out of its bounds.
    """
    given = {name: value for name, value in request.query_params.items() if name in model.model_fields and value}
    try:
        return model.model_validate(given)
    except ValidationError:
        raise MalformedError("A parameter of the request is not usable.", code="parameter") from None


def following(request: Request, position: Position | None) -> str | None:
    """Return the address of the next page, None after the last."""
    if position is None:
        return None
    pairs = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
    return f"{request.url.path}?{urlencode([*pairs, ('cursor', write_cursor(request, position))])}"


def files(path: str, filters: Filters) -> dict[str, str]:
    """Return the addresses of the same list as files."""
    return {ending: address(f"{path}.{ending}", filters.asked()) for ending in ("csv", "json")}
