"""Say what a high-water mark means for a restored database; `restore --mark` calls this.

    mark.py FILE URL [LEDGER]

The mark itself says whose it is: it is held against that ledger alone, however many there are, and a slot whose
checksum does not hold says nothing. This reads, and writes nothing. Exit code: 0 when the mark could be held against
its tree, whatever came of it; 1 when it says nothing of it.
"""

import sys
from pathlib import Path

from app.audit.mark import Mark
from app.canon import b64url_encode
from app.db import Database, Session
from app.errors import MissingError, ServiceError
from app.ledger.append import Head, Reader, read_head
from app.ledger.highwater import Slot

COMPARE = "Compare the marks of other hosts, and the witnesses, with this tree."


def meaning(session: Session, path: Path, ledger: str = "") -> str:
    """Return what a mark means for the tree of its ledger, in a sentence.

    Args:
        session: Reading the restored database.
        path: The file of the mark.
        ledger: Name of the ledger whose mark it is thought to be; any when empty.

    Raises:
        MissingError: The file holds no mark, or that of no such ledger: it says nothing.
        TamperError: The head of a ledger contradicts itself.
    """
    mark = Mark.read(path)
    if mark.origin is None:
        raise MissingError(f"The high-water mark {path} is blank or damaged: it says nothing. {COMPARE}")
    head = _whose(session, mark)
    if head is None or ledger not in {"", head.name}:
        raise MissingError(f"The high-water mark {path} is that of {mark.origin}: it says nothing of this. {COMPARE}")
    slots = [slot for _, _, slot in mark.slots() if slot is not None and slot.names(head.origin)]
    return _held_against(session, head, max(slots, key=lambda slot: slot.size))


def _whose(session: Session, mark: Mark) -> Head | None:
    names = session.exec_driver_sql("SELECT name FROM ledger ORDER BY name").scalars().all()
    heads = (read_head(session, str(name)) for name in names)
    return next((head for head in heads if mark.names(head.origin)), None)


def _held_against(session: Session, head: Head, told: Slot) -> str:
    says = f"The high-water mark of {head.name} says {told.size}"
    if told.size > head.size:
        return f"{says}: {told.size - head.size} leaves that were signed and shown are not in it."
    if told.size == 0 and head.size > 1:  # as it was made for the founding
        return f"{says}: it is older than the ledger's first checkpoint, and says nothing more. {COMPARE}"
    if told.size and b64url_encode(Reader(head.ledger_id).nodes(session).root(told.size)) != told.root:
        return f"{says}: another history was signed and shown than the one that is in it. Do not serve it."
    return f"{says}: everything that this host has shown is in it."


def main() -> int:
    """Print the sentence; what could not be said goes to the error output."""
    path, url, ledger = Path(sys.argv[1]), sys.argv[2], "".join(sys.argv[3:])
    db = Database(url)
    try:
        with db.read() as session:
            print(meaning(session, path, ledger))
    except ServiceError as error:
        print(error.detail, file=sys.stderr)
        return 1
    finally:
        db.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
