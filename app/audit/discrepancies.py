"""Contradictions that the rules found, told in neutral words: a fact and a rule, never an accusation.

`list_discrepancies` answers `GET /v1/discrepancies`. A discrepancy is open and unexplained until somebody
signs an explanation or a later event resolves it; the original stays visible (domain reference sections 11
and 12.9). Facts name no person.
"""

from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select

from app.audit.places import Answer, Places, utc
from app.audit.scope import Scope, subtree
from app.canon import JsonValue
from app.custody._tables import DISCREPANCY, EVENT
from app.custody.state import Discrepancy
from app.db import ReadSession
from app.errors import MalformedError
from app.keys.grants import Viewer

MAX_DISCREPANCIES = 200
COLUMNS: tuple[ColumnElement[Any], ...] = tuple(DISCREPANCY.c[field.name] for field in fields(Discrepancy))
IN_ORDER = (DISCREPANCY.c.leaf_index, func.length(DISCREPANCY.c.id), DISCREPANCY.c.id)

WORDS = {
    "open": {"id": "terbuka, belum dijelaskan", "en": "open, unexplained"},
    "explained": {"id": "ditutup, telah dijelaskan", "en": "closed, explained"},
    "resolved": {"id": "selesai oleh peristiwa berikutnya", "en": "resolved by a later event"},
}
RULE_WORDS = {
    "CAPACITY_EXCEEDED": "melebihi daya muat wadah", "KIT_EXCEEDED": "melebihi kebutuhan TPS menurut rencana",
    "KIT_SHORT": "perlengkapan TPS kurang menurut rencana", "NOT_IN_KIT": "tidak ada dalam rencana TPS",
    "WRONG_STOP": "di luar rute rencana",
    "CLOCK_SUSPECT": "jam perangkat perlu diperiksa", "DAMAGED": "rusak", "EARLY_RELEASE": "keluar sebelum jadwal",
    "EVENT_ID_REUSE": "nomor peristiwa dipakai dua kali", "HANDOVER_CONTRADICTED": "serah terima bertentangan",
    "INSPECTION_INCOMPLETE": "pemeriksaan belum lengkap",
    "INSPECTION_NOT_COUNTED": "hasil pemeriksaan tidak dihitung",
    "LATE": "terlambat", "LINE_CONFLICT": "baris serah terima bertentangan", "MANDATE_EXPIRED": "di luar masa mandat",
    "MISSING_SEEN": "barang yang dicatat hilang terlihat", "MOVED_UNDER_HOLD": "berpindah dalam penahanan",
    "NO_ESCORT": "tanpa pengawalan", "OVER": "lebih", "OVERDUE": "melewati tenggat",
    "PENDING_OVERDUE": "peristiwa pendahulu belum tiba", "PLACE_UNREGISTERED": "tempat tidak terdaftar",
    "REJECTED": "ditolak penerima", "RESURRECTED_UNIT": "unit yang tercatat musnah terlihat",
    "RETIRED_LABEL": "label lama terpindai", "SEAL_BROKEN": "segel rusak", "SEAL_LOOSE": "segel longgar",
    "SEAL_MISMATCH": "nomor segel tidak cocok", "SEAL_MISSING": "segel tidak ada", "SEAL_REPLACED": "segel diganti",
    "SEAL_REUSE": "nomor segel dipakai dua kali", "SECRECY_WALL": "di balik dinding kerahasiaan",
    "SELF_ACCEPT": "kedua sisi oleh petugas yang sama", "SEQUENCE_FORK": "urutan perangkat bercabang",
    "SEQUENCE_GAP": "urutan perangkat belum lengkap", "SHORT": "kurang", "SPLIT_VIEW": "riwayat buku besar berbeda",
    "UNKNOWN_LABEL": "label tidak dikenal", "UNSEALED": "belum disegel", "UNSOLICITED": "kiriman tanpa pelepasan",
    "WITNESS_REFUSED": "saksi menolak menandatangani", "WRONG_DAPIL": "tertukar dapil",
    "WRONG_DEST": "salah tujuan", "WRONG_KIND": "salah jenis",
}  # fmt: skip
"""Rule in Indonesian, for people; a rule that is not here is told by its code."""


def list_discrepancies(
    session: ReadSession, ledger_id: int, viewer: Viewer, *,
    rule: str | None = None, status: str | None = None, unit: str | None = None, handover: str | None = None,
    place: str | None = None, agency: str | None = None, severity: str | None = None,
    after: str | None = None, limit: int = 50,
) -> Answer:  # fmt: skip
    """List the discrepancies that the viewer sees, in ledger order.

    Args:
        session: Reading.
        ledger_id: The ledger.
        viewer: Who asks.
        rule: Of this rule, such as `SHORT`.
        status: `open`, `explained` or `resolved`.
        unit: About this unit (or unknown label).
        handover: About the handover of this release.
        place: Noted for this place or one below it.
        agency: Noted of an event by this agency.
        severity: Of this severity.
        after: The last id of the page before.
        limit: At most 200.

    Returns:
        `items` and `next`, the id to go on after, or None.

    Raises:
        MissingError: `place` is none that the viewer sees.
        MalformedError: `cursor`, `after` is no discrepancy's id.
    """
    scope, limit = Scope.of(session, ledger_id, viewer), min(limit, MAX_DISCREPANCIES)
    query = select(*COLUMNS).where(DISCREPANCY.c.ledger_id == ledger_id, scope.discrepancy_in()).order_by(*IN_ORDER)
    equal = {
        "rule": rule, "status": status, "unit": unit, "handover": handover, "agency": agency, "severity": severity,
    }  # fmt: skip
    for name, value in equal.items():
        query = query.where(DISCREPANCY.c[name] == value) if value is not None else query
    if place is not None:
        query = query.where(DISCREPANCY.c.place.in_(subtree(session, scope, place)))
    if after is not None:
        query = query.where(_beyond(after))
    found = [Discrepancy(*row) for row in session.execute(query.limit(limit + 1))]
    page = found[:limit]
    return {"items": tell(session, ledger_id, page), "next": page[-1].id if len(found) > limit else None}


def _beyond(after: str) -> ColumnElement[bool]:
    """Return the predicate that a discrepancy comes after one: `<leaf index>-<n>`, both as numbers."""
    leaf_index, _, n = after.partition("-")
    if not (leaf_index.isascii() and leaf_index.isdigit() and n.isascii() and n.isdigit() and len(after) < 40):
        raise MalformedError("The cursor is none of this list.", code="cursor")
    longer = func.length(DISCREPANCY.c.id) > len(after)
    same = and_(func.length(DISCREPANCY.c.id) == len(after), DISCREPANCY.c.id > after)
    index = int(leaf_index)
    return or_(DISCREPANCY.c.leaf_index > index, and_(DISCREPANCY.c.leaf_index == index, or_(longer, same)))


def of_unit(session: ReadSession, ledger_id: int, unit: str, limit: int = 50) -> tuple[int, list[JsonValue]]:
    """Return how many discrepancies of a unit are open, and the first of them; the caller sees the unit.

    They are put in order here: asked to, SQLite would walk the ledger's discrepancies in order instead.
    """
    here = and_(DISCREPANCY.c.ledger_id == ledger_id, DISCREPANCY.c.unit == unit, DISCREPANCY.c.status == "open")
    found = [Discrepancy(*row) for row in session.execute(select(*COLUMNS).where(here))]
    found.sort(key=lambda row: (row.leaf_index, len(row.id), row.id))
    return len(found), tell(session, ledger_id, found[:limit])


def tell(session: ReadSession, ledger_id: int, found: Iterable[Discrepancy]) -> list[JsonValue]:
    """Tell discrepancies with the event that each was noted of; two statements for any number."""
    rows = list(found)
    events = {
        row["hash"]: row
        for row in session.execute(
            select(
                EVENT.c.hash, EVENT.c.type, EVENT.c.agency, EVENT.c.officer, EVENT.c.place, EVENT.c.at_ms,
                EVENT.c.received_ms, EVENT.c.result, EVENT.c.code,
            ).where(EVENT.c.ledger_id == ledger_id, EVENT.c.hash.in_({d.event for d in rows}))
        ).mappings()
    }  # fmt: skip
    places = Places.load(session, ledger_id, (d.place for d in rows))
    return [_as_json(d, events[d.event], places) for d in rows]


def _as_json(found: Discrepancy, event: Any, places: Places) -> Answer:
    words = WORDS.get(found.status, {"id": found.status, "en": found.status})
    facts: Any = found.facts
    return {
        "id": found.id, "index": found.leaf_index, "rule": found.rule, "severity": found.severity,
        "status": found.status, "text": dict(words), "rule_text": RULE_WORDS.get(found.rule, found.rule),
        "unit": found.unit, "handover": found.handover, "place": found.place, "place_name": places.name(found.place),
        "agency": found.agency, "claimed_at": utc(found.at_ms), "claimed_local": places.local(found.at_ms, found.place),
        "facts": facts, "ended_index": found.ended_index,
        "explained": [{"agency": agency, "event": by, "reason": reason} for agency, by, reason, _ in found.explained],
        "objections": list(found.objections),
        "event": {
            "event": event["hash"], "index": found.leaf_index, "type": event["type"], "result": event["result"],
            "code": event["code"], "agency": event["agency"], "officer": event["officer"], "place": event["place"],
            "received_at": utc(event["received_ms"]),
        },
    }  # fmt: skip
