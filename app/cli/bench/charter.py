"""What the benchmark's ledger is judged by: its policy, and the plan of a city of 500 polling stations (pure)."""

from typing import Any

AGENCY, REGION, ELECTION = "KPU-BENCH", "64", "BENCH-2024"
PLACES, ROLES = ("WH-A", "WH-B"), ("WAREHOUSE", "TRANSPORT")
LOAD, BOX, BALLOT = "LOAD", "BOX_TPS", "BALLOT"
"""Goods that one officer a side hands over, goods that two must, and ballots, which are counted."""
CONTESTS = ("PRESIDENT", "DPD", "DPR", "PROVINCE", "CITY")
STATIONS = 500
VOTERS, RESERVE_PERMILLE = 280, 25
ZONE = "Asia/Makassar"


def policy(today: str) -> dict[str, Any]:
    """Return the policy: one agency, two warehouses, a city's stations, and the rule of one or two officers."""
    one, two = {"officers": 1}, {"officers": 2}
    capacities = ["giver", "taker", "second", "witness", "approver"]
    return {
        "v": 1, "kind": "policy", "title": "Benchmark",
        "elections": [{
            "id": ELECTION, "name": "Benchmark", "date": today, "zone": ZONE,
            "reserve_permille": RESERVE_PERMILLE,
            "contests": [{"id": contest, "name": contest} for contest in CONTESTS],
        }],
        "items": [
            _item(LOAD, "muatan", "load", "general"), _item(BOX, "kotak suara", "ballot box", "controlled"),
            {**_item(BALLOT, "surat suara", "ballot paper", "accountable"), "kind": "lot", "per_contest": True},
        ],
        "agencies": [{"id": AGENCY, "name": "Benchmark", "kind": "commission"}],
        "places": [
            {"id": REGION, "name": "Region", "kind": "REGION"},
            *({"id": place, "name": place, "kind": "WH_KPU", "parent": REGION} for place in PLACES),
            *({"id": station(n), "name": station(n), "kind": "TPS", "parent": REGION} for n in range(STATIONS)),
        ],
        "signing": [
            {"sensitivity": "general", "release": one, "accept": one},
            {"sensitivity": "controlled", "release": two, "accept": two},
            {"sensitivity": "accountable", "release": two, "accept": two},
        ],
        "roles": [{"role": role, "agency_kinds": ["commission"], "capacities": capacities} for role in ROLES],
    }  # fmt: skip


def _item(code: str, indonesian: str, english: str, sensitivity: str) -> dict[str, Any]:
    return {
        "code": code, "name_id": indonesian, "name_en": english, "item_class": "-", "unit_of_measure": indonesian,
        "kind": "serialised", "sensitivity": sensitivity,
    }  # fmt: skip


def station(number: int) -> str:
    """Return the place of a polling station."""
    return f"TPS-{number:03}"


def ballots() -> int:
    """Return how many ballots of a contest a station needs: a voter each and the reserve, rounded up."""
    return VOTERS + (VOTERS * RESERVE_PERMILLE + 999) // 1000


def plan() -> dict[str, Any]:
    """Return the plan: every station votes in every contest, and gets its ballots."""
    districts = [{"contest": contest, "district": REGION} for contest in CONTESTS]
    kit = [{"item": BALLOT, "contest": contest, "quantity": ballots()} for contest in CONTESTS]
    return {
        "v": 1, "kind": "plan", "election": ELECTION, "title": "Benchmark", "synthetic": True,
        "stations": [
            {"place": station(n), "voters": VOTERS, "districts": districts, "kit": kit, "escort": False}
            for n in range(STATIONS)
        ],
    }  # fmt: skip
