"""What the minutes of an inspection need (berita acara pemeriksaan), gathered from what is told of it (pure).

How they look on paper is for whoever prints them. Nothing is added here: whatever disagrees, was left out, or rests on
the ledger's word alone becomes a remark, in the order in which a reader must know it.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from app.canon import JsonValue
from app.errors import ConflictError

Answer = dict[str, JsonValue]

REMARKS = {
    "inventory": "Daftar barang yang dinyatakan pembuka tidak sama dengan daftar menurut buku besar.",
    "sample": "Sampel yang dinyatakan penutup tidak sama dengan sampel hasil undian.",
    "not_drawn": "Sampel belum diundi ketika pemeriksaan ditutup.",
    "unwitnessed": "Tidak ada benih publik: benih hanya kata penyelenggara buku besar.",
    "incomplete": "Pemeriksaan ditutup sebelum seluruh sampel diperiksa.",
    "skipped": "Sebagian sampel dilewati; alasannya tercantum.",
    "aside": "Sebagian barang yang diperiksa bukan bagian sampel dan tidak dihitung.",
}
"""What a reader of the minutes must know, by what it is about."""


def minutes_of(told: Mapping[str, Any]) -> Answer:
    """Gather the minutes of an inspection that is closed.

    Args:
        told: As `app.audit.inspections.one_inspection` tells it.

    Returns:
        `number`, `place`, times in its zone, `frozen`, `sample`, the units by what became of them, `sentences` in
        Indonesian, `remarks`, and `signatures`: who signed which of the events, as what.

    Raises:
        ConflictError: `inspection_state`, it is not closed yet.
    """
    close = told["close"]
    if close is None:
        raise ConflictError("Minutes are written when the inspection is closed.", code="inspection_state")
    units = told["sample"].get("units", ())
    seed = told["sample"].get("seed")
    return {
        "number": close["minutes"], "inspection": told["inspection"], "kind": told["kind_text"],
        "election": told["election"], "place": told["place"], "place_name": told["place_name"],
        "agency": told["agency"], "opened": told["opened_local"], "closed": close["local"],
        "frozen": told["freeze"]["inventory"], "sample": {name: told["sample"].get(name) for name in ("n", "hash")},
        "seed": {name: seed[name] for name in ("value", "size", "witnessed")} if seed is not None else None,
        "findings": [one["unit"] for one in units if one["state"] == "found"],
        "skipped": [{"unit": one["unit"], "reason": one["reason"]} for one in units if one["state"] == "skipped"],
        "left": [one["unit"] for one in units if one["state"] == "open"],
        "sentences": [one["text"]["id"] for one in (told["statement"] or {}).values() if one is not None],
        "remarks": [REMARKS[about] for about in _remarks(told)], "signatures": _signatures(told["events"]),
    }  # fmt: skip


def _remarks(told: Mapping[str, Any]) -> list[str]:
    sample, progress = told["sample"], told["progress"] or {}
    holds = {
        "inventory": not told["freeze"]["agrees"],
        "sample": sample.get("agrees") is False,
        "not_drawn": sample["state"] == "not_drawn",
        "unwitnessed": sample["state"] == "drawn" and not sample["seed"]["witnessed"],
        "incomplete": told["close"]["incomplete"] or bool(progress.get("left")),
        "skipped": bool(progress.get("skipped")),
        "aside": bool(progress.get("aside")),
    }
    return [about for about in REMARKS if holds[about]]


def _signatures(events: Iterable[Mapping[str, Any]]) -> list[JsonValue]:
    """Return each officer once per capacity, with the events that he signed so."""
    signed: dict[tuple[str, str, str], list[JsonValue]] = {}
    for event in events:
        for one in event["signers"]:
            key = (one["agency"], one["officer"], one["capacity"])
            signed.setdefault(key, []).append({"event": event["event"], "type": event["type"]})
    return [
        {"agency": agency, "officer": officer, "capacity": capacity, "events": of}
        for (agency, officer, capacity), of in signed.items()
    ]
