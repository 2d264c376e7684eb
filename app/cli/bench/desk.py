"""The load of a supervisor: the desk's overview and the pages of units, over the grown ledger.

A ledger on which nothing went wrong is read faster than a real one, so some things go wrong first: labels that nobody
issued are seen, each a discrepancy of its own. What is timed is the whole answer over one connection, an upper bound of
the server's own time.
"""

import secrets
from collections.abc import Iterator

from app.cli.bench.charter import PLACES
from app.cli.bench.figures import Round
from app.cli.bench.stage import Stage
from app.cli.bench.stories import as_sent
from app.cli.bench.traffic import Ask, batches, dealt, get
from app.cli.phone import Phone, Signed
from app.clock import SystemClock
from app.ids import new_unit_id

CONNECTIONS = 1
UNKNOWN = 500
"""Sightings of unknown labels: open discrepancies that the overview counts."""
Step = tuple[str, Round]
END = b"</html>"


def desk(stage: Stage) -> Iterator[Step]:
    """Open the overview, and the pages of units drawn by lot, one after the other."""
    made, token = stage.grown()
    if "desk_discrepancies" not in stage.notes:
        _go_wrong(stage, token)
    count = stage.size.pages
    yield "desk_overview", stage.send(dealt([_overview(token) for _ in range(count)], CONNECTIONS), "grown")
    chosen = [secrets.choice(made.units) for _ in range(count)]
    yield "desk_unit", stage.send(dealt([unit_page(unit, token) for unit in chosen], CONNECTIONS), "grown")
    stage.notes |= {"desk_leaves": made.size()}


def _overview(token: str) -> Ask:
    return get("/desk", token, b"<main", END)


def unit_page(unit: str, token: str) -> Ask:
    """Return the GET of a unit's page, which must be about that unit."""
    return get(f"/desk/units/{unit}", token, unit.encode(), END)


def _go_wrong(stage: Stage, token: str) -> None:
    """Let a watcher of that ledger see labels that nobody issued."""
    if stage.watcher is None:
        raise RuntimeError("the grown ledger has no officer who could look")
    events = [as_sent(signed) for signed in _sightings(stage.watcher, UNKNOWN)]
    stage.send(batches([events], 100, token, 1), "grown")
    stage.notes["desk_discrepancies"] = UNKNOWN


def _sightings(phone: Phone, count: int) -> Iterator[Signed]:
    now = SystemClock().now_ms()
    for _ in range(count):
        unit = new_unit_id(secrets.token_bytes(10))
        yield phone.sign("sighting", {}, units=[unit], at_ms=now, place=PLACES[0], capacity="witness")
