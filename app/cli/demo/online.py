"""Enrolment face to face."""

from app.cli.demo.cast import Part
from app.cli.demo.troupe import Troupe
from app.cli.phone import Phone


def enrol_online(troupe: Troupe, part: Part, by: tuple[Phone, Phone], *, at: int) -> None:
    from app.cli.demo.chapters.c02_officers import enrol

    enrol(troupe, part, by, at=at)
