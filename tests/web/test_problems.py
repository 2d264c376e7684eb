"""The table of problems is complete and has no dead rows, and every answer has its shape."""

import ast
from pathlib import Path

import pytest

import app
from app.errors import BusyError, MalformedError, MissingError, ServiceError, TamperError, UnprovenError
from app.web import problems

ROOT = Path(app.__file__).resolve().parent
RAISERS = {"refuse", "wait", "Held", "Refusal", "WaitForEvent"}
SCHEMAS = ROOT / "web" / "schemas.py"  # speaks of a member that is called code


def texts(node):
    return {each.value for each in ast.walk(node) if isinstance(each, ast.Constant) and isinstance(each.value, str)}


def called(node):
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def given(function, node):
    """Return every text that an expression may be: its own, or those of the names that a function gives it."""
    found = texts(node)
    names = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
    for each in ast.walk(function):
        if isinstance(each, ast.Assign) and names & {getattr(target, "id", "") for target in each.targets}:
            found |= (
                texts(each.value.body) | texts(each.value.orelse)
                if isinstance(each.value, ast.IfExp)
                else texts(each.value)
            )
        if isinstance(each, ast.For) and getattr(each.target, "id", "") in names:
            found |= texts(each.iter)
    return found


def codes():
    """Collect every code that the source can raise, refuse, wait or answer with."""
    found = {}
    for path in sorted(set(ROOT.rglob("*.py")) - {SCHEMAS}):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for function in [tree, *(n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef))]:
            for node in ast.walk(function):
                if isinstance(node, ast.AnnAssign) and getattr(node.target, "id", "") == "default_code":
                    found.setdefault(node.value.value, path)
                if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "default_code":
                    found.setdefault(node.value.value, path)
                if not isinstance(node, ast.Call):
                    continue
                name = called(node)
                here = given(function, node.args[0]) if name in RAISERS and node.args else set()
                if name in {"_Refused", "_refuse", "refused"} and node.args:
                    here |= texts(node.args[0])
                for keyword in node.keywords:
                    if keyword.arg == "code" and name != "print":
                        here |= given(function, keyword.value)
                if name == "Judgement" and len(node.args) == 2:
                    here |= texts(node.args[1])
                if name in {"read_strict", "malformed"}:
                    here |= texts(node.args[-1])
                for code in here:
                    found.setdefault(code, path)
    return {code: path for code, path in found.items() if is_code(code)}


def is_code(text):
    return text.replace("_", "a").isalnum() and text == text.lower() and not text.endswith("_") and text[0].isalpha()


AT_THE_DOOR = {"parameter", "bad_request", "method_not_allowed", "uri_too_long", "media_type", "body_timeout"}
BY_STATUS = {"handover_cancelled", "handover_rejected"}
NOT_PROBLEMS = {"pending_predecessor", "cancel_waits", "overdue", "pending_overdue", "accepted", "partial"}


def test_every_code_of_the_source_has_a_row():
    missing = {code: path.name for code, path in codes().items() if code not in problems.PROBLEMS}
    assert {code: path for code, path in missing.items() if code not in NOT_PROBLEMS} == {}


def test_every_row_is_used_by_the_source():
    assert set(problems.PROBLEMS) - set(codes()) - AT_THE_DOOR - BY_STATUS == set()


def test_every_error_class_has_a_status():
    def below(kind):
        return [kind, *(found for each in kind.__subclasses__() for found in below(each))]

    for kind in below(ServiceError):
        assert kind.default_code in problems.PROBLEMS or kind.default_code == "error"


@pytest.mark.parametrize(("status", "title"), list(problems.PROBLEMS.values()))
def test_rows_are_sound(status, title):
    assert status in {400, 401, 403, 404, 405, 408, 409, 410, 413, 414, 415, 422, 423, 431, 500, 503}
    assert title[0].isupper()
    assert not title.endswith(".")


def test_a_recorded_refusal_is_never_400_or_401():
    assert {problems.status_of_refusal(code) for code in problems.PROBLEMS} & {400, 401} == set()


def test_facts_never_replace_standard_members():
    told = problems.body_of(MissingError("Gone.", status="200", title="x", unit="U"))
    assert (told["status"], told["title"], told["unit"]) == (404, "Not found", "U")


def test_details_of_our_own_failures_are_withheld():
    told = problems.body_of(TamperError("Leaf 17 was changed.", leaf=17))
    assert "17" not in told["detail"]
    assert "leaf" not in told
    assert len(told["incident"]) == 16


def test_busy_says_when_to_come_back():
    assert problems.answer_to(BusyError("Busy.", retry_after_seconds=7)).headers["retry-after"] == "7"


def test_401_says_how_to_prove_oneself():
    assert problems.answer_to(UnprovenError("Who?")).headers["www-authenticate"].startswith("Bearer")


def test_a_code_without_a_row_gets_its_classes_status():
    assert problems.status_of(MalformedError("x", code="never_seen")) == 400


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("PATCH", "/v1/events", 405, "method_not_allowed"),
        ("GET", "/v1/events/", 404, "not_found"),
        ("GET", "/" + "a" * 3000, 414, "uri_too_long"),
        ("GET", "/v1/ledger?" + "a" * 5000, 414, "uri_too_long"),
        ("GET", "/u/%00", 400, "bad_request"),
    ],
)
def test_the_frameworks_own_errors_have_the_same_shape(lite, method, path, status, code):
    answer = lite.http.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_parameter_out_of_bounds_is_named_and_not_echoed(lite):
    answer = lite.get("/v1/events", "auditor", limit="zebra")
    assert (answer.status_code, answer.json()["code"]) == (422, "parameter")
    assert answer.json()["errors"] == [{"at": "query.limit", "type": "int_parsing"}]
    assert "zebra" not in answer.text


def test_a_bug_answers_an_incident_and_nothing_else(lite, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("the secret is xyzzy")

    monkeypatch.setattr("app.web.ledger.meta_of", broken)
    answer = lite.http.get("/v1/ledger")
    assert answer.status_code == 500
    assert "xyzzy" not in answer.text
    assert answer.json()["code"] == "internal"
    assert answer.headers["x-content-type-options"] == "nosniff"
