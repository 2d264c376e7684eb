"""How a route says everything about itself: who may, what it takes, what it answers.

Bodies are read raw and strictly, so FastAPI cannot infer them; what a route declares here is what `/openapi.json`
shows. Every status that a route can answer is listed, and a test of hostile requests holds it to that.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import Depends
from pydantic import BaseModel
from starlette.responses import Response

from app.web.auth import Access
from app.web.problems import MEDIA_TYPE

PROBLEM = {"$ref": "#/components/schemas/Problem"}
_WORDS = {
    400: "Malformed.", 401: "Not proven.", 403: "Not allowed.", 404: "Not there, or not for this caller.",
    405: "Another method.",
    408: "The body came too slowly.", 409: "The state says no.", 410: "Gone.",
    413: "Too large.", 414: "The address is too long.",
    415: "Another media type.", 422: "Contradicts itself, the policy or the plan.", 423: "Quarantine or hold.",
    431: "The head of the request is too large.",
    500: "A failure of ours; the document names an incident.", 503: "Busy; try again after `Retry-After` seconds.",
}  # fmt: skip
_ANYWHERE = (400, 414, 431, 500, 503)  # the gate answers before any route is found
_BODY = (408, 413, 415)


@dataclass(frozen=True, slots=True)
class Says:
    """One good answer of a route: what it means and what it holds."""

    what: str
    schema: Mapping[str, Any] | type[BaseModel] | None = None
    media_type: str = "application/json"

    def content(self) -> dict[str, Any]:
        """Return the response object of OpenAPI."""
        if self.schema is None:
            return {"description": self.what}
        return {"description": self.what, "content": {self.media_type: {"schema": schema_of(self.schema)}}}


@dataclass(frozen=True, slots=True)
class Takes:
    """The body of a route."""

    schema: Mapping[str, Any] | type[BaseModel]
    media_type: str = "application/json"
    example: Any = None


def ref(name: str) -> dict[str, str]:
    """Point at a schema of `app.web.schemas`."""
    return {"$ref": f"#/components/schemas/{name}"}


def array_of(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Describe a list."""
    return {"type": "array", "items": dict(schema)}


def schema_of(schema: Mapping[str, Any] | type[BaseModel]) -> dict[str, Any]:
    """Return a JSON schema that stands alone: a model's own definitions are written out where they are used."""
    if not isinstance(schema, type):
        return dict(schema)
    made = schema.model_json_schema(ref_template="{model}")
    written: dict[str, Any] = _written_out(made, made.pop("$defs", {}))
    return written


def _written_out(part: Any, definitions: Mapping[str, Any]) -> Any:
    """Replace references into definitions that an OpenAPI document has no place for; none of ours is recursive."""
    if isinstance(part, list):
        return [_written_out(each, definitions) for each in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        return _written_out(
            {**definitions[part["$ref"]], **{k: v for k, v in part.items() if k != "$ref"}}, definitions
        )
    return {name: _written_out(value, definitions) for name, value in part.items()}


def declare(
    access: Access, says: Mapping[int, Says], *, problems: tuple[int, ...] = (), takes: Takes | None = None,
    headers: Mapping[str, str] | None = None, tag: str = "",
) -> dict[str, Any]:  # fmt: skip
    """Return the keyword arguments of a route.

    Args:
        access: Who may.
        says: Good answers by status, the usual one first.
        problems: Statuses of problems beside those that follow from access and body.
        takes: The body, if any.
        headers: Request headers that the route reads, with what they mean.
        tag: Topic, for people who read the API's pages.
    """
    statuses = {*problems, *_ANYWHERE}
    statuses.update((401, 403) if access.roles else ())
    statuses.update(_BODY if takes is not None else ())
    responses: dict[int | str, dict[str, Any]] = {status: one.content() for status, one in says.items()}
    for status in sorted(statuses):
        content = {MEDIA_TYPE: {"schema": PROBLEM}}
        responses[status] = {"description": _WORDS[status], "content": content}
    extra: dict[str, Any] = {"x-access": access.declared(), "security": _security(access)}
    if takes is not None:
        media: dict[str, Any] = {"schema": schema_of(takes.schema)}
        if takes.example is not None:
            media["example"] = takes.example
        extra["requestBody"] = {"required": True, "content": {takes.media_type: media}}
    if headers:
        extra["parameters"] = [
            {"name": name, "in": "header", "required": False, "description": what, "schema": {"type": "string"}}
            for name, what in headers.items()
        ]
    return {
        "status_code": next(iter(says)), "response_class": Response, "responses": responses, "openapi_extra": extra,
        "response_model": None, "dependencies": [Depends(access)] if access.roles else [],
        "tags": [tag] if tag else None,
    }  # fmt: skip


def _security(access: Access) -> list[dict[str, list[str]]]:
    return [{"bearer": []}] if access.roles else []
