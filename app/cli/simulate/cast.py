"""Who acts in a simulated nation: officers of every place, each with a key, and the founders who enrol them.

Keys are fresh in every run. What is the same for the same seed is the story: places, units, order.
"""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from app.canon import b64url_encode
from app.cli.phone import Phone, Signed, possession
from app.cli.simulate import documents as doc
from app.cli.simulate.counts import officers
from app.cli.simulate.facts import GENERAL
from app.cli.simulate.sample import Sample
from app.clock import rfc3339_ms
from app.keys.signing import PrivateKey

FOUNDERS = 8
DAY_MS = 86_400_000


class Side(NamedTuple):
    """The officers of one place: who authors, who signs beside, and the level of the place."""

    level: str
    first: Phone
    second: Phone


@dataclass(slots=True)
class Cast:
    """Everybody's phones: founders, the officers of each region or station by its code, and escorts by city."""

    origin: str
    founders: list[Phone]
    sides: dict[str, Side] = field(default_factory=dict)
    escorts: dict[str, Phone] = field(default_factory=dict)

    def phones(self) -> Iterator[Phone]:
        """Yield every phone."""
        yield from self.founders
        yield from self.escorts.values()
        for side in self.sides.values():
            yield side.first
            yield side.second

    def see(self, checkpoint: str) -> None:
        """Let every phone see a checkpoint."""
        for phone in self.phones():
            phone.sees(checkpoint)


def found_cast(origin: str) -> Cast:
    """Return a cast of founders alone."""
    return Cast(origin, [_phone(origin, f"FOUNDER-{n + 1}", "KPU", "ID", n) for n in range(FOUNDERS)])


def _phone(origin: str, officer: str, agency: str, place: str, number: int) -> Phone:
    """Return a phone with a fresh key; those of even number sign with ES256, as browsers do."""
    key = PrivateKey.generate("Ed25519" if number % 2 else "ES256")
    return Phone(key, officer, agency, origin, GENERAL, place)


def level_of(code: str) -> str:
    """Return the level of a region or station by its code: `32`, `32-07`, `32-07-D01`, `…-V003`, `…-G002`."""
    return ("hub", "city", "district", "village", "station")[code.count("-")]


def enrolments(cast: Cast, found: Sample, now_ms: int) -> Iterator[list[Signed]]:
    """Enrol every officer of a sample; yields one stream a founder, each to be sent in its order.

    Each `key.enrol` is signed by two founders and proves that the new phone holds its key.
    """
    streams: list[list[Signed]] = [[] for _ in cast.founders]
    for n, (code, _) in enumerate(officers(found)):
        streams[n % FOUNDERS].extend(_enrol_place(cast, code, n % FOUNDERS, now_ms))
    yield from streams


def _enrol_place(cast: Cast, code: str, founder: int, now_ms: int) -> Iterator[Signed]:
    level, province = level_of(code), code[:2]
    pair = [_phone(cast.origin, f"{code}-{n}", doc.agency(province), code, n) for n in (1, 2)]
    cast.sides[code] = Side(level, *pair)
    roles = [(phone, doc.ROLE_OF[level]) for phone in pair]
    if level == "city":
        cast.escorts[code] = _phone(cast.origin, f"ESCORT-{code}", doc.police(province), code, 1)
        roles.append((cast.escorts[code], doc.POLICE))
    author, beside = cast.founders[founder], cast.founders[(founder + 1) % FOUNDERS]
    for phone, role in roles:
        yield author.sign(
            "key.enrol", _mandate(phone, role, now_ms), at_ms=now_ms, capacity="approver", with_={beside: "approver"}
        )


def _mandate(phone: Phone, role: str, now_ms: int) -> dict[str, Any]:
    return {
        "jwk": phone.key.public.jwk(), "officer": phone.officer, "agency": phone.agency, "role": role,
        "place": phone.place, "access": ["field"],
        "valid_from": rfc3339_ms(now_ms - DAY_MS), "valid_until": rfc3339_ms(now_ms + 400 * DAY_MS),
        "possession": possession(phone.key, phone.origin, b64url_encode(secrets.token_bytes(16))),
    }  # fmt: skip
