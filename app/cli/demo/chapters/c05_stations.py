"""8 November: the committees of all 277 polling stations are enrolled offline, chair and one member each."""

from app.cli.demo.agenda import wita
from app.cli.demo.cast import kpps
from app.cli.demo.chapters.c02_officers import enrol_all
from app.cli.demo.troupe import Troupe


def play(troupe: Troupe) -> None:
    """Enrol 554 officers; each `key.enrol` was signed over a QR code and travels later."""
    enrol_all(troupe, kpps(troupe.stations), at=wita("2024-11-08 09:00"))
