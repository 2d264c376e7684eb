"""The whole service on a real uvicorn server, with people, goods and tokens, for tests that speak HTTP only."""

import json
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from app.canon import b64url_encode
from app.cli.phone import Phone, Signed, ids_commitment
from app.clock import rfc3339_ms
from app.config import Settings
from app.db import Database
from app.ids import new_unit_id
from app.keys.clients import add_client
from app.keys.grants import Viewer
from app.keys.signing import PrivateKey
from app.keys.tokens import issue_token
from app.main import create_app
from app.web.http import BoundedHttp
from tests import small
from tests.house import House

HOUR_MS = 3_600_000
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
START_SECONDS = 20


class Live:
    """A running service; `house` founded it and signs, everything else goes over HTTP."""

    def __init__(self, house: House, client: httpx.Client, settings: Settings, server: uvicorn.Server) -> None:
        self.house = house
        self.http = client
        self.settings = settings
        self.server = server
        self.db = house.db
        self.tokens: dict[Any, str] = {}

    @property
    def services(self) -> Any:
        return self.server.config.app.state.services

    # -- who asks ------------------------------------------------------------------------------------

    def token(self, *access: str, agency: str = small.KPU, place: str | None = None) -> str:
        """Return a bearer token of a client with these access roles."""
        key = (access, agency, place)
        if key not in self.tokens:
            with self.db.write() as session:
                client, _ = add_client(session, self.services.ledger_id, agency, access, place)
                expires_ms = int(time.time() * 1000) + HOUR_MS
                viewer = Viewer(client.client, agency, place, frozenset(access))
                self.tokens[key] = issue_token(session, self.services.ledger_id, viewer, expires_ms)
        return self.tokens[key]

    def headers(self, *access: str, **who: Any) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token(*access, **who)}"}

    def get(self, path: str, *access: str, agency: str = small.KPU, place: str | None = None, **query: Any) -> Any:
        return self.http.get(path, params=query, headers=self.headers(*access, agency=agency, place=place))

    def post(self, path: str, body: Any, *access: str, headers: dict[str, str] | None = None, **who: Any) -> Any:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        mine = self.headers(*access, **who) if access else {}
        return self.http.post(
            path, content=data, headers={"Content-Type": "application/json", **mine, **(headers or {})}
        )

    # -- what is said --------------------------------------------------------------------------------

    def send(self, signed: Signed, *, at: bool = True, prefer: str = "") -> httpx.Response:
        """Send one event under the house's time."""
        headers = {"Custody-Scenario-Time": rfc3339_ms(self.house.now_ms)} if at else {}
        if prefer:
            headers["Prefer"] = prefer
        return self.post("/v1/events", signed.jws, headers=headers)

    def ok(self, signed: Signed) -> dict[str, Any]:
        answer = self.send(signed)
        assert answer.status_code == 201, answer.text
        receipt: dict[str, Any] = answer.json()
        return receipt

    def batch(self, items: list[Any], *, prefer: str = "") -> httpx.Response:
        headers = {"Custody-Scenario-Time": rfc3339_ms(self.house.now_ms)}
        return self.post("/v1/events/batch", items, headers={**headers, **({"Prefer": prefer} if prefer else {})})

    def sighting(self, phone: Phone, unit: str, **how: Any) -> Signed:
        """Sign an observation that is always recorded."""
        return phone.sign(
            "sighting", {"source": "camera"}, at_ms=self.house.tick(), units=[unit], capacity="witness", **how
        )

    def issue(self, phone: Phone, count: int, *access: str) -> tuple[list[str], str]:
        """Issue a block over HTTP; return its ids and its name."""
        ids = sorted(new_unit_id(secrets.token_bytes(10)) for _ in range(count))
        made = self.post("/v1/labels/ids", {"count": count}, *(access or ("operator",))).json()
        assert len(made["ids"]) == count
        signed = phone.sign("labels.issue", {"count": count, "ids_hash": ids_commitment(ids)}, at_ms=self.house.tick())
        headers = {"Custody-Scenario-Time": rfc3339_ms(self.house.now_ms)}
        answer = self.post("/v1/labels", {"ids": ids, "event": signed.jws}, *(access or ("operator",)), headers=headers)
        assert answer.status_code == 201, answer.text
        return ids, answer.json()["event"]

    def boxes(self, phone: Phone, destinations: list[str]) -> list[str]:
        """Commission one ballot box per destination and return the ids."""
        ids, _ = self.issue(phone, len(destinations))
        lines = [
            {"act": "bind", "unit": unit, "item": "BOX_TPS", "destination": place}
            for unit, place in zip(ids, destinations, strict=True)
        ]
        self.ok(
            phone.sign("unit.commission", {"lines": lines}, at_ms=self.house.tick(), units=ids, place=small.WAREHOUSE)
        )
        return ids


def assertion(key: PrivateKey, audience: Any, **changes: Any) -> str:
    """Sign a client assertion; `changes` bend its claims, `header` its header."""
    now = int(time.time())
    claims = {
        "iss": key.kid, "sub": key.kid, "aud": audience, "iat": now, "exp": now + 120, "jti": secrets.token_urlsafe(16),
    }  # fmt: skip
    head = {"alg": key.alg, "kid": key.kid, "typ": "JWT", **changes.pop("header", {})}
    claims.update(changes)
    claims = {name: value for name, value in claims.items() if value is not None}
    signed = f"{b64url_encode(json.dumps(head).encode())}.{b64url_encode(json.dumps(claims).encode())}"
    return f"{signed}.{b64url_encode(key.sign(signed.encode()))}"


def by_assertion(text: str, **more: str) -> dict[str, str]:
    return {
        "grant_type": "client_credentials", "client_assertion_type": ASSERTION_TYPE, "client_assertion": text, **more,
    }  # fmt: skip


@contextmanager
def serving(settings: Settings) -> Iterator[tuple[uvicorn.Server, str]]:
    """Run the application on a free port in a thread of this process."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        app = create_app(settings.model_copy(update={"port": port}))
        config = uvicorn.Config(
            app, http=BoundedHttp, ws="none", log_config=None, access_log=False, server_header=False
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        deadline = time.monotonic() + START_SECONDS
        while not server.started and thread.is_alive() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert server.started
        try:
            yield server, f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = True
            thread.join(START_SECONDS)


@contextmanager
def living(url: str, folder: Path, **changes: Any) -> Iterator[Live]:
    """Found a small ledger and serve it."""
    db = Database(url)
    house = House(db, folder)
    told = {"data_dir": folder, "database_url": url, "sweep_seconds": 3600, "writer": "thread", **changes}
    settings = Settings(**told)
    try:
        with serving(settings) as (server, base), httpx.Client(base_url=base, timeout=30, trust_env=False) as client:
            found = Live(house, client, settings, server)
            house.recorder = found.services.intake.recorder  # one writer: its published checkpoint is the newest
            yield found
    finally:
        db.close()
