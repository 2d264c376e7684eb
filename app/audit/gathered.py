"""The rows of a timeline in order (pure): who asks, what he asked for, and its events, each once.

An event is told from its columns and from the payload that its author signed, which lies in the leaf; nothing else
of the leaf is read. An event that reached the unit through several containers is told through the innermost.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from app.audit.timeline import BREAK, CALLER, EVENT, LABEL, UNIT, Asker, Break, Happened, Inside, Row, Worn
from app.ledger.packing import payload_of, unpack

HASH_LENGTH = 43
_FIRST_NUMBER = 17
_POINTERS = ("release", "event", "target")

Body = dict[str, Any]


@dataclass(slots=True)
class Gathered:
    """What one timeline holds; `events` in ledger order, `chain` innermost first, `breaks` likewise."""

    asker: Asker | None
    label: Worn | None
    chain: list[Inside]
    breaks: list[Break]
    events: list[Happened]

    @classmethod
    def of(cls, rows: Iterable[Row]) -> "Gathered":
        """Sort rows by their part; the database may give them in any order."""
        asker: Asker | None = None
        label: Worn | None = None
        chain: list[Inside] = []
        breaks: list[Break] = []
        events: dict[int, Happened] = {}
        for row in rows:
            part = row[0]
            if part == EVENT:
                one = Happened._make(row)
                known = events.get(one.leaf_index)
                if known is None or (one.depth, one.since) < (known.depth, known.since):
                    events[one.leaf_index] = one
            elif part == CALLER:
                asker = Asker(*row[:9], *row[_FIRST_NUMBER : _FIRST_NUMBER + 6])
            elif part == LABEL:
                label = Worn(*row[:6])
            elif part == UNIT:
                chain.append(Inside._make((*row[:8], row[_FIRST_NUMBER])))
            elif part == BREAK:
                breaks.append(Break(*row[:5], *row[_FIRST_NUMBER : _FIRST_NUMBER + 3]))
        chain.sort(key=lambda each: each.depth)
        # Ids are `<leaf index>-<n>`: of two of one leaf, the shorter or smaller was noted first.
        breaks.sort(key=lambda each: (each.depth, each.since, each.leaf_index, len(each.id), each.id))
        return cls(asker, label, chain, breaks, [events[index] for index in sorted(events)])


def body_of(leaf: bytes) -> Body:
    """Return the payload's members, as the author signed them, of a leaf as it is or as it is stored."""
    body: Body = orjson.loads(payload_of(leaf))
    return body


def pointed_to(body: Body) -> str | None:
    """Return the event that a payload answers, decides, corrects or retracts, by hash."""
    details = body["details"]
    for name in _POINTERS:
        value = details.get(name)
        if isinstance(value, str) and len(value) == HASH_LENGTH:
            return value
    return None


def units_named(leaf: bytes) -> list[str]:
    """Return every unit that an event names or moved, each once."""
    links = (link["unit"] for link in orjson.loads(unpack(leaf))["links"])
    return list(dict.fromkeys([*body_of(leaf).get("units", ()), *links]))
