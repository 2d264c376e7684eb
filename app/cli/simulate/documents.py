"""The policy and the plans that a simulated nation publishes (pure): places, agencies, items, stations.

Goods of polling stations are `accountable`: two officers a side and a police escort, as in the demonstration.
"""

from collections.abc import Iterator
from typing import Any

from app.cli.simulate.counts import station_place
from app.cli.simulate.facts import ABROAD, ELECTION_DAY, GENERAL, contests
from app.cli.simulate.nation import ELECTIONS, City
from app.cli.simulate.sample import Sample

Json = dict[str, Any]

BOX, KIT, BALLOT = "BOX_TPS", "KIT", "BALLOT"
MAX_PLACES, MAX_STATIONS, MAX_DOCUMENT_BYTES = 40_000, 20_000, 8 * 1024 * 1024
"""What one policy and one plan may hold (`app.units.documents`)."""
VOTERS = {GENERAL: 249, ELECTIONS[1]: 468}
"""Voters of a station on average: 204.8 M over 823,220, and 203.7 M over 435,296."""
ROLE_OF = {"hub": "KPU_PROV", "city": "LOGISTIK", "district": "PPK_KEC", "village": "PPS", "station": "KPPS"}
POLICE = "POLRI"


def agency(province: str) -> str:
    """Return the commission of a province."""
    return f"KPU-{province}"


def police(province: str) -> str:
    """Return the police of a province."""
    return f"POLDA-{province}"


def depot(level: str, region: str) -> str:
    """Return the place where goods of a region lie: its warehouse or its committee's; a station is its own."""
    return region if level == "station" else f"{ {'district': 'PPK', 'village': 'PPS'}.get(level, 'WH') }-{region}"


def _place(id_: str, kind: str, parent: str | None, name: str) -> Json:
    return {"id": id_, "name": name, "kind": kind, **({"parent": parent} if parent else {})}


def places(found: Sample) -> Iterator[Json]:
    """Yield every place of a sample, regions before what hangs on them."""
    cities = found.cities()
    for code in sorted({city.province for city in cities}):
        yield _place(code, "REGION", None, f"Provinsi {code}" if code != ABROAD else "Luar negeri")
        yield _place(depot("hub", code), "WH_KPU", code, f"Gudang KPU Provinsi {code}")
    for city in cities:
        yield _place(city.code, "REGION", city.province, f"Kabupaten/kota {city.code}")
        yield _place(depot("city", city.code), "WH_KPU", city.code, f"Gudang KPU {city.code}")
    above = {village.district: village.city for village in found.villages}
    for district, city in above.items():
        yield _place(district, "REGION", city.code, f"Kecamatan {district}")
        yield _place(depot("district", district), "PPK_KEC", district, f"PPK {district}")
    for village in found.villages:
        yield _place(village.place, "REGION", village.district, f"Kelurahan/desa {village.place}")
        yield _place(depot("village", village.place), "PPS", village.place, f"PPS {village.place}")
        for election in ELECTIONS:
            for n in range(village.stations[election]):
                place = station_place(village, election, n)
                yield _place(place, "TPS", village.place, f"TPS {place}")


def places_of(city: City) -> int:
    """Return how many places a whole city needs in a policy, its province's two included."""
    return 4 + 2 * (city.districts + city.villages) + sum(city.stations.values())


def _item(code: str, indonesian: str, english: str, sensitivity: str, **more: Any) -> Json:
    return {
        "code": code, "name_id": indonesian, "name_en": english, "item_class": "V", "unit_of_measure": "buah",
        "kind": "serialised", "sensitivity": sensitivity, **more,
    }  # fmt: skip


def policy_document(found: Sample) -> Json:
    """Return the policy: both elections, every place, two signatures a side and an escort for goods of stations."""
    provinces = sorted({city.province for city in found.cities()})
    two, one = {"officers": 2}, {"officers": 1}
    return {
        "v": 1, "kind": "policy", "title": f"Simulated nation 2024, {found.fraction} of it (synthetic)",
        "elections": [
            {
                "id": election, "name": election, "date": ELECTION_DAY[election], "zone": "Asia/Jakarta",
                "contests": [{"id": name, "name": name} for name in _all_contests(election)],
            }
            for election in ELECTIONS
        ],
        "items": [
            _item(BOX, "kotak suara", "ballot box", "accountable", seal_required=True),
            _item(KIT, "perlengkapan TPS", "kit of a station", "controlled"),
            _item(BALLOT, "surat suara", "ballot papers", "accountable", kind="lot", per_contest=True),
        ],
        "agencies": [
            *({"id": agency(code), "name": f"KPU {code}", "kind": "commission"} for code in provinces),
            *({"id": police(code), "name": f"Polda {code}", "kind": "police"} for code in provinces),
        ],
        "places": list(places(found)),
        "signing": [
            {"sensitivity": "accountable", "release": {**two, "escort": True}, "accept": two},
            {"sensitivity": "controlled", "release": one, "accept": one},
        ],
        "roles": [
            *(
                {"role": role, "agency_kinds": ["commission"], "capacities": ["giver", "taker", "second", "witness"]}
                for role in ROLE_OF.values()
            ),
            {"role": POLICE, "agency_kinds": ["police"], "capacities": ["escort", "witness"]},
        ],
    }  # fmt: skip


def _all_contests(election: str) -> tuple[str, ...]:
    """Return every contest of an election, wherever it is held: Jawa Barat votes in all."""
    return contests(election, "32")


def plan_document(found: Sample, election: str) -> Json:
    """Return the plan of one election: boxes, kit and districts of each polling station."""
    return {
        "v": 1, "kind": "plan", "election": election, "synthetic": True, "title": f"{election}, simulated",
        "stations": [
            _planned(village.city, election, station_place(village, election, n))
            for village in found.villages
            for n in range(village.stations[election])
        ],
    }  # fmt: skip


def _planned(city: City, election: str, place: str) -> Json:
    voted = contests(election, city.province)
    return {
        "place": place, "voters": VOTERS[election], "escort": True,
        "districts": [{"contest": contest, "district": city.province} for contest in voted],
        "kit": [{"item": BOX, "quantity": len(voted)}, {"item": KIT, "quantity": 1}],
    }  # fmt: skip
