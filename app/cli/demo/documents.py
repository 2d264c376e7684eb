"""The policy and the plan that the demonstration publishes (pure): agencies, places, items, rules, stations.

Region codes and names are under the ODbL (see NOTICE); the split of voters and the stations reached by boat
are synthetic, which both documents say in their titles.
"""

from collections.abc import Iterable
from typing import Any

from app.cli.demo.figures import ELECTION
from app.cli.demo.plan import RESERVE_PERMILLE, Station

Json = dict[str, Any]

CONTESTS = ("PILGUB", "PILWALI")
PROVINCE, CITY = "64", "64.74"
KPU_PROVINCE, KPU, CARRIER = "KPU-64", "KPU-6474", "POS"
POLICE_PROVINCE, POLICE, SUPERVISOR = "POLDA-64", "POLRES-6474", "BAWASLU-6474"
MILITARY, GOVERNMENT = "KODIM-6474", "PEMKOT-6474"
AGENCIES: dict[str, tuple[str, str]] = {
    KPU_PROVINCE: ("KPU Provinsi Kalimantan Timur", "commission"),
    KPU: ("KPU Kota Bontang", "commission"),
    SUPERVISOR: ("Bawaslu Kota Bontang", "supervisor"),
    POLICE: ("Polres Bontang", "police"),
    POLICE_PROVINCE: ("Polda Kalimantan Timur", "police"),
    MILITARY: ("Kodim Bontang", "military"),
    GOVERNMENT: ("Pemerintah Kota Bontang", "government"),
    CARRIER: ("PT Pos Indonesia", "carrier"),
}
HUB, WAREHOUSE, HALL, BURN_SITE, PRISON = "WH-64", "WH-6474", "HALL-6474", "BURN-6474", "LAPAS-6474"
POST_TRUCK, TRUCKS, BOATS = "TRUCK-POS", ("TRUCK-1", "TRUCK-2", "TRUCK-3"), ("BOAT-1", "BOAT-2", "BOAT-3", "BOAT-4")
PORTS = {"64.74.01": "PORT-LOKTUAN", "64.74.02": "PORT-TANJUNG-LAUT"}

BOX, BALLOT, LOAD, BOOTH, INK, TIE, STICKER = "BOX_TPS", "BALLOT", "LOAD", "BOOTH", "INK", "SEAL_TIE", "SEAL_PAPER"
PER_STATION = {BOOTH: 4, INK: 2, TIE: 12, STICKER: 48}
BALLOTS_PER_BOX, BOXES_PER_LOAD = 700, 60
"""What a box and a truck hold: our reading of 600 voters a station and of trucks with 58 to 60 boxes."""
PPS_DEADLINE = "2024-11-26T18:00:00+08:00"
STATION_DEADLINE = "2024-11-26T23:59:59+08:00"
NOT_BEFORE = "2024-11-26T00:00:00+08:00"


def ppk(district: str) -> str:
    """Return the place of a district's committee."""
    return f"PPK-{district}"


def pps(village: str) -> str:
    """Return the place of a village's committee."""
    return f"PPS-{village}"


def district_of(contest: str) -> str:
    """Return the electoral district that every station of the city votes in: the province or the city."""
    return PROVINCE if contest == "PILGUB" else CITY


def _place(id_: str, kind: str, parent: str | None, name: str, **more: Any) -> Json:
    return {"id": id_, "name": name, "kind": kind, "parent": parent, "zone": "Asia/Makassar", **more}


def _item(code: str, indonesian: str, english: str, class_: str, unit: str, sensitivity: str, **more: Any) -> Json:
    kind = "serialised" if code in {BOX, LOAD} else "lot"
    return {
        "code": code, "name_id": indonesian, "name_en": english, "item_class": class_, "unit_of_measure": unit,
        "kind": kind, "sensitivity": sensitivity, **more,
    }  # fmt: skip


def items() -> list[Json]:
    """Return the catalogue: what travels in this story, of the classes that the regulation fixes."""
    return [
        _item(
            BALLOT, "surat suara", "ballot paper", "V", "lembar", "accountable", inspect_first=True, per_contest=True
        ),
        _item(BOX, "kotak suara", "ballot box", "V", "buah", "controlled", seal_required=True),
        _item(BOOTH, "bilik suara", "booth", "V", "buah", "general"),
        _item(INK, "tinta", "ink", "V", "botol", "controlled"),
        _item(TIE, "segel plastik / kabel ties", "plastic seal", "S", "buah", "accountable"),
        _item(STICKER, "segel kertas / stiker", "paper seal", "V", "keping", "accountable"),
        _item(LOAD, "muatan", "load", "-", "muatan", "general"),
    ]


def _role(role: str, kinds: Iterable[str], *capacities: str) -> Json:
    return {"role": role, "agency_kinds": list(kinds), "capacities": list(capacities)}


def roles() -> list[Json]:
    """Return who may sign as what."""
    handles = ("giver", "taker", "second", "witness")
    return [
        _role("SEKRETARIS", ["commission"], *handles, "approver"),
        _role("LOGISTIK", ["commission"], *handles),
        _role("SORLIP", ["commission"], *handles),
        *(_role(role, ["commission"], *handles) for role in ("PPK_KEC", "PPS", "KPPS")),
        _role("TRANSPORTIR", ["carrier"], *handles),
        _role("POLRI", ["police"], "escort", "witness", "approver"),
        _role("TNI", ["military"], "escort", "witness", "approver"),
        _role("PENGAWAS", ["supervisor"], "witness", "approver"),
        _role("PEMDA", ["government"], "witness", "approver"),
        _role("REGISTRAR", ["carrier", "commission", "supervisor", "police", "military", "government"], "approver"),
    ]


def places(figures: Json, found: Iterable[Station]) -> list[Json]:
    """Return the tree of places: regions by Kemendagri code, and what hangs on them."""
    nodes = [
        _place(PROVINCE, "REGION", None, figures["province"]["name"], region="64"),
        _place(HUB, "WH_KPU", PROVINCE, "Gudang KPU Provinsi, Samarinda"),
        _place(POST_TRUCK, "VEHICLE", PROVINCE, "Truk boks PT Pos"),
        _place(CITY, "REGION", PROVINCE, figures["city"]["name"], region=CITY),
        _place(WAREHOUSE, "WH_KPU", CITY, "Gudang KPU Bontang"),
        _place(HALL, "SORT_HALL", CITY, "Tempat sortir-lipat"),
        _place(BURN_SITE, "DESTRUCTION_SITE", CITY, "Lokasi pemusnahan"),
        *(_place(truck, "VEHICLE", CITY, f"Truk {n}") for n, truck in enumerate(TRUCKS, 1)),
        *(_place(boat, "VEHICLE", CITY, f"Kapal {n}") for n, boat in enumerate(BOATS, 1)),
    ]
    for district in figures["districts"]:
        code, name = district["code"], district["name"]
        nodes.append(_place(code, "REGION", CITY, f"Kecamatan {name}", region=code))
        nodes.append(_place(ppk(code), "PPK_KEC", code, f"PPK {name}"))
        if code in PORTS:
            nodes.append(_place(PORTS[code], "PORT", code, PORTS[code].removeprefix("PORT-").title().replace("-", " ")))
    for village in figures["villages"]:
        code, name = village["code"], village["name"]
        nodes.append(
            _place(code, "REGION", village["district"], f"Kelurahan {name}", region=code, aliases=village["aliases"])
        )
        nodes.append(_place(pps(code), "PPS", code, f"PPS {name}"))
    nodes.extend(_station_place(station) for station in found)
    return nodes


def _station_place(station: Station) -> Json:
    kind = "TPS" if station.village else "TPS_LOKSUS"
    return _place(station.place, kind, station.village or CITY, station.name)


def policy_document(figures: Json, found: Iterable[Station]) -> Json:
    """Return the policy: two signatures a side and an escort for ballots, four witnesses for a destruction."""
    november = figures["election_nov_2024"]
    revote = november["ballots_breakdown"]["revote_PILWALI"]
    contests = [
        {"id": "PILGUB", "name": "Gubernur dan Wakil Gubernur", "revote": 0},
        {"id": "PILWALI", "name": "Wali Kota dan Wakil Wali Kota", "revote": revote},
    ]
    side = {"officers": 2}
    return {
        "v": 1, "kind": "policy", "title": "Pilkada Serentak 2024, Kota Bontang (demonstration, synthetic split)",
        "elections": [{
            "id": ELECTION, "name": "Pilkada 2024", "date": november["date"], "zone": "Asia/Makassar",
            "reserve_permille": RESERVE_PERMILLE, "contests": contests,
        }],
        "items": items(), "places": places(figures, found), "roles": roles(),
        "agencies": [{"id": id_, "name": name, "kind": kind} for id_, (name, kind) in AGENCIES.items()],
        "signing": [
            {"sensitivity": "accountable", "release": {**side, "escort": True}, "accept": side},
            {"sensitivity": "controlled", "release": {"officers": 1}, "accept": {"officers": 1}},
            {"sensitivity": "general", "release": {"officers": 1}, "accept": {"officers": 1}},
        ],
        "destruction": {"witnesses": 4, "kinds": ["government", "police", "military", "supervisor"]},
    }  # fmt: skip


def kit(station: Station) -> list[Json]:
    """Return what one station is to receive."""
    return [
        {"item": BOX, "quantity": len(CONTESTS)},
        *({"item": item, "quantity": quantity} for item, quantity in PER_STATION.items()),
        *({"item": BALLOT, "contest": contest, "quantity": station.ballots} for contest in CONTESTS),
    ]


def route(station: Station) -> list[Json]:
    """Return the stops of one station's goods: by boat over a port, the prison's straight from the warehouse."""
    if station.village is None or station.district is None:
        return []
    first = PORTS[station.district] if station.island else ppk(station.district)
    return [{"place": first, "release_from": NOT_BEFORE}, {"place": pps(station.village)}]


def plan_document(figures: Json, found: Iterable[Station]) -> Json:
    """Return the plan: kit, district, route, window and escort per station, capacity, and each village's deadline."""
    return {
        "v": 1, "kind": "plan", "election": ELECTION, "synthetic": True, "reserve_permille": RESERVE_PERMILLE,
        "capacity": [
            {"container": BOX, "item": BALLOT, "quantity": BALLOTS_PER_BOX},
            {"container": LOAD, "item": BOX, "quantity": BOXES_PER_LOAD},
        ],
        "title": "Rencana distribusi Bontang, November 2024: voters per station are a synthetic split",
        "stations": [
            {
                "place": station.place, "voters": station.voters, "kit": kit(station), "escort": True,
                "districts": [{"contest": contest, "district": district_of(contest)} for contest in CONTESTS],
                "release_from": NOT_BEFORE, "deliver_by": STATION_DEADLINE, "reserve": station.reserve,
                "route": route(station),
            }
            for station in found
        ],
        "stops": [
            {"place": pps(village["code"]), "release_from": NOT_BEFORE, "deliver_by": PPS_DEADLINE}
            for village in figures["villages"]
        ],
    }  # fmt: skip
