"""Counters for operators, in Prometheus' format; labels are routes and codes, never ids or people."""

import collections
from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from app.custody.receipts import Answer, Receipt

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_EVENTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Metrics:
    """The metrics of one application; each has a registry of its own, so that tests may run several."""

    def __init__(self) -> None:
        """Register every metric."""
        self.registry = registry = CollectorRegistry()
        self._requests = Counter(
            "custody_requests_total", "Requests answered.", ["method", "route", "status"], registry=registry
        )
        self._seconds = Histogram(
            "custody_request_seconds", "Time to answer.", ["route"], buckets=_SECONDS, registry=registry
        )
        # Looking labels up costs more than counting; methods, routes and statuses are few.
        self._by_request: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._events = Counter(
            "custody_events_total", "Events answered, replays apart.", ["result", "code"], registry=registry
        )
        self._group = Histogram(
            "custody_group_events", "Events that shared one commit.", buckets=_EVENTS, registry=registry
        )
        self._queue = Gauge("custody_queue_events", "Events waiting for the writer.", registry=registry)
        self._size = Gauge("custody_tree_size", "Leaves of the published checkpoint.", registry=registry)
        self._healthy = Gauge("custody_writer_healthy", "1 while this process can record.", registry=registry)
        self._frozen = Gauge("custody_ledger_frozen", "1 while the ledger is frozen.", registry=registry)
        self._alarms = Gauge("custody_ledger_alarms", "Alarms over the ledger, ever.", registry=registry)
        self._witnessed = Gauge(
            "custody_witnessed_size", "Leaves of the newest checkpoint that met the policy of witnesses.",
            registry=registry,
        )  # fmt: skip
        self._lag = Gauge(
            "custody_witnessed_lag_seconds", "How long the oldest checkpoint beyond that one has waited.",
            registry=registry,
        )  # fmt: skip

    def observe(self, waiting: Callable[[], float], size: Callable[[], float], healthy: Callable[[], bool]) -> None:
        """Read these when somebody asks."""
        self._queue.set_function(waiting)
        self._size.set_function(size)
        self._healthy.set_function(lambda: float(healthy()))

    def ledger(self, *, frozen: bool, alarms: int, witnessed_size: int, lag_seconds: float) -> None:
        """Set what is read from the database when somebody asks; a ledger without witnesses lags behind nobody."""
        self._frozen.set(frozen)
        self._alarms.set(alarms)
        self._witnessed.set(witnessed_size)
        self._lag.set(lag_seconds)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request by its route's template, never by its path."""
        one = self._by_request.get((method, route, status))
        if one is None:
            one = self._requests.labels(method, route, str(status)), self._seconds.labels(route)
            self._by_request[(method, route, status)] = one
        one[0].inc()
        one[1].observe(seconds)

    def group(self, size: int, answers: Sequence[Answer]) -> None:
        """Count a group and its answers."""
        self._group.observe(size)
        for (result, code), count in collections.Counter(map(_outcome, answers)).items():
            self._events.labels(result, code).inc(count)

    def text(self) -> bytes:
        """Return everything in the text format."""
        return generate_latest(self.registry)


def _outcome(answer: Answer) -> tuple[str, str]:
    """Return the labels that an answer is counted under."""
    if not isinstance(answer, Receipt):
        return "error", answer.code
    return ("replayed", "") if answer.replayed else (answer.result, answer.code)
