"""Which polling station has how many voters and ballots: the file's synthetic split, by its own rule (pure).

Voters per polling station are not published. The split reproduces the published totals exactly and is
labelled synthetic wherever it is shown. Integers only; a rate is per mille, rounded up per station and then
added (domain reference section 11).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from app.units.documents import reserve

PRISON_VOTERS = 420
RESERVE_PERMILLE = 25
ISLANDS = {
    "64.74.01.1004": ("Pulau Gusung", "Pulau Gusung"),
    "64.74.02.1005": ("Selangan", "Selangan", "Tihi-Tihi", "Tihi-Tihi"),
    "64.74.02.1006": ("Malahing", "Malahing"),
}
"""Last stations of a village that are supplied by boat, two a settlement: synthetic, like the split."""


@dataclass(frozen=True, slots=True)
class Station:
    """One polling station; `village` and `district` are None for the prison's, which hang on the city."""

    place: str
    number: int
    name: str
    village: str | None
    district: str | None
    voters: int
    island: str | None = None

    @property
    def reserve(self) -> int:
        """The legal reserve: 2.5 %, rounded up."""
        return reserve(self.voters, RESERVE_PERMILLE)

    @property
    def ballots(self) -> int:
        """Ballots per contest: voters and reserve."""
        return self.voters + self.reserve


def largest_remainder(total: int, weights: Sequence[int]) -> list[int]:
    """Share a total by weights: whole parts first, then one each to the largest remainders, earlier ones first."""
    whole = sum(weights)
    parts = [total * weight // whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: -(total * weights[i] % whole))
    for i in by_remainder[: total - sum(parts)]:
        parts[i] += 1
    return parts


def evenly(total: int, n: int) -> list[int]:
    """Share a total over n as evenly as possible, the larger parts first."""
    return [total // n + (i < total % n) for i in range(n)]


def stations(figures: dict[str, Any]) -> list[Station]:
    """Return the 277 stations of November 2024, villages in the file's order, the prison's last."""
    prison = figures["special_polling_stations_nov_2024"]["numbers"]
    total = figures["election_nov_2024"]["voters"] - PRISON_VOTERS * len(prison)
    districts = figures["districts"]
    shares = largest_remainder(total, [district["voters_feb_2024"] for district in districts])
    found: list[Station] = []
    for district, share in zip(districts, shares, strict=True):
        found.extend(_of_district(figures, district["code"], share))
    city = figures["city"]["code"]
    found.extend(
        Station(f"TPS-{city}-{number}", number, f"TPS {number} Lapas Bontang", None, None, PRISON_VOTERS)
        for number in prison
    )
    return found


def _of_district(figures: dict[str, Any], district: str, voters: int) -> Iterable[Station]:
    villages = [village for village in figures["villages"] if village["district"] == district]
    shares = largest_remainder(voters, [village["tps_nov_2024"] for village in villages])
    for village, share in zip(villages, shares, strict=True):
        yield from _of_village(village, share)


def _of_village(village: dict[str, Any], voters: int) -> Iterable[Station]:
    code, n = village["code"], village["tps_nov_2024"]
    islands = (None,) * (n - len(ISLANDS.get(code, ()))) + ISLANDS.get(code, ())
    for number, (share, island) in enumerate(zip(evenly(voters, n), islands, strict=True), start=1):
        name = f"TPS {number:02} {village['name']}" + (f" ({island})" if island else "")
        yield Station(f"TPS-{code}-{number:02}", number, name, code, village["district"], share, island)


def totals(found: Iterable[Station]) -> dict[str, int]:
    """Return voters per district or village code, and `prison`."""
    sums: dict[str, int] = {}
    for station in found:
        for code in (station.village, station.district) if station.village else ("prison",):
            sums[str(code)] = sums.get(str(code), 0) + station.voters
    return sums
