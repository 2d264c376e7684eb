"""The high-water file beside the database: does the tree hold what was signed and shown last?

A check of `custody fsck` of its own, since it looks outside the database; `app.ledger.highwater` writes the file.
"""

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from app.audit.findings import Findings
from app.audit.fsck_tree import Tree
from app.canon import b64url_encode, sha256
from app.ledger.highwater import SLOT_BYTES


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

    @property
    def origin(self) -> str | None:
        """The ledger that the file names; None when there is no file or nothing whole in it."""
        for start in range(0, len(self.data or b""), SLOT_BYTES):
            body, _, check = (self.data or b"")[start : start + SLOT_BYTES].rstrip(b" \x00\n").rpartition(b" ")
            with suppress(ValueError, KeyError, TypeError):
                if b64url_encode(sha256(body))[:16].encode() == check:
                    return str(json.loads(body)["origin"])
        return None


def check_high_water(findings: Findings, tree: Tree, mark: Mark) -> None:
    """Check that the tree holds what was signed and shown last, and that the file is whole.

    A mark behind the tree is what a crash right after a commit leaves, and no damage.
    """
    if mark.data is None:
        if tree.size:
            findings.add("high_water", mark.name, "missing", "The file of the high-water mark is missing.")
        return
    slots = [mark.data[i : i + SLOT_BYTES] for i in range(0, max(len(mark.data), 1), SLOT_BYTES)]
    told = [_slot(findings, mark, number, slot) for number, slot in enumerate(slots) if slot.strip(b" \n\x00")]
    for size, root in filter(None, told):
        if size > tree.size:
            findings.add(
                "high_water",
                mark.name,
                "rollback",
                "More leaves were signed and shown than this database has.",
                expected=size,
                found=tree.size,
            )
        elif b64url_encode(tree.root(size)) != root:
            findings.add(
                "high_water",
                mark.name,
                "differs",
                "Another history was signed and shown at that size.",
                expected=root,
                found=b64url_encode(tree.root(size)),
            )
    if tree.size and not any(told):
        findings.add("high_water", mark.name, "missing", "No slot of the file holds a mark.")
    origin = tree.genesis.event.body.ledger if tree.genesis is not None else None
    for slot in slots:
        if origin is not None and any(told) and slot.strip(b" \n\x00") and f'"{origin}"'.encode() not in slot:
            findings.add("high_water", mark.name, "origin", "The mark belongs to another ledger.", expected=origin)


def _slot(findings: Findings, mark: Mark, number: int, slot: bytes) -> tuple[int, str] | None:
    body, _, check = slot.rstrip(b" \x00\n").rpartition(b" ")
    if len(slot) == SLOT_BYTES and b64url_encode(sha256(body))[:16].encode() == check:
        with suppress(ValueError, KeyError, TypeError):
            told = json.loads(body)
            return int(told["size"]), str(told["root"])
    findings.add(
        "high_water", f"{mark.name}/{number}", "differs", "A slot of the high-water file is damaged.", found=slot
    )
    return None
