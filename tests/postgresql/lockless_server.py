"""The mutant of `test_hosts.py`: a service that does not lock the head and overwrites it. Never part of the product."""

from app.cli.main import main
from app.db import Session, WriteSession
from app.ledger import _store, fencing
from app.ledger.append import Head
from app.ledger.append import read_head as real
from app.rows import run


def unlocked(session: Session, name: str = "", *, lock: bool = False) -> Head:
    """Read the head as anybody would."""
    del lock
    return real(session, name)


def overwritten(session: WriteSession, ledger_id: int, _old: tuple[int, int], new: tuple[int, bytes, bytes]) -> bool:
    """Move the head, wherever it stands."""
    return (
        run(session, "UPDATE ledger SET size = ?, root = ?, edge = ? WHERE ledger_id = ?", *new, ledger_id).rowcount
        == 1
    )


if __name__ == "__main__":
    fencing.read_head = unlocked  # type: ignore[attr-defined]
    _store.move_head = overwritten
    main()
