"""Everything that the history of one unit is told from, read by one statement over one snapshot.

The statement answers for whoever asks: with the caller's token in it, who that is comes back beside the rows, so a
request needs no statement of its own for that. Its parts are told apart by the first column:

- `CALLER`: who asks, and the path of his place;
- `LABEL`: the label that was typed; `UNIT`: the unit and its containers, innermost first, for who may see it;
- `BREAK`: what was found missing or came without a release; `EVENT`: the events, each through every container.

Every step finds its rows by a whole key (`tests/audit/test_history.py` reads the plan); joins are CROSS JOINs, which
SQLite takes in the order of the text. The text is the same on both databases, and names its values so that each can
stand in many places.
"""

import re
from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any, NamedTuple

from app.keys.callers import SHOWN

END = 2**62
"""The leaf index that no ledger reaches: the open end of an interval."""
CALLER, LABEL, UNIT, BREAK, EVENT = range(5)
Row = tuple[Any, ...]
_NAME = re.compile(r":(\w+)")


class Statement(NamedTuple):
    """A statement in plain text, its values marked `?`, and how to put named values into their order."""

    sql: str
    order: Callable[[Mapping[str, object]], tuple[object, ...]]

    @classmethod
    def of(cls, text: str) -> "Statement":
        """Make one of text whose values are marked `:name`."""
        return cls(_NAME.sub("?", text), itemgetter(*_NAME.findall(text)))

    def values(self, named: Mapping[str, object]) -> tuple[object, ...]:
        """Return the values in the order of their marks."""
        return self.order(named)


class Asker(NamedTuple):
    """The part `CALLER`: the columns of `app.keys.callers.Shown`, and where his place lies."""

    part: int
    subject: str
    agency: str
    place: str | None
    access: str
    kid: str | None
    key_access: str | None
    client: str | None
    path: str | None
    expires_ms: int
    valid_from_ms: int | None
    valid_until_ms: int | None
    revoked_index: int | None
    revoked_ms: int | None
    newest_ms: int | None

    def shown(self) -> Row:
        """Return the columns of `Shown` in their order."""
        return (
            self.subject, self.agency, self.place, self.access, self.expires_ms, self.kid, self.key_access,
            self.valid_from_ms, self.valid_until_ms, self.revoked_index, self.client, self.revoked_ms,
        )  # fmt: skip


class Worn(NamedTuple):
    """The part `LABEL`."""

    part: int
    label: str
    block: str
    status: str
    unit: str | None
    successor: str | None


class Inside(NamedTuple):
    """The part `UNIT`: what decides who sees it; `depth` 0 is the unit itself."""

    part: int
    unit: str
    place: str
    destination: str | None
    agency: str
    agencies: str
    place_path: str | None
    destination_path: str | None
    depth: int


class Break(NamedTuple):
    """The part `BREAK`: a discrepancy that leaves custody uncertain, of the unit or of what it lay in."""

    part: int
    unit: str
    id: str
    rule: str
    handover: str | None
    leaf_index: int
    depth: int
    since: int


class Happened(NamedTuple):
    """The part `EVENT`: an event with what became of it, the handover that it began, its place, and its leaf.

    `unit` is what it named or moved, at `depth` containers above the unit whose history this is; `seq` its place in
    that unit's chain, None for what came through a container and for what is told because it points to the unit.
    """

    part: int
    unit: str | None
    hash: str
    event_id: str
    type: str
    result: str
    code: str
    agency: str
    officer: str
    author: str
    election: str
    place: str
    outcome: str | None
    handover_status: str | None
    handover_exceptions: str | None
    place_name: str | None
    zone: str | None
    leaf_index: int
    depth: int
    since: int
    seq: int | None
    at_ms: int
    received_ms: int
    outcome_index: int | None
    retracted_index: int | None
    handover_index: int | None
    handover_closed: int | None
    handover_overdue: int | None
    leaf: bytes

    @property
    def via(self) -> str | None:
        """The container through which the event reached the unit, None for the unit itself."""
        return self.unit if self.depth else None


# -- the text of the statements -------------------------------------------------------------------------------

_TEXTS, _NUMBERS = 16, 11
_END = f"CAST({END} AS BIGINT)"


def _part(number: int, texts: str, numbers: str = "", leaf: str = "NULL") -> str:
    """Return one SELECT list of the union: texts first, then numbers, then the leaf; what is short gets NULLs.

    The first part says the type of every column, which PostgreSQL takes the others' NULLs by.
    """
    first = number == CALLER

    def padded(columns: str, count: int, kind: str) -> list[str]:
        given = [each.strip() for each in columns.split("|") if each.strip()]
        filled = [*given, *["NULL"] * (count - len(given))]
        return [f"CAST({each} AS {kind})" for each in filled] if first else filled

    blob = "CAST(NULL AS BYTEA)" if first else leaf
    return (
        f"SELECT {', '.join([str(number), *padded(texts, _TEXTS, 'TEXT'), *padded(numbers, _NUMBERS, 'BIGINT'), blob])}"
    )


def _path(column: str) -> str:
    return f"(SELECT p.path FROM place p WHERE p.ledger_id = :ledger AND p.place = {column})"


def _within(index: str) -> str:
    """Return the condition that an index lies in the window `w`; the `+` keeps it from choosing the way in."""
    return f"+{index} > w.since AND +{index} < w.until AND +{index} < :known"


def _about(handover: str) -> str:
    """Return the texts of an event."""
    own = ("hash", "event_id", "type", "result", "code", "agency", "officer", "author", "election", "place")
    return f"{' | '.join(f'e.{name}' for name in own)} | o.outcome | {handover} | p.name | p.zone"


_TIMES = "e.at_ms | e.received_ms | o.outcome_index | o.retracted_index"
_THEIRS = (
    "LEFT JOIN event_outcome o ON o.ledger_id = :ledger AND o.hash = e.hash "
    "LEFT JOIN place p ON p.ledger_id = :ledger AND p.place = e.place"
)
_BY_TOKEN = f"{SHOWN} AND t.expires_ms > :now"
_GIVEN = (
    "SELECT CAST(:subject AS TEXT) AS subject, '' AS agency, CAST(:place AS TEXT) AS place, '[]' AS access, "
    "0 AS expires_ms, NULL AS kid, NULL AS key_access, 0 AS valid_from_ms, 0 AS valid_until_ms, "
    "NULL AS revoked_index, NULL AS client, NULL AS revoked_ms"
)
_NEWEST = (
    "CASE WHEN CAST(:demo AS BIGINT) = 1 THEN (SELECT n.received_ms FROM event n WHERE n.ledger_id = :ledger "
    "ORDER BY n.leaf_index DESC LIMIT 1) END"
)
_SPELLED = "SELECT x.unit FROM alias x WHERE x.ledger_id = :ledger AND x.code = CAST(:code AS TEXT)"
_NAMED = f"named(label) AS (SELECT COALESCE(({_SPELLED}), CAST(:named AS TEXT)) FROM caller)"
_WORN = (
    "worn AS (SELECT a.label, a.block, a.status, a.unit, a.successor FROM named n CROSS JOIN label a "
    "WHERE a.ledger_id = :ledger AND a.label = n.label)"
)
_UP = (
    "up(unit, parent, depth) AS (SELECT u.unit, u.parent, CAST(0 AS BIGINT) FROM named n CROSS JOIN unit u "
    "WHERE u.ledger_id = :ledger AND u.unit = COALESCE((SELECT unit FROM worn), n.label) UNION ALL "
    "SELECT u.unit, u.parent, up.depth + 1 FROM up CROSS JOIN unit u "
    "WHERE u.ledger_id = :ledger AND u.unit = up.parent)"
)
_UNTIL = f"CASE WHEN c.until_index < :known THEN c.until_index ELSE {_END} END"
_WINDOWS = (
    f"windows(unit, since, until, depth) AS (SELECT up.unit, CAST(-1 AS BIGINT), {_END}, CAST(0 AS BIGINT) FROM up "
    "WHERE up.depth = 0 UNION ALL "
    "SELECT c.parent, CASE WHEN c.since_index > w.since THEN c.since_index ELSE w.since END, "
    f"CASE WHEN {_UNTIL} < w.until THEN {_UNTIL} ELSE w.until END, w.depth + 1 "
    "FROM windows w CROSS JOIN containment c WHERE c.ledger_id = :ledger AND c.child = w.unit "
    f"AND c.since_index < :known AND c.since_index < w.until AND {_UNTIL} > w.since)"
)


def _asker(newest: str) -> str:
    texts = f"k.subject | k.agency | k.place | k.access | k.kid | k.key_access | k.client | {_path('k.place')}"
    numbers = f"k.expires_ms | k.valid_from_ms | k.valid_until_ms | k.revoked_index | k.revoked_ms | {newest}"
    return f"{_part(CALLER, texts, numbers)} FROM caller k"


_LABEL = f"{_part(LABEL, 'a.label | a.block | a.status | a.unit | a.successor')} FROM worn a"
_PLACED = f"u.unit | u.place | u.destination | u.agency | u.agencies | {_path('u.place')} | {_path('u.destination')}"
_UNIT = f"{_part(UNIT, _PLACED, 'up.depth')} FROM up CROSS JOIN unit u WHERE u.ledger_id = :ledger AND u.unit = up.unit"
_BREAK = (
    f"{_part(BREAK, 'd.unit | d.id | d.rule | d.handover', 'd.leaf_index | w.depth | w.since')} "
    "FROM windows w CROSS JOIN discrepancy d WHERE d.ledger_id = :ledger AND d.unit = w.unit "
    f"AND d.rule IN ('SHORT', 'UNSOLICITED') AND {_within('d.leaf_index')}"
)
_MOMENTS = (
    f"e.leaf_index | w.depth | w.since | CASE WHEN w.depth = 0 THEN x.seq END | {_TIMES} | "
    "h.leaf_index | h.closed_index | h.overdue_index"
)
_SAID = f"w.unit | {_about('h.status | h.exceptions')}"
_EVENT = (
    f"{_part(EVENT, _SAID, _MOMENTS, 'l.leaf')} "
    f"FROM windows w CROSS JOIN event_unit x CROSS JOIN event e CROSS JOIN ledger_leaf l {_THEIRS} "
    "LEFT JOIN handover h ON h.ledger_id = :ledger "
    "AND h.release = CASE WHEN e.type = 'custody.release' THEN e.hash END "
    f"WHERE x.ledger_id = :ledger AND x.unit = w.unit AND {_within('x.leaf_index')} "
    "AND e.ledger_id = :ledger AND e.leaf_index = x.leaf_index "
    "AND l.ledger_id = :ledger AND l.leaf_index = x.leaf_index"
)


def _timeline(caller: str, newest: str) -> Statement:
    first = f"WITH RECURSIVE caller AS ({caller}), {_NAMED}, {_WORN}, {_UP}, {_WINDOWS}"
    return Statement.of(f"{first} {' UNION ALL '.join((_asker(newest), _LABEL, _UNIT, _BREAK, _EVENT))}")


BY_TOKEN = _timeline(_BY_TOKEN, _NEWEST)
"""By token: `ledger`, `token` (its hash), `now`, `demo` (1 or 0), `named`, `code`, `known`."""
GIVEN = _timeline(_GIVEN, "NULL")
"""For a viewer who is proven already: `ledger`, `subject`, `place`, `named`, `code`, `known`."""


def more(keys: Mapping[str, str]) -> str:
    """Return the text for events that belong to a history without naming the unit; values: `ledger`, `known`.

    Args:
        keys: How to find them, by what: `hash`, `leaf_index`, or `unit` for what named one; each a condition on that
            column. One SELECT each, so that every one goes in by its own key: joined by OR, the database would walk
            the ledger.
    """
    columns = _part(EVENT, f"NULL | {_about('NULL | NULL')}", f"e.leaf_index | 0 | 0 | NULL | {_TIMES}", "l.leaf")
    wanted = {
        "hash": "event e WHERE",
        "leaf_index": "event e WHERE",
        "unit": "event_unit x CROSS JOIN event e WHERE x.ledger_id = :ledger AND e.leaf_index = x.leaf_index AND",
    }
    arms = [
        f"SELECT e.leaf_index AS at FROM {wanted[name]} e.ledger_id = :ledger AND {condition}"
        for name, condition in keys.items()
    ]
    return (
        f"WITH chosen AS ({' UNION '.join(arms)}) {columns} FROM chosen z CROSS JOIN event e CROSS JOIN ledger_leaf l "
        f"{_THEIRS} WHERE e.ledger_id = :ledger AND e.leaf_index = z.at AND l.ledger_id = :ledger "
        "AND l.leaf_index = z.at AND +z.at < :known"
    )
