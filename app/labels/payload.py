"""What a label says: the address in its code, the words beside it, and what a scanner read back.

Knows unit ids, our short host and the words people read. Must never know printers, databases or whether
the unit exists: a label carries no fact about ballots, places or elections inside its id. Pure.
A scan's walk, step 1: `parse_scan` turns what a camera or a keyboard gave into a unit id or a foreign code.

Spec: design section 4; reference/exchange.md sections 8 and 9.
"""

import re
from dataclasses import dataclass

from app.errors import MalformedError, RefusedError
from app.ids import parse_unit_id

MAX_URL_CHARS = 47
"""What QR version 3 at level Q holds in alphanumeric mode."""

MAX_HOST_CHARS = MAX_URL_CHARS - len("HTTPS://") - len("/U/") - 17
"""What is left of it for the host beside the 17 characters of the id: 19."""

MAX_FOREIGN_CHARS = 128
"""Longest foreign code that may become an alias."""

_HOST = re.compile(r"[A-Z0-9](?:-*[A-Z0-9])*(?:\.[A-Z0-9](?:-*[A-Z0-9])*)*(?::[0-9]{1,5})?")
_ID_SHAPE = re.compile(r"[0-9A-TV-Za-tv-z]{17}")


@dataclass(frozen=True, slots=True)
class ForeignCode:
    """A code that is not ours, such as the commission's own box QR; it may be bound to a unit as an alias.

    Attributes:
        code: As scanned without surrounding space: 1 to 128 printable characters, case kept.
    """

    code: str


@dataclass(frozen=True, slots=True)
class LabelText:
    """Everything one label says. Words are Indonesian; the painters shorten what does not fit.

    Attributes:
        unit_id: Canonical, 17 characters.
        short_host: Host of the address in the code, at most 19 characters.
        item: What the unit is, such as `Kotak suara`.
        contest: Which contest it belongs to; empty when none.
        destination: Lines from the nearest to the widest place: TPS, kelurahan, kecamatan, kab/kota.
        number: This unit's place among its siblings, from 1; 0 when there is no count.
        total: How many siblings there are; 0 when there is no count.
        title: Small heading, such as the election's name.
    """

    unit_id: str
    short_host: str
    item: str
    contest: str = ""
    destination: tuple[str, ...] = ()
    number: int = 0
    total: int = 0
    title: str = ""

    def __post_init__(self) -> None:
        """Refuse a label whose code could not be read back; misuse of ours is a RuntimeError."""
        label_url(self.short_host, self.unit_id)
        if parse_unit_id(self.unit_id) != self.unit_id:
            msg = "a label takes the canonical form of its unit id"
            raise RuntimeError(msg)
        if not (0 < self.number <= self.total or self.number == self.total == 0):
            msg = "a label's number counts from 1 to its total"
            raise RuntimeError(msg)

    @property
    def url(self) -> str:
        """The address that the code carries."""
        return label_url(self.short_host, self.unit_id)

    @property
    def part(self) -> str:
        """`n dari m`, or nothing when the unit is not counted."""
        return f"{self.number} dari {self.total}" if self.total else ""


def label_url(short_host: str, unit_id: str) -> str:
    """Write the address that a label's code carries, in QR alphanumeric characters.

    Args:
        short_host: Host name, with a port when needed, in any case of letters.
        unit_id: A unit id in any accepted spelling.

    Returns:
        `HTTPS://<SHORTHOST>/U/<ID>` in upper case, at most 47 characters.

    Raises:
        RefusedError: `short_host`: the host is too long or not a host name in QR alphanumeric characters.
        MalformedError: The id is not a unit id, as `parse_unit_id` says.
    """
    return f"{_address_start(short_host)}{parse_unit_id(unit_id)}"


def parse_scan(text: str, short_host: str) -> str | ForeignCode:
    """Tell our unit ids from other people's codes.

    Accepts a bare id as people type it (folding, hyphens, spaces) and our address in any case of letters.
    Seventeen characters of our alphabet are taken for an id: with a wrong check character they are refused
    and never become a foreign code, or a typing error would silently name something else. It does not look
    whether the unit exists. A code over the bound is refused, not cut: two cut codes could become one.

    Args:
        text: What the camera or the keyboard gave.
        short_host: The host of our own addresses.

    Returns:
        The canonical unit id, or the foreign code.

    Raises:
        MalformedError: `label_checksum` and its like from `parse_unit_id`; `foreign_code` when the text is
            empty, longer than 128 characters or not printable.
        RefusedError: `short_host`: our own host is not usable.
    """
    scan = text.strip()
    start = _address_start(short_host)
    head, rest = scan[: len(start)], scan[len(start) :]
    if head.isascii() and head.upper() == start:
        return parse_unit_id(rest)
    if _ID_SHAPE.fullmatch(scan.replace("-", "").replace(" ", "")):
        return parse_unit_id(scan)
    return _foreign(scan)


def _address_start(short_host: str) -> str:
    host = short_host.upper() if short_host.isascii() else ""
    if len(host) > MAX_HOST_CHARS or not _HOST.fullmatch(host):
        raise RefusedError(
            f"The short host of labels must be a host name of at most {MAX_HOST_CHARS} characters: "
            "letters, digits, dots and hyphens, with a port when needed.",
            code="short_host",
        )
    return f"HTTPS://{host}/U/"


def _foreign(scan: str) -> ForeignCode:
    if not scan or len(scan) > MAX_FOREIGN_CHARS or not scan.isprintable():
        raise MalformedError(f"A foreign code has 1 to {MAX_FOREIGN_CHARS} printable characters.", code="foreign_code")
    return ForeignCode(scan)
