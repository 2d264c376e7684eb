"""A served town in which almost everything has happened, for whoever looks at it from the desk."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from app.config import Settings
from app.db import Database
from app.keys.clients import add_client
from tests import small as s
from tests.audit.journey import play
from tests.custody.town import Town
from tests.web.live import Live, serving

HOSTILE_NAME = "<script>alert('tempat')</script>\"'&lt;TPS"
HOSTILE_CODE = 'KPU"><img src=x onerror=alert(1)>=1+1'
FORMULA_NAME = '=HYPERLINK("http://evil.example";"TPS")'
PLAIN_NAMES = {
    s.CITY: "Kota Bontang", s.WAREHOUSE: "Gudang KPU Kota Bontang", "64.74.01": "Bontang Utara", "64": "Kalimantan Timur",
    s.PPK: "PPK Bontang Utara", "64.74.01.A": "Api-api", "64.74.01.B": "Gunung Elai", s.TPS1: "TPS 01 Api-api",
    s.TPS2: "TPS 02 Api-api", s.TPS3: "TPS 01 Gunung Elai", s.TRUCK: "Truk KT 8122 DN", s.HALL: "Ruang sortir",
}  # fmt: skip
HOSTILE_NAMES = {**PLAIN_NAMES, s.TPS1: HOSTILE_NAME, s.PPK: FORMULA_NAME, s.WAREHOUSE: 'Gudang <b>KPU</b> & "Sons"'}
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def named(names: dict[str, str]) -> dict[str, Any]:
    """Return the policy of the small country with other names of places."""
    document = s.policy()
    places = [{**place, "name": names.get(place["id"], place["name"])} for place in document["places"]]
    return {**document, "places": places}


class Stage(Live):
    """The running service with its town and the goods that tests ask for by name."""

    units: dict[str, str]
    incident: str

    def desk(self, path: str, *access: str, agency: str = s.BWS, place: str | None = None, **more: Any) -> Any:
        """Ask a page as a browser would, by header; no redirect is followed."""
        headers = {**BROWSER, **self.headers(*(access or ("auditor",)), agency=agency, place=place)}
        return self.http.get(path, headers=headers, **more)

    def client(self, *access: str, agency: str = s.BWS, place: str | None = None) -> tuple[str, str]:
        """Return name and secret of a fresh client."""
        with self.db.write() as session:
            client, secret = add_client(session, self.services.ledger_id, agency, access or ("auditor",), place)
        return client.client, secret

    def browser(self) -> httpx.Client:
        """Return a client that keeps cookies, as a browser does."""
        return httpx.Client(base_url=self.http.base_url, headers=BROWSER, timeout=30, trust_env=False)


def mark_in(page: str) -> str:
    """Return the mark of a page's form."""
    return re.search(r'name="tanda" value="([^"]+)"', page)[1]  # type: ignore[index]


def sign_in(browser: httpx.Client, name: str, secret: str, wanted: str = "/desk") -> httpx.Response:
    """Open the form, fill it in and send it."""
    page = browser.get("/desk/masuk", params={"ke": wanted})
    fields = {"tanda": mark_in(page.text), "ke": wanted, "klien": name, "rahasia": secret}
    return browser.post("/desk/masuk", data=fields)


def happen(town: Town, code: str) -> tuple[dict[str, str], str]:
    """Let a journey, incidents, late handovers, explanations and an objection happen."""
    units = play(town)
    box, lot = town.sealed_box()
    town.ok(town.commission({"act": "alias", "unit": box, "code": code}))
    town.deliver(box)
    town.ok(town.open_at_station(box))
    waits, _ = town.sealed_box()
    town.ok(town.release([waits], due="2024-11-05T12:00:00+08:00"))
    units |= {"story": box, "pack": lot, "late": waits}
    report = {"category": "LATE_DELIVERY", "severity": "tinggi", "owner": s.POS, "due_by": "2024-10-31T10:00:00+08:00"}
    reported = town.act(town.pos1, "incident.report", report, [waits], place=s.TRUCK, capacity="witness")
    town.ok(reported)
    town.ok(town.act(town.pos1, "incident.update", {"incident": reported.hash, "status": "triaged"}, capacity="giver"))
    secret = {"category": "INTIMIDATION", "severity": "kritis", "confidential": True}
    town.ok(town.act(town.pol, "incident.report", secret, [waits], capacity="witness"))
    _explain(town)
    town.tick(60 * 24 * 10)
    town.recorder.sweep(town.now_ms)
    town.ok(town.act(town.kpu1, "sighting", {"source": "camera"}, [box], place=s.TPS1, capacity="witness"))
    return units, reported.hash


def _explain(town: Town) -> None:
    """Let two agencies explain one discrepancy, one agency another, and somebody object to a third."""
    first, second, third = (row[0] for row in town.query("SELECT id FROM discrepancy WHERE status = 'open' LIMIT 3"))
    for phone, about in ((town.kpu1, first), (town.bws, first), (town.kpu1, second)):
        told = {"about": {"what": "discrepancy", "discrepancy": about}, "reason": "RECOUNTED"}
        town.send(town.act(phone, "discrepancy.explain", told, capacity="approver"))
    told = {"about": {"what": "discrepancy", "discrepancy": third}, "reason": "NOT_SO"}
    town.send(town.act(town.bws, "objection", told, capacity="witness"))


@contextmanager
def staged(url: str, folder: Path, names: dict[str, str]) -> Iterator[Stage]:
    """Found a town, let everything happen, and serve it."""
    db = Database(url)
    town = Town(db, folder).settle()
    town.put_policy(named(names))
    units, incident = happen(town, HOSTILE_CODE if HOSTILE_NAME in names.values() else "KPU/KOTAK/17")
    settings = Settings(data_dir=folder, database_url=url, sweep_seconds=3600, writer="thread")
    try:
        with serving(settings) as (server, base), httpx.Client(base_url=base, timeout=30, trust_env=False) as client:
            found = Stage(town, client, settings, server)
            found.units, found.incident = units, incident
            yield found
    finally:
        db.close()
