"""What a reader of one ledger has at hand: its names, its tree, and the newest checkpoint that may be shown.

The process that writes moves `published` on after each commit; a process that only answers is told so by it.
"""

from dataclasses import dataclass

from app.db import Session
from app.ledger.append import Head, Reader


@dataclass(slots=True)
class View:
    """One ledger, to read. `published` is the size and the signed note of the newest checkpoint."""

    ledger_id: int
    name: str
    origin: str
    reader: Reader
    published: tuple[int, bytes]

    @classmethod
    def of(cls, session: Session, head: Head) -> "View":
        """Return the view of the ledger with this head, its newest stored checkpoint published."""
        reader = Reader(head.ledger_id)
        last = reader.last_checkpoint(session)
        published = (last[0], last[1]) if last else (0, b"")
        return cls(head.ledger_id, head.name, head.origin, reader, published)
