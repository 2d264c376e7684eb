"""Parquet files of a day's rows, the same bytes for the same leaves (needs the extra `analysis`).

Nothing of the moment or the machine goes into a file, and every choice of the writer is made here; so two who have the
same tree and the same release of the writer get the same file. Rows are written in groups of 65,536, which is all that
is held. Files are made under another name, `.part`. When all of a day's are whole and on the disk, and their hashes
noted, they are moved into place (`place`).
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any

from app.audit.days import Day
from app.audit.manifest import File, path_of
from app.audit.rows import TABLES, Column, Row, rows_of
from app.canon import b64url_encode
from app.errors import MissingError

GROUP_ROWS, PIECE_ROWS = 65_536, 4096
_CHUNK = 1 << 20
_MISSING = "Parquet files need pyarrow: pip install ballot-custody[analysis]"


def arrow() -> tuple[Any, Any]:
    """Return `pyarrow` and `pyarrow.parquet`.

    Raises:
        MissingError: They are not installed.
    """
    try:
        pyarrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError:
        raise MissingError(_MISSING) from None
    return pyarrow, parquet


def writer_name() -> str:
    """Name the writer and its release."""
    return f"pyarrow {arrow()[0].__version__}"


def schema_of(table: str) -> Any:
    """Return the schema of a table's files."""
    pyarrow, _ = arrow()
    kinds = {"int": pyarrow.int64(), "time": pyarrow.timestamp("ms", tz="UTC")}
    fields = [
        pyarrow.field(each.name, kinds.get(each.kind, pyarrow.string()), nullable=each.optional)
        for each in TABLES[table]
    ]
    return pyarrow.schema(fields)


def write_day(
    folder: Path, ledger: str, day: Day, leaves: Iterable[tuple[int, bytes, tuple[str, str]]]
) -> list[File]:  # fmt: skip
    """Write the files of a day beside their places, for `place`.

    A crash leaves `.part` files, of which nobody has noted anything yet.

    Args:
        folder: Of the export.
        ledger: Name of the ledger.
        day: The day and its leaves.
        leaves: Index, leaf, and officer and agency of its author, in order.

    Returns:
        What the manifest says of each file.

    Raises:
        MissingError: pyarrow is not installed.
    """
    files = {table: _TableFile(folder / path_of(ledger, day.day, table), table) for table in TABLES}
    try:
        for index, leaf, author in leaves:
            for table, rows in rows_of(index, leaf, author).items():
                files[table].add(rows)
        made = [
            File(
                path=path_of(ledger, day.day, table), table=table, day=day.day, first=day.first, end=day.end,  # type: ignore[arg-type] # one of TABLES
                writer=writer_name(), **one.finish(),
            )
            for table, one in files.items()
        ]  # fmt: skip
    finally:
        for one in files.values():
            one.close()
    sync((folder / made[0].path).parent)
    return made


def half_of(path: Path) -> Path:
    """Return where a file is made."""
    return path.with_name(f"{path.name}.part")


def place(folder: Path, files: Iterable[File]) -> None:
    """Move files that `write_day` made into their places.

    A crash between two of them leaves some moved and some not; who has noted the hashes can tell, and moves the rest.

    Args:
        folder: Of the export.
        files: Of one day.
    """
    moved = [folder / file.path for file in files]
    for where in moved:
        half_of(where).replace(where)
    for day in {where.parent for where in moved}:
        sync(day)


class _TableFile:
    """One file in the making."""

    def __init__(self, path: Path, table: str) -> None:
        _, parquet = arrow()
        self._half = half_of(path)
        self._columns, self._schema = TABLES[table], schema_of(table)
        self._rows: list[Row] = []
        self._pieces: list[Any] = []
        self._count = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._writer = parquet.ParquetWriter(
            self._half, self._schema, version="2.6", data_page_version="1.0", compression="zstd", compression_level=3,
            use_dictionary=[each.name for each in self._columns if each.kind == "word"], write_statistics=True,
            store_schema=False,
        )  # fmt: skip

    def add(self, rows: list[Row]) -> None:
        """Add rows, and write a group when there are enough."""
        self._rows += rows
        while len(self._rows) >= PIECE_ROWS:
            self._pack(PIECE_ROWS)

    def finish(self) -> dict[str, Any]:
        """Write what is left, down to the disk, and return count, length and hash."""
        self._pack(PIECE_ROWS)
        self._write()
        self.close()
        told = hash_of(self._half)
        sync(self._half)
        return {"rows": self._count, **told}

    def close(self) -> None:
        """Close the file, whole or not."""
        self._writer.close()

    def _pack(self, most: int) -> None:
        """Turn rows into columns, a tenth as large; a whole group of them is written."""
        rows = self._rows[:most]
        del self._rows[:most]
        if rows:
            pyarrow, _ = arrow()
            values = zip(zip(*rows, strict=True), self._schema, strict=True)
            columns = [pyarrow.array(each, type=field.type) for each, field in values]
            self._pieces.append(pyarrow.Table.from_arrays(columns, schema=self._schema))
            self._count += len(rows)
        if len(self._pieces) == GROUP_ROWS // PIECE_ROWS:
            self._write()

    def _write(self) -> None:
        if self._pieces:
            group = arrow()[0].concat_tables(self._pieces).combine_chunks()
            self._writer.write_table(group, row_group_size=GROUP_ROWS)
            self._pieces.clear()


def hash_of(path: Path) -> dict[str, Any]:
    """Return length and SHA-256 of a file, for a manifest."""
    digest, length = sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            length += len(chunk)
    return {"bytes": length, "sha256": b64url_encode(digest.digest())}


def read_rows(path: Path, table: str) -> Iterator[Row]:
    """Yield the rows of a file as `rows_of` gives them, a few thousand in memory at a time.

    Raises:
        ValueError: It is no Parquet file, or none of this table.
        OSError: It cannot be read.
    """
    pyarrow, _ = arrow()
    with _opened(path, table) as file:
        for batch in file.iter_batches(batch_size=4096):
            plain = [_plain(pyarrow, batch.column(n), each) for n, each in enumerate(TABLES[table])]
            yield from zip(*plain, strict=True)


def read_column(path: Path, table: str, column: str) -> Iterator[object]:
    """Yield the values of one column; raises as `read_rows` does."""
    with _opened(path, table) as file:
        for batch in file.iter_batches(columns=[column]):
            yield from batch.column(0).to_pylist()


def count_of(path: Path, table: str) -> int:
    """Return how many rows a file says it has; raises as `read_rows` does."""
    with _opened(path, table) as file:
        return int(file.metadata.num_rows)


@contextmanager
def _opened(path: Path, table: str) -> Iterator[Any]:
    """Open a file of a table; what the library says of a stranger's bytes is one kind of error."""
    pyarrow, parquet = arrow()
    try:
        with parquet.ParquetFile(path) as file:
            _refuse_other_columns(file.schema_arrow, table)
            yield file
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the system; those without a number speak of the bytes
        raise ValueError(str(error).partition("\n")[0]) from None


def _refuse_other_columns(schema: Any, table: str) -> None:
    if not schema.equals(schema_of(table)):
        raise ValueError("its columns are not those of its table")


def _plain(pyarrow: Any, values: Any, column: Column) -> list[Any]:
    """Return a column's values as plain ones; times as milliseconds."""
    plain: list[Any] = (values.cast(pyarrow.int64()) if column.kind == "time" else values).to_pylist()
    return plain


def sync(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
