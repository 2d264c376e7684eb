"""Rounds over the other ledgers of a signed list: fetch each one's checkpoint, see that it extends the last one taken.

A checkpoint that was only signed proves nothing of its past, so its tree must give the root that was taken before, by
hash tiles that the new root vouches for. What comes of one ledger:

    fresh         larger and consistent: to be taken
    same          nothing new
    twin          signed, as large as the one taken before, and another tree: the two notes convict it
    forked        signed and larger, and its tiles do not extend the one taken before: the same, told by its own tiles
    behind        smaller than what was taken: a cache that is behind, or a ledger that was restored
    unavailable   no answer, or one that proves nothing; asked again in the next round

No ledger's trouble hurts another's: each is asked on its own, a few at a time, with one try a round.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Literal

from app.canon import b64url_decode
from app.custody.sharding import Seen
from app.custody.state import Shard
from app.errors import ServiceError
from app.exchange.remote import RemoteLedger
from app.ledger.checkpoint import Checkpoint, open_checkpoint
from app.ledger.directory import Listed
from app.ledger.note import signed_only
from app.ledger.trusted import TrustedTree

MAX_AT_ONCE = 8
State = Literal["fresh", "same", "twin", "forked", "behind", "unavailable"]


@dataclass(frozen=True, slots=True)
class Looked:
    """What came of one ledger; `seen` is its checkpoint when it was signed by the listed key."""

    origin: str
    state: State
    detail: str = ""
    seen: Seen | None = None


def look(ledgers: Sequence[Listed], last: Mapping[str, Shard]) -> list[Looked]:
    """Ask every ledger of a list once, in its order.

    Args:
        ledgers: Those with an address are asked.
        last: What was taken last, by origin.
    """
    asked = [listed for listed in ledgers if listed.url]
    with ThreadPoolExecutor(MAX_AT_ONCE, "shard") as pool:
        return list(pool.map(lambda listed: look_at(listed, last.get(listed.origin)), asked))


def look_at(listed: Listed, last: Shard | None) -> Looked:
    """Fetch one ledger's newest checkpoint and compare it with what was taken last."""
    try:
        with closing(RemoteLedger(listed.url, tries=1)) as source:
            seen = _signed(source.checkpoint(), listed)
            return _compared(source, seen, last)
    except ServiceError as error:
        return Looked(listed.origin, "unavailable", f"{error.code}: {error.detail}")


def _signed(data: bytes, listed: Listed) -> Seen:
    """Open a checkpoint, and keep the one signature that was verified: others may be crafted to look like it."""
    return Seen(listed.key, open_checkpoint(data, [listed.key], listed.origin), signed_only(data, [listed.key]))


def _compared(source: RemoteLedger, seen: Seen, last: Shard | None) -> Looked:
    told = seen.checkpoint
    if last is None or last.size == 0:
        return Looked(told.origin, "fresh" if told.size else "same", seen=seen)
    before = Checkpoint(last.origin, last.size, b64url_decode(last.root))
    if told == before:
        return Looked(told.origin, "same", seen=seen)
    if told.size < before.size:
        return Looked(told.origin, "behind", f"shows {told.size} leaves; {before.size} were taken before", seen)
    if told.size == before.size:
        return Looked(told.origin, "twin", f"signed another tree of {told.size} leaves than the one taken before", seen)
    if TrustedTree(told, source.read).root_at(before.size) != before.root:
        detail = f"its tree of {told.size} leaves does not extend the one of {before.size} that was taken before"
        return Looked(told.origin, "forked", detail, seen)
    return Looked(told.origin, "fresh", seen=seen)
