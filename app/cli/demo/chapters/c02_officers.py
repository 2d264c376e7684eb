"""22 October: each agency's registrar is enrolled by the founders, then enrols the agency's own officers.

Three officers come in person and enrol online; the rest get a `key.enrol` that the registrar signs over the
new phone's QR code, with no network, and that is sent later.
"""

import secrets
from collections.abc import Iterable

from app.canon import b64url_encode
from app.cli.demo.agenda import MINUTE_MS, wita
from app.cli.demo.cast import Part, officers, registrars, walk_ins
from app.cli.demo.online import enrol_online
from app.cli.demo.troupe import Troupe
from app.cli.phone import Phone, possession

AT = wita("2024-10-22 08:00")
MANDATE = ("2024-10-20T00:00:00+08:00", "2025-03-31T23:59:59+08:00")
READS_UNTIL = "2035-12-31T23:59:59+08:00"
"""End of the mandates of those who read: an auditor asks years later."""


def play(troupe: Troupe) -> None:
    """Enrol registrars, then officers."""
    first, second = troupe.cast.founders
    for part in registrars():
        enrol(troupe, part, (first, second), at=AT)
    for n, part in enumerate(walk_ins()):
        at = AT + (60 + 5 * n) * MINUTE_MS
        enrol_online(troupe, part, mandate(part), (troupe.cast[f"REG-{part.agency}"], second), at=at)
    enrol_all(troupe, officers(troupe.figures), at=AT + 120 * MINUTE_MS)


def enrol_all(troupe: Troupe, parts: Iterable[Part], *, at: int) -> None:
    """Enrol officers one after the other, each by the registrar of the own agency and a founder."""
    for part in parts:
        enrol(troupe, part, (troupe.cast[f"REG-{part.agency}"], troupe.cast.founders[1]), at=at)


def enrol(troupe: Troupe, part: Part, by: tuple[Phone, Phone], *, at: int) -> None:
    """Give an officer a phone and let registrar and approver sign its enrolment."""
    phone = troupe.cast.take(part)
    registrar, approver = by
    challenge = b64url_encode(secrets.token_bytes(16))
    proof = possession(phone.key, phone.origin, challenge)
    details = {**mandate(part), "jwk": phone.key.public.jwk(), "possession": proof}
    troupe.stage.say(
        registrar, "key.enrol", details, at=at, place=part.place, capacity="approver", with_={approver: "approver"}
    )


def mandate(part: Part) -> dict[str, object]:
    """Return what an enrolment says of an officer: who, for whom, as what, where, what to read, and when."""
    starts, ends = MANDATE
    return {
        "officer": part.officer, "agency": part.agency, "role": part.role,
        "place": part.place, "access": list(part.access), "valid_from": starts,
        "valid_until": READS_UNTIL if "auditor" in part.access else ends,
    }  # fmt: skip
