"""Parts of the service beside what they are made of: storing beside the driver, labels beside `qrcode`, signatures."""

import io
import secrets
import time
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Column, MetaData, Table

from app.cli.bench.figures import Round
from app.cli.bench.loads import yardstick
from app.cli.bench.stage import Stage
from app.cli.bench.traffic import singles
from app.cli.migrate import upgrade
from app.db import Blob, Database, Int, Str
from app.ids import new_unit_id
from app.labels.payload import LabelText
from app.labels.sheet import pdf_sheet
from app.rows import bulk_insert

ROWS, COMMITS, ONE_ROW_COMMITS, BODY_BYTES = 1000, 30, 300, 1100
FEW_CONNECTIONS = 4
SYMBOLS = 100
SIGNATURES = 4000
_TABLE = Table(
    "bench_event", MetaData(), Column("leaf_index", Int, primary_key=True, autoincrement=False),
    Column("hash", Blob, unique=True, nullable=False),
    *(Column(name, Str, nullable=False) for name in ("event_id", "type", "author")),
    *(Column(name, Blob, nullable=False) for name in ("leaf_hash", "body")),
)  # fmt: skip
"""That of the yardstick (`scripts/yardsticks/inserts.py`), column by column and index by index."""
Step = tuple[str, Round]


def store(stage: Stage) -> Iterator[Step]:
    """Insert in bulk through `app.db` beside the driver's best; and the slowest single posts beside a lone commit."""
    target = stage.beside("raw")
    yield "insert_1000", yardstick("inserts", "--rows", str(ROWS), "--commits", str(COMMITS), database=target)
    yield "store", stored(own_database(stage.beside("store")))
    yield "insert_1", yardstick("inserts", "--rows", "1", "--commits", str(ONE_ROW_COMMITS), database=target)
    events = stage.signed(stage.size.single_4)
    yield "single_4", stage.send(singles(events, stage.token, min(FEW_CONNECTIONS, len(events))))


def own_database(url: str) -> Database:
    """Open a database that is made as the service's own is, page size and all."""
    upgrade(url)
    return Database(url)


def stored(db: Database) -> Round:
    """Insert rows as the yardstick does, through the service's own bulk insert; the first groups are not counted.

    Within the clock SQLite's log goes into the file at the end, as in the yardstick.
    """
    groups = [_rows(number) for number in range(COMMITS + 3)]
    _TABLE.drop(db.write_engine, checkfirst=True)
    _TABLE.create(db.write_engine)
    for group in groups[:3]:
        _commit(db, group)
    db.tidy()
    wall, cpu = time.perf_counter(), time.process_time()
    for group in groups[3:]:
        _commit(db, group)
    db.tidy()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    _TABLE.drop(db.write_engine)
    db.close()
    return {"events": COMMITS * ROWS, "requests": COMMITS, "wall_seconds": wall, "cpu_seconds": cpu}


def _commit(db: Database, group: Sequence[tuple[Any, ...]]) -> None:
    with db.write() as session:
        bulk_insert(session, _TABLE, _TABLE.columns.keys(), group)


def _rows(number: int) -> list[tuple[Any, ...]]:
    body = secrets.token_bytes(BODY_BYTES)
    return [
        (n, secrets.token_bytes(32), secrets.token_hex(18), "custody.release", "author", secrets.token_bytes(32), body)
        for n in range(number * ROWS, (number + 1) * ROWS)
    ]


def labels(stage: Stage) -> Iterator[Step]:
    """Fill sheets with labels, ready to print, beside the codes alone as `qrcode` makes them by default."""
    yield "qrcode", yardstick("symbols", "--count", str(SYMBOLS))
    texts = [
        LabelText(new_unit_id(secrets.token_bytes(10)), "CUSTODY.ID", "Kotak suara", destination=("TPS 001", "Api-Api"))
        for _ in range(stage.size.labels)
    ]
    out = io.BytesIO()
    wall, cpu = time.perf_counter(), time.process_time()
    printed = pdf_sheet(texts, out)
    yield "labels", {
        "events": printed, "wall_seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu,
    }  # fmt: skip


def verify_edge(stage: Stage) -> Iterator[Step]:
    """Verify signatures with each library, and nothing else."""
    del stage
    yield from yardstick("signatures", "--count", str(SIGNATURES)).items()
