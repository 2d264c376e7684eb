"""What `custody fsck` found, and where exactly: one row per damage (pure).

A finding names the table, the row and the column, or the leaf, and shows both values: short ones as they are,
long ones by their hash, so that a report never carries what it reports on.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from app.canon import JsonValue, b64url_encode, sha256

MAX_FINDINGS = 10_000
_MAX_SHOWN = 64


@dataclass(frozen=True, slots=True)
class Finding:
    """One damage.

    `what` is stable: `missing`, `extra`, `differs`, `unreadable`, or the code of the check that failed.
    `row` is the key of the row as text, `leaf` the index of the leaf it is about, where there is one.
    """

    table: str
    row: str
    what: str
    detail: str
    column: str | None = None
    leaf: int | None = None
    expected: str | None = None
    found: str | None = None

    @property
    def where(self) -> str:
        """Name the place in one line."""
        column = f".{self.column}" if self.column else ""
        return f"{self.table}[{self.row}]{column}"

    def as_json(self) -> dict[str, JsonValue]:
        """Return the finding as members of an answer; what is not known is left out."""
        told: dict[str, JsonValue] = {
            "where": {"table": self.table, "row": self.row, "column": self.column, "leaf": self.leaf},
            "what": self.what, "detail": self.detail, "expected": self.expected, "found": self.found,
        }  # fmt: skip
        return {name: value for name, value in told.items() if value is not None}


@dataclass(slots=True)
class Findings:
    """All damages of one run, and what could not be examined because of them."""

    found: list[Finding] = field(default_factory=list)
    not_checked: list[str] = field(default_factory=list)
    dropped: int = 0

    def add(
        self,
        table: str,
        row: object,
        what: str,
        detail: str,
        *,
        column: str | None = None,
        leaf: int | None = None,
        expected: Any = None,
        found: Any = None,
        values: bool = False,
    ) -> None:
        """Add a finding; past 10,000 they are only counted.

        Args:
            table: Name of the table or file.
            row: Its key: text, number or several.
            what: Stable code.
            detail: One sentence for people.
            column: The column, where one alone is wrong.
            leaf: The leaf index it is about.
            expected: What should stand there.
            found: What stands there.
            values: Show both, None included.
        """
        if len(self.found) >= MAX_FINDINGS:
            self.dropped += 1
            return
        shown = values or expected is not None or found is not None
        self.found.append(
            Finding(
                table,
                _row(row),
                what,
                detail,
                column,
                leaf,
                show(expected) if shown else None,
                show(found) if shown else None,
            )
        )

    def __iter__(self) -> Iterator[Finding]:
        """Go through them in the order in which they were found."""
        return iter(self.found)

    def __len__(self) -> int:
        """Count them, those that were only counted included."""
        return len(self.found) + self.dropped


def _row(row: object) -> str:
    parts = row if isinstance(row, tuple) else (row,)
    return printable("/".join(map(str, parts)))[:200]


def show(value: object) -> str:
    """Show a value: short ones as they are, bytes and long ones by their hash."""
    if isinstance(value, bytes | bytearray | memoryview):
        return f"{len(value)} bytes, sha256 {b64url_encode(sha256(bytes(value)))}"
    text = printable(str(value)) if value is not None else "null"
    if len(text) <= _MAX_SHOWN:
        return text
    return f"{len(text)} characters, sha256 {b64url_encode(sha256(text.encode()))}"


def printable(text: str) -> str:
    """Make text safe to print and to encode, whatever bytes it came from."""
    safe = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in safe)
