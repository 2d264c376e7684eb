"""Schemathesis over a running service, as every access role, with requests that are right, nearly right and wrong.

A scanner that is left alone sends bodies that nobody signed and ids that nobody has, and sees 400 and 404 only
(security reference, section 1 rule 12). Here each generated request becomes, in turn: the right request with the
rest left out, right names with what was generated beside, right names everywhere, or stays as it was generated.
What the doors answered as which role is counted, so a test can say which doors were never opened.
"""

import logging
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import schemathesis
import structlog
from schemathesis.engine import Status, events, from_schema

from tests.web.stocked import FORM, ROLES, Stocked, doors

SEED = 20241127
LONG = os.environ.get("CUSTODY_LONG") == "1"
CHECKS = (
    "status_code_conformance", "content_type_conformance", "response_schema_conformance", "response_headers_conformance",
)  # fmt: skip
NOBODY = ""
REQUEST_SECONDS = 30.0
NOT_HTTP = b"Invalid HTTP request received."
TOKEN = "POST /oauth/token"
_WITH_BODY = ("known", "raw", "nearly", "raw", "known", "right", "raw")
_WITHOUT_BODY = ("nearly", "known", "nearly", "raw", "nearly")


@dataclass(slots=True)
class Report:
    """What a scan saw."""

    failures: list[str] = field(default_factory=list)
    answers: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    labels: dict[str, frozenset[str]] = field(default_factory=dict)
    requests: int = 0

    def opened(self, label: str, role: str | None = None) -> bool:
        """Say whether an operation answered 2xx, to anybody or to one role."""
        return any(seen == label and role in {None, who} and 200 <= status < 300 for seen, who, status in self.answers)

    def closed(self) -> list[str]:
        """Return the operations that never answered 2xx, each with what it answered."""
        return [f"{label}: {self.told(label)}" for label in self.labels if not self.opened(label)]

    def closed_to(self) -> list[str]:
        """Return the operations that never answered 2xx to a role that they admit."""
        return [
            f"{label} as {role}"
            for label, roles in self.labels.items()
            for role in sorted(roles)
            if not self.opened(label, role)
        ]

    def told(self, label: str) -> dict[int, int]:
        """Return how often an operation answered which status."""
        found: Counter[int] = Counter()
        for (seen, _, status), count in self.answers.items():
            if seen == label:
                found[status] += count
        return dict(sorted(found.items()))


def configuration(base: str, examples: int, phases: tuple[str, ...]) -> schemathesis.Config:
    """Return how to scan: the same requests in the same order every time."""
    on = {name: {"enabled": name in phases} for name in ("examples", "coverage", "fuzzing", "stateful")}
    on["fuzzing"] |= {"error-feedback": {"enabled": False}, "extra-data-sources": {"responses": False}}
    on["coverage"] |= {"extra-data-sources": {"responses": False}}
    return schemathesis.Config.from_dict({
        "base-url": base,
        "seed": SEED,
        "workers": 1,
        "continue-on-failure": True,
        "request-timeout": REQUEST_SECONDS,
        "suppress-health-check": ["all"],
        "generation": {"max-examples": examples, "deterministic": True, "no-shrink": True, "database": "none"},
        "phases": on,
        "checks": {"enabled": False, "not_a_server_error": {"enabled": True}, **{name: {"enabled": True} for name in CHECKS}},
    })  # fmt: skip


class Scan:
    """One scan of a stocked service."""

    def __init__(self, stocked: Stocked) -> None:
        self.stocked = stocked
        self.live = stocked.live
        self.base = str(self.live.http.base_url).rstrip("/")
        self.report = Report()
        self._turns: Counter[str] = Counter()
        self._who: dict[str, str] = {}

    def run(self, examples: int, phases: tuple[str, ...] = ("coverage", "fuzzing"), only: str = "") -> Report:
        """Scan every operation, or those whose path holds `only`."""
        described = self.live.http.get("/openapi.json").json()
        schema = schemathesis.openapi.from_dict(described, config=configuration(self.base, examples, phases))
        if only:
            schema = schema.include(path_regex=only)
            described["paths"] = {path: methods for path, methods in described["paths"].items() if only in path}
        self.report.labels = doors(described)
        with self._hooks():
            for event in from_schema(schema).execute():
                self._note(event)
        return self.report

    @contextmanager
    def _hooks(self) -> Iterator[None]:
        def before_call(context: Any, case: Any, kwargs: Any) -> None:
            self._dress(case)

        def after_call(context: Any, case: Any, response: Any) -> None:
            self._count(case, response)

        schemathesis.hook(before_call)
        schemathesis.hook(after_call)
        try:
            yield
        finally:
            schemathesis.hooks.unregister(before_call)
            schemathesis.hooks.unregister(after_call)

    # -- requests ------------------------------------------------------------------------------------

    def _dress(self, case: Any) -> None:
        """Give a generated request its caller, and make it right in one of the ways."""
        label = case.operation.label
        mine = case.method.upper() == case.operation.method.upper()
        turn = self._turns[label]
        self._turns[label] += mine
        role = self._who[case.id] = self._caller(label, turn)
        for name in [name for name in case.headers if name.lower() == "authorization"]:
            del case.headers[name]
        if role != NOBODY:
            case.headers["Authorization"] = f"Bearer {self.live.token(role)}"
        if not mine:
            return
        way = "right"
        if turn >= len(ROLES):
            ways = _WITH_BODY if case.operation.body else _WITHOUT_BODY
            way = ways[turn % len(ways)]
        if way != "raw":
            {"right": self._right, "nearly": self._nearly, "known": self._known}[way](case, label)

    def _caller(self, label: str, turn: int) -> str:
        """Return who asks: mostly those whom the operation admits, in turn; now and then others, or nobody."""
        if label == TOKEN:
            return NOBODY
        admitted = sorted(self.report.labels.get(label) or ROLES)
        if turn % 7 == 6:
            return (NOBODY, *ROLES)[turn // 7 % (len(ROLES) + 1)]
        return admitted[turn % len(admitted)]

    def _right(self, case: Any, label: str) -> None:
        """Exactly what a good client would send."""
        self._nearly(case, label)
        right = self._last
        case.query, case.cookies = dict(right.query), {}
        for name in [name for name in case.headers if name.lower() not in {"authorization", "content-type"}]:
            del case.headers[name]
        for name, value in right.headers.items():
            case.headers[name] = value

    def _nearly(self, case: Any, label: str) -> None:
        """Names and body are right; query and headers are what was generated."""
        right = self._last = self.stocked.request(label, sorted(case.path_parameters or {}))
        if case.path_parameters:
            case.path_parameters = {name: right.path.get(name, value) for name, value in case.path_parameters.items()}
        if right.body is not None:
            case.body = right.body
            case.media_type = FORM if label == TOKEN else "application/json"
            for name in [name for name in case.headers if name.lower() in {"content-type", "custody-scenario-time"}]:
                del case.headers[name]
            case.headers.update(right.headers)

    def _known(self, case: Any, label: str) -> None:
        """Whatever is named exists; the body is what was generated."""
        names = self.stocked.names(label, sorted(case.path_parameters or {}))
        if case.path_parameters:
            case.path_parameters = {name: names.get(name, value) for name, value in case.path_parameters.items()}
        case.query = {name: self.stocked.known(name) for name in case.query or {}}

    # -- answers -------------------------------------------------------------------------------------

    def _count(self, case: Any, response: Any) -> None:
        label, role = case.operation.label, self._who.get(case.id, NOBODY)
        self.report.requests += 1
        if case.method.upper() != case.operation.method.upper():
            return
        self.report.answers[label, role, response.status_code] += 1
        admitted = self.report.labels.get(label, frozenset())
        if 200 <= response.status_code < 300 and admitted and role not in admitted:
            self.report.failures.append(f"{label}: opened to {role or 'nobody'}")
        if response.status_code == 503 and not response.headers.get("retry-after"):
            self.report.failures.append(f"{label}: 503 without Retry-After")

    def _note(self, event: Any) -> None:
        if isinstance(event, events.NonFatalError):
            self.report.failures.append(f"{event.label}: {event.value!r}")
        elif isinstance(event, events.SchemaAnalysisWarnings):
            self.report.failures += [f"/openapi.json: {each}" for each in event.warnings]
        elif isinstance(event, events.FatalError):
            raise event.exception
        elif isinstance(event, events.ScenarioFinished):
            for case_id, checks in event.recorder.checks.items():
                answer = (
                    event.recorder.interactions[case_id].response if case_id in event.recorder.interactions else None
                )
                if answer is not None and answer.content == NOT_HTTP:
                    continue  # no request at all by RFC 9112: the server's own answer, before any application
                for check in checks:
                    if check.status is Status.FAILURE and check.failure_info is not None:
                        failure = check.failure_info.failure
                        self.report.failures.append(
                            f"{event.label}: {check.name}: {failure.title}: {failure.message[:600]}\n"
                            f"{check.failure_info.code_sample[:600]}"
                        )


@contextmanager
def quiet() -> Iterator[None]:
    """Log nothing: thousands of requests help nobody, and planted errors are dear to draw; answers tell all."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.configure(**before)
