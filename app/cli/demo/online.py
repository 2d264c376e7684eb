"""Enrolment face to face: the registrar opens it, the phone claims it, six digits are compared, two people sign.

Everything goes over HTTP as in the field; only the comparison of the digits, which two pairs of eyes make on
two screens, is made here.
"""

from typing import Any

from app.cli.demo.cast import Part
from app.cli.demo.troupe import Troupe
from app.cli.demo.wire import DemoError, KeyLogin
from app.cli.phone import Phone, possession


def enrol_online(troupe: Troupe, part: Part, wanted: dict[str, Any], by: tuple[Phone, Phone], *, at: int) -> None:
    """Enrol an officer in person.

    Args:
        troupe: The company.
        part: Who.
        wanted: What the registrar asks for: officer, agency, role, place, access, mandate.
        by: Registrar and approver.
        at: Scenario time, UTC milliseconds.

    Raises:
        DemoError: The two screens show different digits, or the service refuses.
    """
    registrar, approver = by
    stage, phone = troupe.stage, troupe.cast.take(part)
    stage.flush()
    desk = stage.door.as_(KeyLogin(registrar.key, phone.origin))
    opened = desk.post("/v1/enrolments", wanted)
    place = f"/v1/enrolments/{opened['enrolment']}"
    proof = possession(phone.key, phone.origin, opened["challenge"])
    claim = {"token": opened["token"], "jwk": phone.key.public.jwk(), "signature": proof["signature"]}
    on_phone = stage.door.post(f"{place}/claim", claim, anonymous=True)["match_code"]
    on_desk = desk.get(place)
    if on_phone != on_desk["match_code"]:
        raise DemoError(f"{part.officer}: the phone shows {on_phone}, the desk {on_desk['match_code']}.")
    stage.remarks.append(f"{part.officer} enrols face to face: both screens show {on_phone[:3]} {on_phone[3:]}.")
    registrar.sees(stage.checkpoint)
    signed = registrar.sign(
        "key.enrol", on_desk["details"], at_ms=at, place=part.place, capacity="approver", with_={approver: "approver"}
    )
    receipt = desk.post(f"{place}/approve", {"event": signed.jws}, at_ms=at)
    desk.close()
    stage.hears(receipt)
