"""The doors in front of the framework are the framework's own: the same functions, under the same paths."""

import pytest

from app.web import api, express
from app.web.events import router

HOT = {("POST", "/v1/events"), ("POST", "/v1/events/batch")}


def test_each_is_described_by_the_route_that_it_stands_before():
    assert set(express.DOORS) == HOT
    for (method, path), door in express.DOORS.items():
        [route] = [each for each in router.routes if each.path == path and method in each.methods]
        assert route.endpoint is door.answer
        assert door.path == path


@pytest.mark.parametrize("path", sorted(path for _, path in HOT))
def test_whatever_they_do_not_answer_the_framework_does(lite, path):
    answer = lite.http.put(path)
    assert answer.status_code == 405
    assert "POST" in answer.headers["allow"]
    assert lite.http.post(f"{path}/").status_code in {404, 405}


def test_they_are_bounded_as_every_door_is(lite):
    limits = api.limits(lite.services.settings)
    for _, path in HOT:
        answer = lite.http.post(path, content=b" " * (limits[path] + 1), headers={"Content-Type": "application/json"})
        assert answer.status_code == 413
        assert answer.json()["code"] == "too_large"
