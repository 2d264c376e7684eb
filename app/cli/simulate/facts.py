"""What is published of Indonesia's two elections of 2024, and what is assumed where nothing is (pure).

Published: the totals of the general election (KPU's decree 857/2023 in the press of 2 and 3 July 2023; bisnis.com, 13
February 2024), polling stations of 21 provinces (the same, and Antara for the two Papuas), voters of all 38 provinces
(the same; Papua Tengah is the rest to the published total at home, 203,056,748), boxes and sheets (kompas.com, 20
September 2023), districts and villages (hmstimes.com, 3 July 2023), the 435,296 stations of the regional election
(tempo.co, 7 November 2024) and those of three provinces (tempo.co, 22 September 2024; wartaplus.com and
bataspapua.com, September 2024). Voters by province as printed by harianrakyatbengkulu, rmol.id and republika.co.id.
How many regencies and cities a province has is general knowledge of the administrative division since 2022, checked
by its published sums, 416 and 98. Of the voters of November the press of 7 November 2024 says "some 203 million"; the
last six digits that stand here were not found in print. The largest regency is counted in a public copy of KPU's data.

Assumed, and only where the publications end: see `app.cli.simulate.nation`.
"""

from typing import NamedTuple

STATIONS, STATIONS_ABROAD, STATIONS_NOVEMBER = 823_220, 3_059, 435_296
BOXES, SHEETS, VOTERS_HOME, VOTERS_NOVEMBER = 4_164_552, 1_208_921_320, 203_056_748, 203_657_354
PROVINCES, CITIES, DISTRICTS, VILLAGES, MISSIONS = 38, 514, 7_277, 83_731, 128
LARGEST_CITY_STATIONS = 15_228
"""Polling stations of the regency with the most (Bogor, general election)."""

JAKARTA, YOGYAKARTA, ABROAD = "31", "34", "99"
GENERAL, REGIONAL = "PEMILU-2024", "PILKADA-2024"
ELECTION_DAY = {GENERAL: "2024-02-14", REGIONAL: "2024-11-27"}
SHEETS_PER_CARTON = {
    "PPWP": 2000, "DPR": 500, "DPD": 1000, "DPRD_PROV": 500, "DPRD_KAB": 500, "PILGUB": 2000, "PILKADA": 2000,
}  # fmt: skip
"""By ballot type; `PILKADA` is the contest of the regent or mayor."""
RESERVE_PERMILLE_NOVEMBER = 25


class Row(NamedTuple):
    """One province: code, name, regencies, cities, voters, and its stations where they are published."""

    code: str
    name: str
    regencies: int
    cities: int
    voters: int
    stations: int | None = None
    november: int | None = None


ROWS = (
    Row("11", "Aceh", 18, 5, 3_742_037, 16_046),
    Row("12", "Sumatera Utara", 25, 8, 10_853_940, 45_875),
    Row("13", "Sumatera Barat", 12, 7, 4_088_606, 17_569),
    Row("14", "Riau", 10, 2, 4_732_174, 19_366),
    Row("15", "Jambi", 9, 2, 2_676_107, 11_160),
    Row("16", "Sumatera Selatan", 13, 4, 6_326_348, 25_985),
    Row("17", "Bengkulu", 9, 1, 1_494_828, 6_210),
    Row("18", "Lampung", 13, 2, 6_539_128, 25_825),
    Row("19", "Kepulauan Bangka Belitung", 6, 1, 1_067_434, 4_116),
    Row("21", "Kepulauan Riau", 5, 2, 1_500_974, 5_914),
    Row(JAKARTA, "DKI Jakarta", 1, 5, 8_252_897, 30_766),
    Row("32", "Jawa Barat", 18, 9, 35_714_901, 140_457, 73_835),
    Row("33", "Jawa Tengah", 29, 6, 28_289_413, 117_299),
    Row(YOGYAKARTA, "DI Yogyakarta", 4, 1, 2_870_974, 11_932),
    Row("35", "Jawa Timur", 29, 9, 31_402_838, 120_666),
    Row("36", "Banten", 4, 4, 8_842_646, 33_324),
    Row("51", "Bali", 8, 1, 3_269_516),
    Row("52", "Nusa Tenggara Barat", 8, 2, 3_918_291),
    Row("53", "Nusa Tenggara Timur", 21, 1, 4_008_475),
    Row("61", "Kalimantan Barat", 12, 2, 3_958_561),
    Row("62", "Kalimantan Tengah", 13, 1, 1_935_116),
    Row("63", "Kalimantan Selatan", 11, 2, 3_025_220),
    Row("64", "Kalimantan Timur", 7, 3, 2_778_644),
    Row("65", "Kalimantan Utara", 4, 1, 504_252, 2_295),
    Row("71", "Sulawesi Utara", 11, 4, 1_969_603),
    Row("72", "Sulawesi Tengah", 12, 1, 2_236_703),
    Row("73", "Sulawesi Selatan", 21, 3, 6_670_582, 26_357),
    Row("74", "Sulawesi Tenggara", 15, 2, 1_867_931),
    Row("75", "Gorontalo", 5, 1, 881_206),
    Row("76", "Sulawesi Barat", 6, 0, 985_760),
    Row("81", "Maluku", 9, 2, 1_341_012),
    Row("82", "Maluku Utara", 8, 2, 953_978),
    Row("91", "Papua", 8, 1, 727_835, None, 2_023),
    Row("92", "Papua Barat", 7, 0, 385_465, 1_923),
    Row("93", "Papua Selatan", 4, 0, 367_269, 1_770, 1_089),
    Row("94", "Papua Tengah", 8, 0, 1_128_844),
    Row("95", "Papua Pegunungan", 8, 0, 1_306_414),
    Row("96", "Papua Barat Daya", 5, 1, 440_826, 2_156),
)


def contests(election: str, province: str) -> tuple[str, ...]:
    """Return the contests that every polling station of a province votes in, one ballot type and one box each.

    Jakarta elects no councils and no heads of its cities, Yogyakarta's governor is not elected, and those abroad
    vote for president and DPR.
    """
    if election == REGIONAL:
        every = (("PILGUB", province != YOGYAKARTA), ("PILKADA", province != JAKARTA))
        return tuple(name for name, held in every if held and province != ABROAD)
    if province == ABROAD:
        return ("PPWP", "DPR")
    four = ("PPWP", "DPR", "DPD", "DPRD_PROV")
    return four if province == JAKARTA else (*four, "DPRD_KAB")
