"""Which event is a unit's latest, as far as a bundle proves it (pure).

A head proof shows a unit's record in the tree of a `heads.commit` event; what the bundle tells of that unit before
the commitment's size must then end with just that record. Of a container that the goods have left only the record is
shown: its later events are not theirs. A record that lies around the id that is asked for proves that no such unit
exists (ledger reference section 14).
"""

from collections.abc import Iterable

from app.audit.bundle import Bundle
from app.audit.leaf import Recorded
from app.audit.rejudging import Rejudging
from app.audit.report import Report
from app.canon import b64url_decode, jcs, parse_json
from app.custody.details import HeadsCommit
from app.custody.heads import HeadProof
from app.errors import ServiceError, UnprovenError
from app.units.state import Containment

NO_END = 2**63
MAX_HEAD_BYTES = 16 * 1024


def check_heads(bundle: Bundle, leaves: list[Recorded], judging: Rejudging, report: Report) -> bool:
    """Verify every head proof of a bundle.

    Args:
        bundle: Its parts.
        leaves: The leaves that are proven to be on the ledger, in order.
        judging: Has taken them all.
        report: Told what is wrong, and what is proven: `latest` or `absent`.

    Returns:
        Whether the latest event of the unit itself, or its absence, is proven.
    """
    proven = False
    for unit, data in sorted(bundle.heads.items()):
        try:
            size = _check(unit, data, bundle, leaves, judging, report)
        except ServiceError as error:
            report.tell("fail", "heads", f"The proof about {unit} is wrong: {error.detail}")
            continue
        if unit == bundle.unit:
            proven, report.latest = True, size
    return proven


def _check(
    unit: str, data: bytes, bundle: Bundle, leaves: list[Recorded], judging: Rejudging, report: Report
) -> int:  # fmt: skip
    value = parse_json(data, max_bytes=MAX_HEAD_BYTES)
    proof = HeadProof.parse(value)
    if jcs(value, check=False) != data:
        raise UnprovenError("It is not in canonical form.", code="heads")
    told = _commitment(proof.commit, leaves, judging)
    proof.verify(b64url_decode(told.root, length=32), told.n)
    head = proof.head
    if head.unit == unit:
        _compare(unit, head.seq, head.hash, told.size, leaves, whole=_is_shown_whole(unit, bundle, judging))
        report.tell("note", "latest", f"Event {head.seq} of {unit} is proven to be its latest in {told.size} leaves.")
        return told.size
    if not head.lies_around(unit) or _last(unit, leaves, told.size) is not None:
        raise UnprovenError("The record is about another unit.", code="heads")
    report.tell("note", "absent", f"No unit {unit} is proven to exist in the first {told.size} leaves.")
    report.absent = report.absent or unit == bundle.unit
    return told.size


def _commitment(index: int, leaves: list[Recorded], judging: Rejudging) -> HeadsCommit:
    """Return what the service committed to at a leaf."""
    leaf = next((leaf for leaf in leaves if leaf.index == index), None)
    if leaf is None or not isinstance(leaf.event.details, HeadsCommit) or leaf.verdict.result != "accepted":
        raise UnprovenError("The commitment that it names is not in the bundle, or not proven.", code="heads")
    meta = judging.facts.meta
    if meta is None or set(leaf.event.body.signers) != {meta.service_kid}:
        raise UnprovenError("The commitment is not by the service's own key.", code="heads")
    if leaf.event.details.size > index:
        raise UnprovenError("The commitment speaks of a size that was not there.", code="heads")
    return leaf.event.details


def _compare(unit: str, seq: int, digest: str, size: int, leaves: list[Recorded], *, whole: bool) -> None:
    last = _last(unit, leaves, size)
    if last is None or (last[0] < seq and not whole):
        if last is not None:
            return  # its goods had left: what it did later is not shown
        raise UnprovenError("The bundle tells nothing of that unit before the commitment.", code="heads")
    if last != (seq, digest):
        raise UnprovenError("The latest event that it proves is not the latest one in the bundle.", code="heads")


def _last(unit: str, leaves: list[Recorded], size: int) -> tuple[int, str] | None:
    """Return (seq, leaf hash) of the newest link of a unit below a size."""
    found = [(link.seq, leaf.hash) for leaf in leaves if leaf.index < size for link in leaf.links if link.unit == unit]
    return found[-1] if found else None


def _is_shown_whole(unit: str, bundle: Bundle, judging: Rejudging) -> bool:
    return unit == bundle.unit or until_of(unit, judging) == NO_END


def until_of(member: str, judging: Rejudging) -> int:
    """Return the last leaf at which a container's own chain must be whole: when what we ask about left it."""
    records: Iterable[Containment] = judging.facts.kinds[Containment].values()
    stays = [c for c in records if c.parent == member and c.child in judging.focus]
    return max((NO_END if c.until_index is None else c.until_index for c in stays), default=NO_END)
