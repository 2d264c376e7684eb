"""What `restore --mark` says of a high-water mark: of its own ledger's tree, and nothing of what it does not know."""

import runpy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from app.canon import b64url_encode
from app.db import Database
from app.errors import MissingError
from app.ledger.append import read_head
from app.ledger.highwater import SLOT_BYTES, Slot
from tests import small
from tests.house import House
from tests.postgresql.scripts import SCRIPTS

pytestmark = pytest.mark.postgres
MEANING = runpy.run_path(str(SCRIPTS / "mark.py"))["meaning"]
ELSEWHERE = b64url_encode(b"\x07" * 32)


@dataclass
class Marked:
    """Two ledgers in one database, the other one larger by a leaf; `true` is what the mark of the first one says."""

    one: House
    other: House
    true: Slot
    file: Path

    def said(self, mark: Path, ledger: str = "") -> str:
        """Return what a mark means."""
        with self.one.db.read() as session:
            return str(MEANING(session, mark, ledger))

    def said_of(self, *slots: bytes) -> str:
        """Return what a mark with these slots means."""
        self.file.write_bytes(b"".join(slots).ljust(2 * SLOT_BYTES, b"\x00"))
        return self.said(self.file)


@pytest.fixture
def marked(postgres_url: str, tmp_path: Path) -> Iterator[Marked]:
    """Found both."""
    db = Database(postgres_url)
    one, other = House(db, tmp_path / "one"), House(db, tmp_path / "other", name="other2024")
    other.enrol("OFF-1", small.KPU, "LOGISTIK", small.CITY)
    with db.read() as session:
        head = read_head(session, one.settings.ledger)
    assert other.recorder.published[0] == head.size + 1
    yield Marked(one, other, Slot(head.origin, head.size, b64url_encode(head.root)), tmp_path / "mark.json")
    db.close()


def test_a_mark_is_held_against_the_tree_of_its_own_ledger(marked: Marked) -> None:
    true, name = marked.true, marked.one.settings.ledger
    everything = f"of {name} says {true.size}: everything that this host has shown is in it"
    beyond = replace(true, size=true.size + 1, root=ELSEWHERE)
    assert everything in marked.said_of(true.to_bytes())
    assert f"{true.size + 1}: 1 leaves that were signed and shown are not in it" in marked.said_of(
        true.to_bytes(), beyond.to_bytes()
    )
    assert f"{true.size}: another history" in marked.said_of(replace(true, root=ELSEWHERE).to_bytes())
    assert "says 0: it is older than" in marked.said_of(replace(true, size=0, root=ELSEWHERE).to_bytes())
    torn = beyond.to_bytes().replace(b'"size":', b'"size":9')[:SLOT_BYTES]  # its checksum is another
    assert everything in marked.said_of(true.to_bytes(), torn)
    assert everything in marked.said(marked.one.settings.high_water_file(), name)
    assert f"of other2024 says {true.size + 1}: everything" in marked.said(marked.other.settings.high_water_file())


def test_a_mark_that_is_not_this_ledgers_says_nothing(marked: Marked) -> None:
    for slots in ([], [b"\x00" * SLOT_BYTES], [marked.true.to_bytes().replace(b"size", b"sise")]):
        with pytest.raises(MissingError, match="blank or damaged: it says nothing"):
            marked.said_of(*slots)
    with pytest.raises(MissingError, match="that of elsewhere/ledger/x: it says nothing"):
        marked.said_of(replace(marked.true, owner="elsewhere/ledger/x").to_bytes())
    with pytest.raises(MissingError, match="other2024: it says nothing"):
        marked.said(marked.other.settings.high_water_file(), marked.one.settings.ledger)
