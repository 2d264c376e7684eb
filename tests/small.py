"""A small country for tests: one city, two villages, three stations, six agencies, one election."""

from typing import Any

KPU, PROV, POS, POL, BWS, TNI, GOV = (
    "KPU-6474",
    "KPU-64",
    "POS",
    "POLRES-6474",
    "BAWASLU-6474",
    "KODIM-6474",
    "PEMKOT-6474",
)
ELECTION = "PILKADA-2024"
CITY, WAREHOUSE, HUB, HALL, TRUCK = "64.74", "WH-6474", "WH-64", "HALL-6474", "TRUCK-1"
PPK, PPS_A, PPS_B = "PPK-01", "PPS-A", "PPS-B"
TPS1, TPS2, TPS3 = "TPS-A-1", "TPS-A-2", "TPS-B-1"
BURN = "BURN-6474"

ROLES: list[dict[str, Any]] = [
    {"role": "LOGISTIK", "agency_kinds": ["commission"], "capacities": ["giver", "taker", "second", "witness", "approver"]},
    {"role": "PPK_KEC", "agency_kinds": ["commission"], "capacities": ["giver", "taker", "second", "witness"]},
    {"role": "PPS", "agency_kinds": ["commission"], "capacities": ["giver", "taker", "second", "witness"]},
    {"role": "KPPS", "agency_kinds": ["commission"], "capacities": ["giver", "taker", "second", "witness"]},
    {"role": "TRANSPORTIR", "agency_kinds": ["carrier"], "capacities": ["giver", "taker", "second", "witness"]},
    {"role": "POLRI", "agency_kinds": ["police", "military"], "capacities": ["escort", "witness", "approver", "giver"]},
    {"role": "PENGAWAS", "agency_kinds": ["supervisor"], "capacities": ["witness", "approver", "second", "giver"]},
    {"role": "SAKSI_PEMUSNAHAN", "agency_kinds": ["government", "military"], "capacities": ["witness"]},
]  # fmt: skip


def place(id_: str, kind: str, parent: str | None, name: str | None = None) -> dict[str, Any]:
    """Return a place of the policy."""
    return {"id": id_, "name": name or id_, "kind": kind, "parent": parent, "zone": "Asia/Makassar"}


def policy(**changes: Any) -> dict[str, Any]:
    """Return the policy document of the small country."""
    document: dict[str, Any] = {
        "v": 1, "kind": "policy", "title": "Kebijakan uji",
        "elections": [{
            "id": ELECTION, "name": "Pilkada 2024", "date": "2024-11-27", "zone": "Asia/Makassar", "reserve_permille": 25,
            "contests": [{"id": "PILGUB", "name": "Gubernur"}, {"id": "PILWALI", "name": "Wali Kota", "revote": 2000}],
        }],
        "items": [
            {"code": "BALLOT", "name_id": "surat suara", "name_en": "ballot paper", "item_class": "V", "unit_of_measure": "lembar",
             "kind": "lot", "sensitivity": "accountable", "inspect_first": True, "per_contest": True},
            {"code": "BOX_TPS", "name_id": "kotak suara", "name_en": "ballot box", "item_class": "V", "unit_of_measure": "buah",
             "kind": "serialised", "sensitivity": "controlled", "seal_required": True},
            {"code": "LOAD", "name_id": "muatan", "name_en": "load", "item_class": "-", "unit_of_measure": "muatan",
             "kind": "serialised", "sensitivity": "general"},
            {"code": "BOOTH", "name_id": "bilik suara", "name_en": "booth", "item_class": "V", "unit_of_measure": "buah",
             "kind": "lot", "sensitivity": "general"},
        ],
        "agencies": [
            {"id": KPU, "name": "KPU Kota", "kind": "commission"}, {"id": PROV, "name": "KPU Provinsi", "kind": "commission"},
            {"id": POS, "name": "Pos", "kind": "carrier"}, {"id": POL, "name": "Polres", "kind": "police"},
            {"id": BWS, "name": "Bawaslu Kota", "kind": "supervisor"}, {"id": TNI, "name": "Kodim", "kind": "military"},
            {"id": GOV, "name": "Pemkot", "kind": "government"},
        ],
        "places": [
            place("64", "REGION", None), place(HUB, "WH_KPU", "64"), place(CITY, "REGION", "64"), place(WAREHOUSE, "WH_KPU", CITY),
            place(HALL, "SORT_HALL", CITY), place(BURN, "DESTRUCTION_SITE", CITY), place(TRUCK, "VEHICLE", CITY),
            place("64.74.01", "REGION", CITY), place(PPK, "PPK_KEC", "64.74.01"),
            place("64.74.01.A", "REGION", "64.74.01"), place("64.74.01.B", "REGION", "64.74.01"),
            place(PPS_A, "PPS", "64.74.01.A"), place(PPS_B, "PPS", "64.74.01.B"),
            place(TPS1, "TPS", "64.74.01.A"), place(TPS2, "TPS", "64.74.01.A"), place(TPS3, "TPS", "64.74.01.B"),
        ],
        "signing": [
            {"sensitivity": "accountable", "release": {"officers": 2, "escort": True}, "accept": {"officers": 2}},
            {"sensitivity": "controlled", "release": {"officers": 1}, "accept": {"officers": 1}},
        ],
        "roles": ROLES, "destruction": {"witnesses": 4, "kinds": ["police", "supervisor", "military", "government"]},
    }  # fmt: skip
    return {**document, **changes}


def station(id_: str, voters: int, district: str = "DAPIL-1") -> dict[str, Any]:
    """Return a station of the plan."""
    return {
        "place": id_, "voters": voters,
        "districts": [{"contest": "PILGUB", "district": "64"}, {"contest": "PILWALI", "district": district}],
        "kit": [
            {"item": "BOX_TPS", "quantity": 2},
            *({"item": "BALLOT", "contest": c, "quantity": voters + (voters * 25 + 999) // 1000} for c in ("PILGUB", "PILWALI")),
        ],
        "deliver_by": "2024-11-26T23:59:59+08:00",
    }  # fmt: skip


def plan(**changes: Any) -> dict[str, Any]:
    """Return the plan document of the small country."""
    document: dict[str, Any] = {
        "v": 1, "kind": "plan", "election": ELECTION, "title": "Rencana uji", "synthetic": True,
        "stations": [station(TPS1, 100), station(TPS2, 200), station(TPS3, 300, "DAPIL-2")],
        "stops": [{"place": PPS_A, "deliver_by": "2024-11-26T18:00:00+08:00"}],
    }  # fmt: skip
    return {**document, **changes}
