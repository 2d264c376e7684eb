"""The high-water file beside the database: does the tree hold what was signed and shown last?

A check of `custody fsck` of its own, since it looks outside the database; `app.ledger.highwater` writes the file, and
reads a slot for both.
"""

from dataclasses import dataclass
from pathlib import Path

from app.audit.findings import Findings
from app.audit.fsck_tree import Tree
from app.canon import b64url_encode
from app.ledger.highwater import SLOT_BYTES, Slot


@dataclass(frozen=True, slots=True)
class Mark:
    """The high-water file as it stood before the snapshot: the mark only ever follows a commit."""

    name: str
    data: bytes | None

    @classmethod
    def read(cls, path: Path) -> "Mark":
        """Read the file, if there is one."""
        try:
            return cls(path.name, path.read_bytes())
        except OSError:
            return cls(path.name, None)

    def slots(self) -> list[tuple[int, bytes, Slot | None]]:
        """Return every slot that is not blank: its number, its bytes, and what it says if it is whole."""
        data = self.data or b""
        cut = [data[at : at + SLOT_BYTES] for at in range(0, len(data), SLOT_BYTES)]
        return [
            (number, slot, Slot.parse(slot) if len(slot) == SLOT_BYTES else None)
            for number, slot in enumerate(cut)
            if slot.strip(b" \n\x00")
        ]

    def names(self, origin: str) -> bool:
        """Say whether something whole in the file names this ledger."""
        return any(told is not None and told.names(origin) for _, _, told in self.slots())

    @property
    def origin(self) -> str | None:
        """How the file names its ledger, `highwater.owner_of`; None when there is no file or nothing whole in it."""
        return next((told.owner for _, _, told in self.slots() if told is not None), None)


def check_high_water(findings: Findings, tree: Tree, mark: Mark) -> None:
    """Check that the tree holds what was signed and shown last, and that the file is whole.

    A mark behind the tree is what a crash right after a commit leaves, and no damage; one that is still that of the
    founding when there is more than the genesis was put in the place of the right one.
    """
    if mark.data is None:
        if tree.size:
            findings.add("high_water", mark.name, "missing", "The file of the high-water mark is missing.")
        return
    whole: list[Slot] = []
    for number, data, slot in mark.slots():
        if slot is None:
            what = "A slot of the high-water file is damaged."
            findings.add("high_water", f"{mark.name}/{number}", "differs", what, found=data)
        else:
            whole.append(slot)
            _check_tree(findings, tree, mark, slot)
    if tree.size and not whole:
        findings.add("high_water", mark.name, "missing", "No slot of the file holds a mark.")
    elif tree.size > 1 and not any(slot.size for slot in whole):
        findings.add("high_water", mark.name, "missing", "The mark is older than the ledger's first checkpoint.")
    origin = tree.genesis.event.body.ledger if tree.genesis is not None else None
    if origin is not None and not all(slot.names(origin) for slot in whole):
        findings.add("high_water", mark.name, "origin", "The mark belongs to another ledger.", expected=origin)


def _check_tree(findings: Findings, tree: Tree, mark: Mark, slot: Slot) -> None:
    if slot.size > tree.size:
        findings.add(
            "high_water",
            mark.name,
            "rollback",
            "More leaves were signed and shown than this database has.",
            expected=slot.size,
            found=tree.size,
        )
    elif b64url_encode(tree.root(slot.size)) != slot.root:
        findings.add(
            "high_water",
            mark.name,
            "differs",
            "Another history was signed and shown at that size.",
            expected=slot.root,
            found=b64url_encode(tree.root(slot.size)),
        )
