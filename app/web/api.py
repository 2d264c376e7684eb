"""The doors together: every router, the error shape, and the complete description of both.

`build` wires no room: it only needs `app.state.services` to be there when requests come.
"""

from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.responses import Response

from app.config import Settings
from app.web import (
    claims,
    documents,
    enrolments,
    events,
    health,
    incidents,
    inspections,
    labels,
    ledger,
    ledgers,
    oauth,
    outstanding,
    people,
    places,
    plans,
    problems,
    records,
    site,
    units,
)
from app.web.answers import Json
from app.web.auth import public
from app.web.declare import Says, declare
from app.web.desk import doors as desk
from app.web.express import DOORS
from app.web.gate import Gate
from app.web.history import HistoryDoor
from app.web.metrics import Metrics
from app.web.schemas import SCHEMAS, SECURITY

ROUTERS: tuple[APIRouter, ...] = (
    events.router, documents.router, plans.router, labels.router, units.router, records.router, incidents.router,
    outstanding.router, claims.router, inspections.router, places.router, enrolments.router, people.router,
    ledger.router, ledgers.router, oauth.router, site.router, health.router, *desk.ROUTERS,
)  # fmt: skip
DESCRIPTION = (
    "Shared evidence of who held which ballots, when, that no single agency can rewrite. Events are signed by the "
    "officers' own keys; answers carry proofs that verify offline."
)


def install(app: FastAPI, settings: Settings, metrics: Metrics) -> None:
    """Put every route, the error shape, the bounds and the headers onto an application."""
    for router in ROUTERS:
        app.include_router(router)
    problems.install(app)
    _describe(app)
    app.add_middleware(HistoryDoor)  # inside the gate
    app.add_middleware(Gate, metrics=metrics, limits=limits(settings), doors=DOORS, large_bytes=settings.large_bytes)


def limits(settings: Settings) -> dict[str, int]:
    """Return the largest body by path, bytes; every other path takes 64 KiB."""
    return {
        "/v1/events": settings.max_event_bytes,
        "/v1/events/batch": settings.max_batch_bytes,
        "/v1/documents": settings.max_document_bytes,
        "/v1/labels": settings.max_event_bytes + 24 * settings.max_label_block,
    }


def _describe(app: FastAPI) -> None:
    """Serve `/openapi.json` with the shapes that raw doors share; made once."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes)
            _drop_guesses(made)
            components = made.setdefault("components", {})
            components["schemas"] = SCHEMAS
            components["securitySchemes"] = SECURITY
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
    said = declare(public("How to speak with this service."), {200: Says("OpenAPI 3.1.", {"type": "object"})})
    app.add_api_route("/openapi.json", lambda: _described(openapi()), methods=["GET"], **said)


def _drop_guesses(made: dict[str, Any]) -> None:
    """Take out the shape that FastAPI supposes for parameters; ours are problem documents, declared by hand."""
    for operations in made["paths"].values():
        for operation in operations.values():
            if "application/json" in operation["responses"].get("422", {}).get("content", {}):
                del operation["responses"]["422"]


def _described(schema: dict[str, Any]) -> Response:
    return Json(schema, 200, {"Cache-Control": "no-cache"})
