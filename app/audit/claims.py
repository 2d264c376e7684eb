"""The rumour desk: statements that anybody may ask for, each as of a signed checkpoint (domain reference section 12.4).

"Seven containers with marked ballots are at the port" was refuted in 2019 because no ballot had been printed yet. Such
an answer should not need a night visit: the ledger says what it holds, and what it does not hold, as of a tree whose
checkpoint everybody can check. A statement tells whether something is so, never where anything is.

Whether a statement is true follows from the leaves below the checkpoint; whoever holds them can verify it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from sqlalchemy import Select, and_, not_, select

from app.audit.places import Answer
from app.audit.scope import below
from app.canon import JsonValue
from app.db import ReadSession
from app.errors import MissingError
from app.ledger.append import Reader
from app.units._tables import LABEL, PLACE, UNIT

ENDED = ("destroyed", "voided")
Kind = Literal["no_unit_of_item", "no_unit_outside_registered_places", "no_unit_in_region", "no_label"]


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of: the members that a kind of statement needs."""

    item: str | None = None
    contest: str | None = None
    place: str | None = None
    label: str | None = None
    path: str | None = None
    """Where the place lies; looked up, never asked for."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One kind of statement: what it needs, how it reads, and the query for what would make it false."""

    needs: tuple[str, ...]
    may: tuple[str, ...]
    words: Mapping[str, str]
    against: Callable[[int, Asked], Select[str]]


def _of_item(ledger_id: int, asked: Asked) -> Select[str]:
    query = select(UNIT.c.unit).where(UNIT.c.ledger_id == ledger_id, UNIT.c.item == asked.item)
    return query.where(UNIT.c.contest == asked.contest) if asked.contest is not None else query


def _outside(ledger_id: int, asked: Asked) -> Select[str]:
    del asked
    known = select(PLACE.c.place).where(PLACE.c.ledger_id == ledger_id, PLACE.c.registered)
    return select(UNIT.c.unit).where(
        UNIT.c.ledger_id == ledger_id, UNIT.c.parent.is_(None), UNIT.c.lifecycle.not_in(ENDED),
        not_(UNIT.c.place.in_(known)),
    )  # fmt: skip


def _at_place(ledger_id: int, asked: Asked) -> Select[str]:
    here = select(PLACE.c.place).where(PLACE.c.ledger_id == ledger_id, below(asked.path))
    return select(UNIT.c.unit).where(
        and_(UNIT.c.ledger_id == ledger_id, UNIT.c.place.in_(here)), UNIT.c.parent.is_(None),
        UNIT.c.lifecycle.not_in(ENDED),
    )  # fmt: skip


def _label(ledger_id: int, asked: Asked) -> Select[str]:
    return select(LABEL.c.label).where(LABEL.c.ledger_id == ledger_id, LABEL.c.label == asked.label)


CLAIMS: Mapping[Kind, Claim] = {
    "no_unit_of_item": Claim(
        ("item",), ("contest",),
        {
            "id": "Belum ada unit barang {item}{of_contest} yang didaftarkan.",
            "en": "No unit of item {item}{of_contest} has been commissioned.",
        },
        _of_item,
    ),
    "no_unit_outside_registered_places": Claim(
        (), (),
        {
            "id": "Tidak ada unit yang dikuasai di luar tempat yang terdaftar.",
            "en": "No unit is held outside registered places.",
        },
        _outside,
    ),
    "no_unit_in_region": Claim(
        ("place",), (),
        {
            "id": "Tidak ada unit yang dikuasai di {place} atau di bawahnya.",
            "en": "No unit is held at {place} or below it.",
        },
        _at_place,
    ),
    "no_label": Claim(
        ("label",), (),
        {"id": "Label {label} tidak pernah diterbitkan.", "en": "Label {label} was never issued."},
        _label,
    ),
}  # fmt: skip
"""Every kind of statement there is, with its words in both languages."""


def state(session: ReadSession, ledger_id: int, kind: Kind, asked: Asked) -> Answer:
    """Say whether a statement is so, as of the newest checkpoint of this snapshot.

    Args:
        session: Reading; one snapshot, so that units and checkpoint are of one tree.
        ledger_id: The ledger.
        kind: Which statement.
        asked: What it is about.

    Returns:
        `claim`, what it is about, `holds`, its words in Indonesian and English, `size`, `checkpoint` (the signed
        note).

    Raises:
        MissingError: Nothing is signed yet; or the policy knows no such region.
    """
    last = Reader(ledger_id).last_checkpoint(session)
    if last is None:
        raise MissingError("Nothing is signed on this ledger yet.")
    claim = CLAIMS[kind]
    if asked.place is not None:
        asked = replace(asked, path=_region(session, ledger_id, asked.place))
    holds = session.execute(claim.against(ledger_id, asked).limit(1)).first() is None
    about: dict[str, JsonValue] = {
        name: getattr(asked, name) for name in (*claim.needs, *claim.may) if getattr(asked, name) is not None
    }
    return {
        "claim": kind, "about": about, "holds": holds, "text": _words(claim, asked, holds=holds), "size": last[0],
        "checkpoint": last[1].decode(),
    }  # fmt: skip


def _region(session: ReadSession, ledger_id: int, place: str) -> str:
    """Return where a region lies; of a store, a vehicle or a station nobody is told what is there (section 12.5)."""
    found: str | None = session.execute(
        select(PLACE.c.path).where(PLACE.c.ledger_id == ledger_id, PLACE.c.place == place, PLACE.c.kind == "REGION")
    ).scalar()
    if found is None:
        raise MissingError("The policy knows no such region.", place=place)
    return found


_FALSE = {"id": "Pernyataan ini tidak benar: {text}", "en": "This statement is not true: {text}"}


def _words(claim: Claim, asked: Asked, *, holds: bool) -> Answer:
    of_contest = {"id": f" untuk {asked.contest}", "en": f" of {asked.contest}"} if asked.contest else {}
    told: Answer = {}
    for language, text in claim.words.items():
        said = text.format(
            item=asked.item, place=asked.place, label=asked.label, of_contest=of_contest.get(language, "")
        )
        told[language] = said if holds else _FALSE[language].format(text=said)
    return told
