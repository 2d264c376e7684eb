"""What the demonstration ends with, asked over HTTP like any auditor would: balance, open rows, one box's story.

The figures of the ledger stand beside the published ones; the discrepancies beside the table of what had to
go wrong; the box's story beside its proof, which is verified here with nothing but the downloaded file and the
pinned genesis.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.cli.demo import irregular
from app.cli.demo.figures import ELECTION
from app.cli.demo.troupe import Troupe
from app.cli.demo.wire import Door

FIGURES = (
    ("ordered", "ordered, on the waybill"),
    ("over", "over-delivery"),
    ("replacements", "replacements"),
    ("allocated", "packed for 277 stations"),
    ("revote", "kept for a re-vote"),
    ("destroyed_excess", "destroyed, excess"),
    ("destroyed_damaged", "destroyed, damaged"),
)
"""Figures of the balance and what they mean; those above `allocated` came in, the rest is where they went."""


def published(figures: Mapping[str, Any], contest: str) -> dict[str, int]:
    """Return the published figures of a contest, by the ledger's names."""
    november = figures["election_nov_2024"]
    split = november["ballots_breakdown"]
    return {
        "ordered": november["ballots_ordered"][contest],
        "over": november["excess_destroyed"][contest],
        "replacements": november["damaged_destroyed"][contest],
        "allocated": split["voters"] + split["reserve"],
        "revote": split.get(f"revote_{contest}", 0),
        "destroyed_excess": november["excess_destroyed"][contest],
        "destroyed_damaged": november["damaged_destroyed"][contest],
    }


def balance(door: Door, figures: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the balance of each contest: the ledger's figures beside the published ones."""
    told = door.get("/v1/reconciliation", election=ELECTION)
    found: list[dict[str, Any]] = []
    for contest in told["contests"]:
        ledger = {figure["figure"]: figure for figure in contest["figures"]}
        right = published(figures, contest["contest"])
        lines = [
            {"figure": name, "meaning": meaning, "ledger": ledger[name]["quantity"], "published": right[name],
             "contributions": ledger[name]["count"]}
            for name, meaning in FIGURES
        ]  # fmt: skip
        identities = [
            {name: i[name] for name in ("number", "name", "difference", "holds")} for i in contest["identities"]
        ]
        equal = all(line["ledger"] == line["published"] for line in lines) and all(i["holds"] for i in identities)
        found.append({"contest": contest["contest"], "lines": lines, "identities": identities, "equal": equal})
    return found


def discrepancies(door: Door, names: Mapping[str, str]) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the open discrepancies, each with the reason that the story gives, and what differs from the table."""
    told = door.pages("/v1/discrepancies", status="open")
    reasons: dict[irregular.Row, list[str]] = {}
    for expected in irregular.EXPECTED:
        reasons.setdefault(expected.row(names), []).append(expected.why)
    kept = (
        "id",
        "index",
        "rule",
        "rule_text",
        "severity",
        "unit",
        "handover",
        "place",
        "place_name",
        "claimed_local",
        "facts",
    )
    found: list[dict[str, Any]] = []
    for row in told:
        why = reasons.get((row["rule"], row["unit"], row["handover"], row["place"]), [])
        found.append({**{name: row.get(name) for name in kept}, "why": why.pop(0) if why else None})
    return found, irregular.differences(told, names)


def expected(names: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the table of what had to go wrong, with the ids of this performance."""
    columns = ("rule", "unit", "handover", "place")
    return [{**dict(zip(columns, e.row(names), strict=True)), "why": e.why} for e in irregular.EXPECTED]


def story(door: Door, box: str) -> list[dict[str, Any]]:
    """Return the history of a box, row by row."""
    return door.pages(f"/v1/units/{box}/history")


def evidence(door: Door, box: str, folder: Path) -> Path:
    """Download the evidence bundle of a box and keep it."""
    path = folder / f"evidence-{box}.zip"
    path.write_bytes(door.download(f"/v1/units/{box}/evidence"))
    return path


def box_of_the_story(troupe: Troupe) -> tuple[str, str]:
    """Return the box whose story is told, and what it is: the one that was seen in the wrong village."""
    place, contest = irregular.STRAY_BOX
    name = next(station.name for station in troupe.stations if station.place == place)
    return troupe.goods.boxes[place, contest], f"{contest} box of {name}"
