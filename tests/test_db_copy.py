"""Bulk inserts by COPY behave as inserts: same rows, same errors."""

import pytest
from sqlalchemy import Column, Table, select
from sqlalchemy.exc import IntegrityError

from app.db import Blob, Database, Flag, Int, JsonText, MetaData, Str
from app.rows import COPY_ROWS, bulk_insert

TABLE = Table(
    "copied", MetaData(), Column("id", Int, primary_key=True), Column("name", Str), Column("data", Blob),
    Column("flag", Flag), Column("told", JsonText),
)  # fmt: skip
COLUMNS = ("id", "name", "data", "flag", "told")


@pytest.mark.postgres
def test_many_rows_arrive_as_few_do(postgres_url: str) -> None:
    database = Database(postgres_url)
    rows = [(n, f"a\tb\\{n}\n'", bytes([n, 0, 255]), n % 2 == 0, '["x"]' if n else None) for n in range(COPY_ROWS)]
    with database.write() as session:
        TABLE.create(session)
        bulk_insert(session, TABLE, COLUMNS, rows)
        bulk_insert(session, TABLE, COLUMNS, [(n + 100, *rest) for n, *rest in rows[:3]])
    with database.read() as session:
        found = session.execute(select(*(TABLE.c[name] for name in COLUMNS[:4])).order_by(TABLE.c.id)).all()
        told = session.exec_driver_sql("SELECT told FROM copied ORDER BY id").scalars().all()
    assert [(n, name, bytes(data), flag) for n, name, data, flag in found[:COPY_ROWS]] == [row[:4] for row in rows]
    assert told[:3] == [None, '["x"]', '["x"]']
    assert len(found) == COPY_ROWS + 3
    database.close()


@pytest.mark.postgres
def test_a_key_that_exists_is_an_integrity_error_and_nothing_stays(postgres_url: str) -> None:
    database = Database(postgres_url)
    with database.write() as session:
        TABLE.create(session)
    rows = [(n % (COPY_ROWS - 1), "", b"", True, None) for n in range(COPY_ROWS)]
    with pytest.raises(IntegrityError), database.write() as session:
        bulk_insert(session, TABLE, COLUMNS, rows)
    with database.read() as session:
        assert session.execute(select(TABLE.c.id)).all() == []
    database.close()
