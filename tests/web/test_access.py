"""Every door × every role, and what is seen through it × every agency × every place, against the page by hand."""

import itertools

import pytest
from fastapi.routing import APIRoute

from app.cli.phone import ids_commitment
from app.keys.clients import all_clients, revoke_client
from app.main import create_app
from tests import small
from tests.web.access_table import (
    BOXES_SEEN,
    BOXES_SEEN_BY_WATCHERS,
    DOORS,
    PLACES_SEEN,
    ROLES,
)  # fmt: skip

FILLED = {
    "event": "A" * 43, "content_hash": "A" * 43, "block": "A" * 43, "unit": "00000000000000000", "place": small.CITY,
    "enrolment": "A" * 16, "officer": "OFF-NOBODY", "name": "pilkada2024-64", "path": "0/000", "label": "0" * 17,
}  # fmt: skip
WATCHERS = ("auditor", "administrator")


def routes():
    return [route for route in _all(create_app().routes) if isinstance(route, APIRoute)]


def _all(found):
    for route in found:
        inner = getattr(route, "original_router", None) or getattr(route, "router", None)
        if isinstance(route, APIRoute) or inner is None:
            yield route
        else:
            yield from _all(inner.routes)


def doors():
    return {f"{method} {route.path}": route for route in routes() for method in route.methods}


def test_the_page_names_every_door_and_no_other():
    assert set(doors()) == set(DOORS)


def test_every_route_says_whom_it_admits():
    assert all(not hasattr(route, "path") or isinstance(route, APIRoute) for route in _all(create_app().routes))
    silent = [name for name, route in doors().items() if "x-access" not in (route.openapi_extra or {})]
    assert silent == []


@pytest.mark.parametrize("door", sorted(DOORS))
def test_what_a_route_says_is_what_the_page_says(door):
    said = doors()[door].openapi_extra["x-access"]
    assert frozenset(said.get("roles", ())) == DOORS[door]
    assert DOORS[door] or len(said["public"]) > 10


def ask(live, door, headers):
    method, path = door.split(" ", 1)
    path = path.replace("entries/{path:path}", "entries/000.p/1")  # one that is there: what is no tile is 404 to all
    for name, value in FILLED.items():
        path = path.replace(f"{{{name}}}", value).replace(f"{{{name}:path}}", value)
    if path == "/v1/reconciliation/events":
        path += "?contest=PILGUB&figure=allocated"
    body = {"content": b"{}"} if method == "POST" else {}
    kind = {"Content-Type": "application/json"} if method == "POST" else {}
    return live.http.request(method, path, headers={**kind, **headers}, **body)


@pytest.mark.parametrize("door", sorted(DOORS))
def test_a_door_opens_for_its_roles_and_for_nobody_else(live, door):
    admitted = DOORS[door]
    for role in ROLES:
        status = ask(live, door, live.headers(role)).status_code
        if admitted and role not in admitted:
            assert status == 403, (door, role)
        else:
            assert status not in {401, 403}, (door, role, status)
            assert status < 500


@pytest.mark.parametrize("door", sorted(DOORS))
def test_without_an_accepted_token_only_public_doors_open(live, door):
    for headers in (
        {},
        {"Authorization": "Bearer " + "A" * 43},
        {"Authorization": "Basic QTpC"},
        {"Authorization": "Bearer"},
    ):
        status = ask(live, door, headers).status_code
        if DOORS[door]:
            assert status == 401, door
        elif not (door == "POST /oauth/token" and headers):
            assert status not in {401, 403}, door


# -- what is seen through an open door -------------------------------------------------------------------


@pytest.fixture(scope="module")
def boxes(live, officer):
    """Three boxes; the second was released to the carrier, who accepted it where it stands."""
    ids = live.boxes(officer, [small.TPS1, small.TPS2, small.TPS3])
    carrier = live.house.enrol("OFF-CARRIER", small.POS, "TRANSPORTIR", small.CITY)
    officer.place = small.WAREHOUSE
    told = {"to_agency": small.POS, "to_place": small.WAREHOUSE, "due_by": "2024-11-20T00:00:00+08:00"}
    release = officer.sign("custody.release", told, at_ms=live.house.tick(), units=[ids[1]])
    live.ok(release)
    accept = carrier.sign(
        "custody.accept",
        {"release": release.hash, "scanned": {"n": 1, "hash": ids_commitment([ids[1]])}},
        at_ms=live.house.tick(), units=[ids[1]], capacity="taker", place=small.WAREHOUSE, after=[release.hash],
    )  # fmt: skip
    live.ok(accept)
    return ids


def seen_boxes(live, boxes, path, role, agency, place):
    found = ""
    for number, unit in enumerate(boxes, start=1):
        answer = live.get(path.format(unit=unit), role, agency=agency, place=place)
        assert answer.status_code in {200, 404}, answer.text
        found += str(number) if answer.status_code == 200 else ""
    return found


@pytest.mark.parametrize("path", ["/v1/units/{unit}", "/v1/units/{unit}/history"])
@pytest.mark.parametrize("role", ROLES)
def test_a_box_is_seen_by_whom_the_page_says(live, boxes, path, role):
    for agency, place in BOXES_SEEN:
        wanted = BOXES_SEEN_BY_WATCHERS[place] if role in WATCHERS else BOXES_SEEN[agency, place]
        assert seen_boxes(live, boxes, path, role, agency, place) == wanted, (role, agency, place)


@pytest.mark.parametrize("path", ["/v1/units/{unit}/label.svg", "/v1/units/{unit}/label.png"])
def test_a_label_is_drawn_for_who_sees_its_box(live, boxes, path):
    for agency, place in itertools.product((small.KPU, small.BWS), (None, "64.74.01.A", "64.74.01.B")):
        assert seen_boxes(live, boxes, path, "operator", agency, place) == BOXES_SEEN[agency, place]


def test_evidence_is_for_who_sees_the_box(live, boxes):
    for role, (agency, place) in itertools.product(("operator", "auditor"), list(BOXES_SEEN)[::4]):
        wanted = BOXES_SEEN_BY_WATCHERS[place] if role in WATCHERS else BOXES_SEEN[agency, place]
        assert seen_boxes(live, boxes, "/v1/units/{unit}/evidence", role, agency, place) == wanted


@pytest.mark.parametrize("role", ROLES)
def test_places_are_seen_inside_ones_own(live, role):
    asked = {small.WAREHOUSE, small.PPS_A, small.PPS_B, small.HUB}
    for agency, (place, wanted) in itertools.product((small.KPU, small.BWS), PLACES_SEEN.items()):
        who = {"agency": agency, "place": place}
        seen = {one for one in asked if live.get(f"/v1/places/{one}", role, **who).status_code == 200}
        stocked = {one for one in asked if live.get(f"/v1/places/{one}/stock", role, **who).status_code == 200}
        listed = {one["place"] for one in live.get("/v1/places", role, **who).json()["items"]} & asked
        assert seen == stocked == listed == wanted, (role, agency, place)


def test_events_of_other_agencies_are_not_told(live, boxes):
    def told(role, agency, place=None):
        return {
            one["event"] for one in live.get("/v1/events", role, agency=agency, place=place, limit=200).json()["items"]
        }

    watcher = live.house.enrol("OFF-WATCH", small.BWS, "PENGAWAS", small.CITY)
    opened = watcher.sign("access", {"act": "open", "purpose": "CHECK"}, at_ms=live.house.tick(), capacity="witness")
    live.ok(opened)
    everything, ours, theirs = told("auditor", small.POS), told("field", small.KPU), told("field", small.BWS)
    assert theirs == {opened.hash}
    assert ours == everything - theirs
    for event in list(ours)[:5]:
        assert live.get(f"/v1/events/{event}", "field", agency=small.BWS).status_code == 404


def test_the_envelope_is_an_auditors(live, boxes):
    event = live.get("/v1/events", "auditor", unit=boxes[0]).json()["items"][0]["event"]
    assert live.get(f"/v1/events/{event}", "auditor").json()["jws"]["payload"]
    assert live.get(f"/v1/events/{event}", "field").json()["jws"] is None


def test_a_block_of_labels_is_its_agencys(live, officer):
    _, block = live.issue(officer, 3)
    for path in (f"/v1/labels/{block}", f"/v1/labels/{block}/sheet.pdf"):
        assert live.get(path, "operator").status_code == 200
        assert live.get(path, "operator", agency=small.POS).status_code == 404
        assert live.get(path, "operator", place="64.74.01.A").status_code == 404


def test_officers_keys_are_their_agencys_and_the_ledgers_keys_are_everybodys(live, officer):
    def kinds(**who):
        items = live.get("/v1/keys", "field", **who).json()["items"]
        return {(key["kind"], key["agency"]) for key in items}

    assert ("officer", small.KPU) in kinds()
    assert {kind for kind, _ in kinds(agency=small.TNI)} == {"administrator", "root", "service", "admission"}
    assert ("officer", small.KPU) not in kinds(place="64.74.01.A")
    assert officer.kid in {key["kid"] for key in live.get("/v1/keys", "auditor", agency=small.BWS).json()["items"]}


def test_a_revoked_client_loses_its_tokens_at_once(live):
    headers = live.headers("auditor", agency="PEMKOT-6474")
    assert live.http.get("/v1/agencies", headers=headers).status_code == 200
    with live.db.write() as session:
        mine = next(one for one in all_clients(session, 1) if one.agency == "PEMKOT-6474")
        revoke_client(session, 1, mine.client, live.services.now_ms())
    assert live.http.get("/v1/agencies", headers=headers).status_code == 401
