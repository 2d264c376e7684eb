"""Commit to every unit's latest event, time and again: `heads.commit` leaves and the tree that they are over.

One round takes in what changed since the last one, in one transaction with the leaf that says so. It locks the
ledger as briefly as a group of events does: so many leaves at most, then others may write. What a crash leaves
behind: the round before, whole.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import orjson

from app.canon import JsonValue, b64url_encode
from app.custody import _store
from app.custody.heads import FIRST, Head, HeadProof, Place, amend, prove_head
from app.custody.record import Recorder
from app.db import Session
from app.ledger.amendable import Tiles
from app.ledger.append import Reader
from app.ledger.tree import EMPTY_ROOT

MAX_LEAVES = 4000


@dataclass(frozen=True, slots=True)
class Commitment:
    """What the newest `heads.commit` says: at which leaf, as of which size, over how many units, with which root."""

    leaf_index: int
    size: int
    n: int
    root: bytes


class StoredHeads:
    """The records and tiles of one ledger in the database, as committed to last.

    A stored record is where a unit stands and which comes next; its latest link is looked up among the events, so that
    a round in which no unit is new rewrites tiles and nothing else.
    """

    def __init__(self, session: Session, ledger_id: int, size: int, known: Tiles | None = None) -> None:
        """Read in one snapshot; `size` is what was committed to, `known` are tiles that need not be read."""
        self._session, self._ledger_id, self._size = session, ledger_id, size
        self._known = known if known is not None else {}

    def places(self, units: Sequence[str]) -> Mapping[str, Place]:
        """Return where these units stand and what comes next."""
        return _store.head_places(self._session, self._ledger_id, units) if units else {}

    def heads(self, units: Sequence[str]) -> Mapping[str, Head]:
        """Return the records of these units, as they were committed to."""
        return self._heads(self.places(units))

    def _heads(self, places: Mapping[str, Place]) -> dict[str, Head]:
        links = _store.latest_links(self._session, self._ledger_id, list(places), self._size) if places else {}
        indexes = [index for index, _ in links.values()]
        hashes = Reader(self._ledger_id).leaf_hashes_at(self._session, indexes) if indexes else {}
        found: dict[str, Head] = {}
        for unit, (index, seq) in links.items():
            found[unit] = Head(unit, places[unit][0], seq, b64url_encode(hashes[index]), places[unit][1])
        if "" in places:
            found[""] = replace(FIRST, next=places[""][1])
        return found

    def before(self, units: Sequence[str]) -> Mapping[str, Head]:
        """Return for each unit the record of the largest one below it."""
        below = _store.names_before(self._session, self._ledger_id, units) if units else {}
        found = self._heads({place[0]: place[1:] for place in below.values()})
        return {unit: found[place[0]] for unit, place in below.items()}

    def tiles(self, level: int, numbers: Sequence[int]) -> Mapping[int, bytes]:
        """Return tiles of a level by number."""
        found = {n: self._known[level, n] for n in numbers if (level, n) in self._known}
        rest = [n for n in numbers if n not in found]
        return found | _store.head_tiles(self._session, self._ledger_id, level, rest) if rest else found


def newest(session: Session, ledger_id: int) -> Commitment | None:
    """Return the newest commitment of a ledger; None before the first."""
    row = _store.last_head_commit(session, ledger_id)
    return Commitment(*row) if row is not None else None


def commit_heads(recorder: Recorder, now_ms: int, *, max_leaves: int = MAX_LEAVES) -> int | None:
    """Commit once to what changed since the last commitment.

    Args:
        recorder: The writer; call this on its thread.
        now_ms: UTC milliseconds.
        max_leaves: How many leaves to take in at most, so that the lock is held briefly.

    Returns:
        How many leaves are left for another round; None when there was nothing to say.

    Raises:
        BusyError: The ledger could not be locked, or is frozen.
    """
    ledger_id = recorder.ledger_id
    with recorder.writing() as writing:
        session, size = writing.session, writing.head.size
        last = newest(session, ledger_id) or Commitment(-1, 0, -1, EMPTY_ROOT)
        end = min(size, last.size + max_leaves)
        meta = writing.walk.facts.meta
        if meta is None or meta.closed_index is not None:
            return None
        if end <= last.size or (size == last.leaf_index + 1 and last.size == last.leaf_index):
            return None  # nothing but the last commitment itself has come since
        store = StoredHeads(session, ledger_id, last.size, recorder.upper.of(last.leaf_index))
        done = amend(store, last.n, _latest(recorder, session, last.size, end))
        details: dict[str, JsonValue] = {"size": end, "root": b64url_encode(done.root), "n": done.n}
        said = recorder.say(writing.walk, writing.group, "heads.commit", details, writing.walk.moment(now_ms))
        _store.put_head_places(session, ledger_id, done.placed)
        _store.put_head_tiles(session, ledger_id, done.tiles)
        _store.insert_head_commit(session, ledger_id, (said.leaf_index, end, done.n, done.root))
    recorder.upper.keep(said.leaf_index, done.tiles)
    if end == size:
        recorder.recent.restart(end, recorder.published[0])  # only the commitment has come since, and it links no unit
    return size - end


def _latest(recorder: Recorder, session: Session, first: int, end: int) -> dict[str, tuple[int, str]]:
    """Return each unit's newest link in a range of leaves: as remembered, else as read."""
    recent = recorder.recent.between(first, end)
    if recent is not None:
        return {unit: (seq, b64url_encode(digest)) for unit, (seq, digest) in recent.items()}
    found: dict[str, tuple[int, str]] = {}
    for _, leaf, digest in recorder.reader.leaves(session, first, end):
        for link in orjson.loads(leaf)["links"]:
            found[link["unit"]] = (link["seq"], b64url_encode(digest))
    return found


def prove_units(session: Session, ledger_id: int, units: Sequence[str], until: int) -> dict[str, HeadProof]:
    """Prove for each unit which event is its latest, or that there is no such unit, under the newest commitment.

    Args:
        session: One snapshot.
        ledger_id: The ledger.
        units: Unit ids.
        until: The commitment's leaf must lie below this size.

    Returns:
        A proof by unit id; nothing when no commitment lies below that size.
    """
    last = newest(session, ledger_id)
    if last is None or last.leaf_index >= until:
        return {}
    store = StoredHeads(session, ledger_id, last.size)
    found = dict(store.heads(units))
    found |= store.before([unit for unit in units if unit not in found])
    return {unit: prove_head(store, head, last.n, last.leaf_index) for unit, head in found.items()}
