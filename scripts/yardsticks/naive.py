"""The service one writes first: `def` route, model in the signature, ORM, one commit an event.

    YARDSTICK_KEYS=keys.json YARDSTICK_DATABASE=sqlite:///naive.db uvicorn scripts.yardsticks.naive:app

It verifies the signatures, hashes, links the unit's chain and inserts with the same durability as the service;
it has no rules, no tree and no access control. It imports nothing of the service.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import orjson
from fastapi import FastAPI
from pydantic import BaseModel
from sqlalchemy import Engine, LargeBinary, Text, create_engine, event, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from scripts.yardsticks.bare import ZERO, Verify, decode, verifier


class Signature(BaseModel):
    """One signature."""

    protected: str
    signature: str


class Envelope(BaseModel):
    """A signed event."""

    payload: str
    signatures: list[Signature]


class Base(DeclarativeBase):
    """The tables."""


class EventRow(Base):
    """One event."""

    __tablename__ = "naive_event"
    hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    event_id: Mapped[str] = mapped_column(Text, unique=True)
    type: Mapped[str] = mapped_column(Text)
    author: Mapped[str] = mapped_column(Text)
    body: Mapped[bytes] = mapped_column(LargeBinary)


class UnitRow(Base):
    """One step of a unit's chain."""

    __tablename__ = "naive_event_unit"
    unit: Mapped[str] = mapped_column(Text, primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    event: Mapped[bytes] = mapped_column(LargeBinary)
    prev: Mapped[bytes] = mapped_column(LargeBinary)


def _open(url: str) -> Engine:
    found = create_engine(url)
    if found.dialect.name == "sqlite":
        event.listen(found, "connect", _durable)
    Base.metadata.drop_all(found)
    Base.metadata.create_all(found)
    return found


def _durable(connection: Any, _: object) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA busy_timeout=30000")


KEYS: dict[str, Verify] = {
    kid: verifier(jwk) for kid, jwk in json.loads(Path(os.environ["YARDSTICK_KEYS"]).read_bytes()).items()
}
engine = _open(os.environ["YARDSTICK_DATABASE"])
app = FastAPI(openapi_url=None)


@app.post("/naive", status_code=201)
def post(envelope: Envelope) -> dict[str, str]:
    """Verify one event and store it."""
    for signature in envelope.signatures:
        kid = orjson.loads(decode(signature.protected))["kid"]
        KEYS[kid](f"{signature.protected}.{envelope.payload}".encode(), decode(signature.signature))
    payload = decode(envelope.payload)
    body = orjson.loads(payload)
    digest = hashlib.sha256(payload).digest()
    with Session(engine) as session, session.begin():
        session.add(EventRow(
            hash=digest, event_id=body["event_id"], type=body["type"], author=body["author"],
            body=envelope.model_dump_json().encode(),
        ))  # fmt: skip
        for unit in body["units"]:
            newest = select(func.max(UnitRow.seq)).where(UnitRow.unit == unit).scalar_subquery()
            last = session.scalar(select(UnitRow).where(UnitRow.unit == unit, UnitRow.seq == newest))
            seq, prev = (last.seq + 1, last.event) if last else (1, ZERO)
            session.add(UnitRow(unit=unit, seq=seq, event=digest, prev=prev))
    return {"state": "stored"}
