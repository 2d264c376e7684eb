"""The outer form of a time stamp: certificates put into the order of DER (X.690 section 11.6; pure).

The certificates of a CMS message are a SET OF, which DER sorts. Many authorities, those built on OpenSSL among them,
leave them in the order of the chain, and the library refuses such answers. Nothing signs their order, so they are
sorted before they are read. What is kept and hashed stays as it was received.
"""

from collections.abc import Iterator
from typing import NamedTuple

SEQUENCE, CERTIFICATES, EXPLICIT = 0x30, 0xA0, 0xA0
MAX_LENGTH_BYTES = 4


class _Value(NamedTuple):
    """One value of DER: its tag, where it starts, where its content starts, and where it ends."""

    tag: int
    start: int
    body: int
    end: int


def in_der_order(answer: bytes) -> bytes:
    """Return an answer with its certificates sorted; as it is when it has not the form of one.

    Args:
        answer: A TimeStampResp (RFC 3161 section 2.4.2); anything at all.
    """
    try:
        certificates = _find(answer)
        if certificates is None:
            return answer
        found = sorted(answer[value.start : value.end] for value in _values(answer, certificates))
    except ValueError:
        return answer
    return answer[: certificates.body] + b"".join(found) + answer[certificates.end :]


def _find(answer: bytes) -> _Value | None:
    """Return where the certificates are: in the token, behind version, digest algorithms and content."""
    whole = _Value(0, 0, 0, len(answer))
    place = _child(answer, whole, 0, SEQUENCE)  # TimeStampResp
    for number, tag in ((1, SEQUENCE), (1, EXPLICIT), (0, SEQUENCE), (3, CERTIFICATES)):
        if place is None:
            return None
        place = _child(answer, place, number, tag)
    return place


def _child(data: bytes, parent: _Value, number: int, tag: int) -> _Value | None:
    found = next((value for n, value in enumerate(_values(data, parent)) if n == number), None)
    return found if found is not None and found.tag == tag else None


def _values(data: bytes, parent: _Value) -> Iterator[_Value]:
    """Yield what a value contains.

    Raises:
        ValueError: Lengths do not fit, or are of the indefinite form.
    """
    at = parent.body
    while at < parent.end:
        value = _value(data, at)
        if value.end > parent.end:
            raise ValueError("a value ends beyond its parent")
        yield value
        at = value.end


def _value(data: bytes, at: int) -> _Value:
    if at + 2 > len(data):
        raise ValueError("cut off")
    first, body = data[at + 1], at + 2
    if first < 0x80:
        return _Value(data[at], at, body, body + first)
    count = first & 0x7F
    if not 1 <= count <= MAX_LENGTH_BYTES or body + count > len(data):
        raise ValueError("not a length of DER")
    return _Value(data[at], at, body + count, body + count + int.from_bytes(data[body : body + count], "big"))
