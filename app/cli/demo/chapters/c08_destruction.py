"""26 November, early: 407 ballots are destroyed before four witnesses, a day before the election.

8 + 36 damaged and 4 + 359 excess, counted against the ledger to the sheet; the city government, the police,
the military and the supervisor sign as witnesses.
"""

from app.cli.demo import documents as doc
from app.cli.demo.agenda import wita
from app.cli.demo.troupe import Troupe

METHOD, MINUTES = "BURNT", "BA-PEMUSNAHAN/DEMO/407"


def play(troupe: Troupe) -> None:
    """Bring the four lots to the site and destroy them."""
    stage, cast, goods = troupe.stage, troupe.cast, troupe.goods
    november = troupe.figures["election_nov_2024"]
    counted = {"damaged": november["damaged_destroyed"], "excess": november["excess_destroyed"]}
    lots = {
        goods.apart[contest, condition]: (counted[condition][contest], condition)
        for contest in doc.CONTESTS
        for condition in counted
    }
    site = cast.team("SORLIP")
    stage.hand_over(
        cast.team("WH"), site, list(lots), (doc.KPU, doc.BURN_SITE), at=wita("2024-11-26 05:45"), place=doc.WAREHOUSE,
        minutes=15, internal=True,
    )  # fmt: skip
    lines = [
        {"unit": unit, "quantity": quantity, "reason": condition.upper()}
        for unit, (quantity, condition) in lots.items()
    ]
    witnesses = {cast[name]: "witness" for name in ("PEMKOT-1", "KAPOLRES", "KODIM-1", "BAWASLU-1")}
    stage.act(
        site, "unit.destroy", {"minutes": MINUTES, "method": METHOD, "lines": lines}, at=wita("2024-11-26 06:30"),
        place=doc.BURN_SITE, units=list(lots), also=witnesses, note="Berita acara dan foto (demo)",
    )  # fmt: skip
