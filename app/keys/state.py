"""What the ledger knows of keys and devices, as immutable records (pure).

Every field follows from leaves alone: replaying the ledger rebuilds these records, and `custody fsck`
compares. Ids of officers are pseudonyms; names live in an erasable table and never here.
"""

from dataclasses import dataclass
from typing import Literal

from app.quick import quick

KeyKind = Literal["officer", "administrator", "root", "service", "admission"]


@quick
@dataclass(frozen=True, slots=True)
class Key:
    """An enrolled key: whose it is, under which mandate, and from which leaf to which it counts.

    `raw` is the public key, base64url; times are UTC milliseconds; indexes are leaf indexes. Validity is by
    index: a key counts from `enrolled_index` on and not after `revoked_index` (design section 6).
    """

    kid: str
    alg: str
    raw: str
    kind: KeyKind
    officer: str
    agency: str
    role: str
    place: str | None
    access: tuple[str, ...]
    valid_from_ms: int
    valid_until_ms: int
    enrolled_index: int
    revoked_index: int | None = None
    compromised_since_ms: int | None = None


@quick
@dataclass(frozen=True, slots=True)
class Device:
    """The newest payload of one key's device, and the numbers that have not arrived.

    `missing` holds (first, last, discrepancy id) for each gap; a late event closes its gap.
    """

    kid: str
    seq: int
    hash: str
    at_ms: int
    missing: tuple[tuple[int, int, str], ...] = ()
