"""Which sample an inspection has: the seed that nobody chose, the inventory that was frozen before it, the draw.

The seed comes from the first checkpoint that met the policy of witnesses among those that hold the freeze
(`app.audit.sampling.seed_of` says which bytes). It was made after the freeze, so nobody could fit the inventory to it,
and witnesses keep a copy, so nobody can exchange it. A ledger without witnesses has no public seed: then the first
checkpoint of all serves, and everything that is told of it says `witnessed: false`.
"""

from dataclasses import dataclass

from app.audit.inventory import Terms, frozen
from app.audit.places import Answer
from app.audit.sampling import draw, sample_size, seed_of
from app.canon import b64url_encode
from app.custody.state import Inspection
from app.db import ReadSession
from app.errors import ConflictError
from app.ledger.append import Reader
from app.ledger.witnessed import cosigned_note, first_to_be_witnessed

NO_WITNESSES = {
    "id": "Buku besar ini tidak memiliki saksi: tidak ada benih publik. Benih ini hanya kata penyelenggara buku besar.",
    "en": "This ledger has no witnesses: there is no public seed. This one is the ledger's own word alone.",
}
WITNESSED = {
    "id": "Benih berasal dari checkpoint pertama setelah pembekuan yang ditandatangani para saksi.",
    "en": "The seed comes from the first checkpoint after the freeze that the witnesses signed.",
}
AWAITED = {
    "opening": {"id": "Pemeriksaan belum dibuka.", "en": "The inspection is not open yet."},
    "witnessed_checkpoint": {
        "id": "Menunggu checkpoint pertama setelah pembekuan yang ditandatangani para saksi.",
        "en": "Waiting for the first checkpoint after the freeze that the witnesses sign.",
    },
}


@dataclass(frozen=True, slots=True)
class Seed:
    """A seed, and the checkpoint that it comes from."""

    value: bytes
    size: int
    note: bytes
    witnessed: bool

    def as_json(self) -> Answer:
        """Return it with what others need to come to the same."""
        return {
            "value": b64url_encode(self.value), "size": self.size, "checkpoint": self.note.decode(),
            "witnessed": self.witnessed, "text": dict(WITNESSED if self.witnessed else NO_WITNESSES),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Drawn:
    """The sample of an inspection: of which inventory, from which seed, and the units, sorted."""

    inventory: tuple[str, ...]
    seed: Seed
    units: tuple[str, ...]


def size_of(found: Inspection, population: int) -> int:
    """Return how many units of an inventory are looked at: all of them in a full inspection."""
    if population == 0 or found.kind == "full":
        return population
    return sample_size(population, found.confidence, found.rate)


def inventory_of(session: ReadSession, ledger_id: int, found: Inspection) -> tuple[str, ...]:
    """Return what an opened inspection froze, by the ledger; nothing while it is only planned."""
    if found.frozen_index is None:
        return ()
    terms = Terms(found.place, tuple(found.items), found.contents)
    return frozen(session, ledger_id, terms, found.frozen_index + 1)


def drawn(session: ReadSession, ledger_id: int, found: Inspection, *, witnesses: bool) -> Drawn:
    """Draw the sample of an inspection; everybody who draws it comes to the same.

    Args:
        session: Reading; one snapshot.
        ledger_id: The ledger.
        found: The inspection.
        witnesses: Whether the ledger has a policy of witnesses, whose word is then awaited.

    Raises:
        ConflictError: `not_drawn`, with `awaits`: the inspection is only planned, or there is no seed yet.
        TamperError: The leaves do not replay.
    """
    seed = _seed(session, ledger_id, found, witnesses=witnesses)
    inventory = inventory_of(session, ledger_id, found)
    units = draw(inventory, size_of(found, len(inventory)), seed.value)
    return Drawn(inventory, seed, tuple(sorted(units)))


def _seed(session: ReadSession, ledger_id: int, found: Inspection, *, witnesses: bool) -> Seed:
    if found.frozen_index is None:
        raise _not_drawn("opening")
    least = found.frozen_index + 1
    size = first_to_be_witnessed(session, ledger_id, least)
    if size is not None:
        note = cosigned_note(session, ledger_id, size)
        return Seed(seed_of(note), size, note, witnessed=True)
    first = Reader(ledger_id).checkpoint_from(session, least) if not witnesses else None
    if first is None:
        raise _not_drawn("witnessed_checkpoint", size=least)
    return Seed(seed_of(first[1]), first[0], first[1], witnessed=False)


def _not_drawn(awaited: str, **more: int) -> ConflictError:
    told = {"what": awaited, "text": AWAITED[awaited], **more}
    return ConflictError("The sample is not drawn yet.", code="not_drawn", awaits=told)
