"""Who plays: officers by pseudonym, each with a phone of their own.

Pseudonyms say role, place and number, never a name. Phones of both algorithms take part: browsers make
ES256, others Ed25519.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from app.cli.demo import documents as doc
from app.cli.demo.figures import ELECTION
from app.cli.demo.plan import Station
from app.cli.demo.stage import Team
from app.cli.phone import Phone
from app.keys.signing import PrivateKey
from app.keys.verify import Algorithm


@dataclass(frozen=True, slots=True)
class Part:
    """One officer to be enrolled."""

    officer: str
    agency: str
    role: str
    place: str
    access: tuple[str, ...] = ("field",)
    alg: Algorithm = "Ed25519"


@dataclass(slots=True)
class Cast:
    """Everybody's phones, by pseudonym."""

    origin: str
    founders: tuple[Phone, Phone]
    phones: dict[str, Phone] = field(default_factory=dict)

    def take(self, part: Part) -> Phone:
        """Give an officer a phone with a fresh key."""
        phone = new_phone(self.origin, part.officer, part.agency, part.place, part.alg)
        self.phones[part.officer] = phone
        return phone

    def __getitem__(self, officer: str) -> Phone:
        """Return an officer's phone."""
        return self.phones[officer]

    def team(self, name: str) -> Team:
        """Return the two officers of a place or duty."""
        return Team(self.phones[f"{name}-1"], self.phones[f"{name}-2"])


def new_phone(origin: str, officer: str, agency: str, place: str, alg: Algorithm = "Ed25519") -> Phone:
    """Return a phone with a fresh key."""
    return Phone(PrivateKey.generate(alg), officer, agency, origin, ELECTION, place)


def _pair(name: str, agency: str, role: str, place: str, alg: Algorithm = "Ed25519") -> list[Part]:
    return [Part(f"{name}-{n}", agency, role, place, alg=alg) for n in (1, 2)]


def registrars() -> list[Part]:
    """Return one registrar for each agency."""
    return [
        Part(f"REG-{agency}", agency, "REGISTRAR", doc.CITY if agency.endswith("6474") else doc.PROVINCE,
             access=("field", "registrar"))
        for agency in doc.AGENCIES
    ]  # fmt: skip


def walk_ins() -> list[Part]:
    """Return those who enrol online, face to face with a registrar: the match code is compared on two screens."""
    return [
        Part("BAWASLU-1", doc.SUPERVISOR, "PENGAWAS", doc.CITY, access=("field", "auditor"), alg="ES256"),
        Part("KAPOLRES", doc.POLICE, "POLRI", doc.CITY),
        Part("SEK-KPU-1", doc.KPU, "SEKRETARIS", doc.CITY, alg="ES256"),
    ]


def officers(figures: dict[str, Any]) -> list[Part]:
    """Return the officers of warehouses, carrier, police and committees."""
    districts = [district["code"] for district in figures["districts"]]
    villages = [village["code"] for village in figures["villages"]]
    return [
        *_pair("HUB", doc.KPU_PROVINCE, "LOGISTIK", doc.PROVINCE),
        *_pair("POS", doc.CARRIER, "TRANSPORTIR", doc.PROVINCE, alg="ES256"),
        Part("POLDA-1", doc.POLICE_PROVINCE, "POLRI", doc.PROVINCE),
        *_pair("WH", doc.KPU, "LOGISTIK", doc.CITY),
        *_pair("SORLIP", doc.KPU, "SORLIP", doc.CITY),
        Part("KODIM-1", doc.MILITARY, "TNI", doc.CITY),
        Part("PEMKOT-1", doc.GOVERNMENT, "PEMDA", doc.CITY),
        *(Part(f"POL-{truck}", doc.POLICE, "POLRI", doc.CITY) for truck in (*doc.TRUCKS, *doc.BOATS, doc.PRISON)),
        *(Part(f"POL-{village}", doc.POLICE, "POLRI", doc.CITY) for village in villages),
        *(part for code in districts for part in _pair(doc.ppk(code), doc.KPU, "PPK_KEC", code, alg="ES256")),
        *(part for code in villages for part in _pair(doc.pps(code), doc.KPU, "PPS", code)),
    ]


def kpps(found: Iterable[Station]) -> list[Part]:
    """Return chair and one member of every polling station's committee."""
    return [part for station in found for part in _pair(station.place, doc.KPU, "KPPS", station.place)]
