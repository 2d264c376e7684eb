"""Schemathesis as every access role over the running service, and proof that the same scan would find a failure.

Bounded by the number of examples, never by time, so that it does the same on a slow machine; `CUSTODY_LONG=1`
scans for some ten minutes, all phases.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from app.audit.fsck import fsck
from app.web.answers import Json
from app.web.auth import allow, public
from app.web.declare import Says, Takes, declare
from tests.web.fuzzing import LONG, Report, Scan, quiet
from tests.web.live import living
from tests.web.stocked import Stocked, public_side

EXAMPLES = 400 if LONG else 12
PHASES = ("examples", "coverage", "fuzzing", "stateful") if LONG else ("coverage", "fuzzing")
OPENED_SHARE = 0.9
PLANTED_EXAMPLES = 30


@pytest.fixture
def stocked(sqlite_template: Path, tmp_path: Path) -> Iterator[Stocked]:
    shutil.copyfile(sqlite_template, tmp_path / "custody.db")
    more = public_side(tmp_path)
    with quiet(), living(f"sqlite:///{tmp_path / 'custody.db'}", tmp_path / "data", **more) as live:
        yield Stocked(live)


@pytest.mark.slow
def test_no_door_fails_or_says_what_it_did_not_declare_as_any_role(stocked: Stocked) -> None:
    report = Scan(stocked).run(EXAMPLES, PHASES)
    assert report.failures == [], "\n\n".join(dict.fromkeys(report.failures))
    assert len(report.labels) > 40
    silent = [label for label in report.labels if not report.told(label)]
    assert silent == [], "never asked"
    closed = report.closed()
    assert len(closed) <= (1 - OPENED_SHARE) * len(report.labels), closed
    assert len(report.closed_to()) <= (1 - OPENED_SHARE) * sum(map(len, report.labels.values())), report.closed_to()
    assert report.requests > 20 * len(report.labels)
    recorded = stocked.verdicts()
    assert recorded["accepted"] > 100, recorded  # what was signed was right: it reached the rules and passed
    assert recorded["refused"] < recorded["accepted"] // 10, recorded
    found = fsck(stocked.live.db, high_water=stocked.live.settings.high_water_file())
    assert found.clean, found.as_json()


# -- control: what is planted is found -------------------------------------------------------------------


def plant(stocked: Stocked, route: Any, *, method: str = "GET", access: Any = None, **declared: Any) -> Report:
    """Add a door to the running application and scan it alone."""
    app = stocked.live.server.config.app
    says = {200: Says("Fine.", {"type": "object", "required": ["items"], "properties": {"items": {"type": "array"}}})}
    told = declare(access or public("Planted."), says, problems=(422,), **declared)
    app.add_api_route("/v1/planted", route, methods=[method], **told)
    app.openapi_schema = None
    return Scan(stocked).run(PLANTED_EXAMPLES, only="planted")


def test_an_honest_door_is_not_accused(stocked: Stocked) -> None:
    def route(n: Annotated[int, Query(ge=0, le=9)] = 1) -> Response:
        return Json({"items": [n]})

    report = plant(stocked, route)
    assert report.failures == []
    assert report.opened("GET /v1/planted")


def test_a_planted_500_is_found(stocked: Stocked) -> None:
    def route(n: int = 1) -> Response:
        return Json({"items": [1 // max(n, 0)]})

    assert any("not_a_server_error" in failure for failure in plant(stocked, route).failures)


def test_a_500_planted_behind_a_body_and_a_token_is_found(stocked: Stocked) -> None:
    async def route(request: Request) -> Response:
        return Json({"items": [(await request.json())["name"].upper()]})

    takes = Takes({"type": "object", "properties": {"name": {"type": "string"}}})
    report = plant(stocked, route, method="POST", access=allow("auditor"), takes=takes)
    assert any("not_a_server_error" in failure for failure in report.failures)


def test_a_planted_undocumented_status_is_found(stocked: Stocked) -> None:
    def route(n: int = 1) -> Response:
        return Json({"items": []}, 418 if n < 0 else 200)

    assert any("status_code_conformance" in failure for failure in plant(stocked, route).failures)


def test_a_planted_wrong_shape_is_found(stocked: Stocked) -> None:
    def route(n: int = 1) -> Response:
        return Json({"items": []} if n > 0 else {"things": []})

    assert any("response_schema_conformance" in failure for failure in plant(stocked, route).failures)


def test_a_planted_wrong_media_type_is_found(stocked: Stocked) -> None:
    def route() -> Response:
        return Response("{}", media_type="text/plain")

    assert any("content_type_conformance" in failure for failure in plant(stocked, route).failures)


def test_a_planted_door_that_forgets_to_ask_who_is_found(stocked: Stocked) -> None:
    app = stocked.live.server.config.app
    told = {**declare(allow("auditor"), {200: Says("Fine.", {"type": "object"})}), "dependencies": []}
    app.add_api_route("/v1/planted", lambda: Json({}), methods=["GET"], **told)
    app.openapi_schema = None
    report = Scan(stocked).run(PLANTED_EXAMPLES, only="planted")
    assert any("opened to" in failure for failure in report.failures)
