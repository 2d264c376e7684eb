"""How a leaf lies in its row: the same bytes, with what is base64url in the envelope kept as the bytes that it spells.

A leaf is nearly all base64url: the payload, and a header and a signature for each signer. Kept as they are these take
a third more than what they say, and the words of our own part of the leaf are always the same. `pack` takes all that
apart and `unpack` spells it again, byte for byte; that this is so is tried for every leaf before it is stored, and a
leaf that would not come back as it was is kept as it is.

Form of a packed leaf, integers big-endian: 0x01 (a leaf as it is begins with `{`); the number of signatures, one
byte; the length of the payload, two bytes; of each protected header, one byte each; payload, headers, signatures of
64 bytes each; then the leaf from its `links` on. In headers and in that last part one byte stands for each of a few
phrases; JSON has no such bytes. A leaf that begins with 0x00 or 0x01 itself (none of ours does) stands behind 0x00.
The form is for ever: another one would begin with another byte.

Nothing here raises: `unpack` gives what cannot be unpacked as it stands, and then no hash will fit it.
"""

from binascii import Error, a2b_base64, b2a_base64
from collections.abc import Sequence
from functools import lru_cache

MARK, AS_IT_IS = b"\x01", b"\x00"
SIGNATURE_BYTES = 64
_BEFORE = b'{"event":{"payload":"'
_AFTER = b'"}]},"links":['
_SIGNATURES = b'","signatures":[{"protected":"'
_SIGNATURE = b'","signature":"'
_NEXT = b'"},{"protected":"'
_HEADER_PHRASES = (
    (b"\x02", b'{"alg":"ES256","kid":"'),
    (b"\x03", b'{"alg":"Ed25519","kid":"'),
    (b"\x04", b'","typ":"custody-event+json"}'),
)
_PHRASES = (
    (b"\x02", b'{"prev":"'),
    (b"\x03", b'","seq":'),
    (b"\x04", b',"unit":"'),
    (b"\x05", b'"}],"received_at":"'),
    (b"\x06", b'","v":1,"verdict":{"code":"","policy":"'),
    (b"\x07", b'","result":"accepted","rules":'),
)
_TO_URL, _FROM_URL = bytes.maketrans(b"+/", b"-_"), bytes.maketrans(b"-_", b"+/")
_PADDING = (b"", b"===", b"==", b"=")


def pack(leaf: bytes) -> bytes:
    """Return the leaf as it is stored; `unpack` gives exactly this leaf again, whatever its bytes are."""
    if leaf.startswith((MARK, AS_IT_IS)):
        return AS_IT_IS + leaf
    head, found, links = leaf.partition(_AFTER)
    words = head.split(b'"')
    texts, spelled = words[11::8], words[15::8]
    if not found or len(texts) != len(spelled) or not 0 < len(texts) < 256:
        return leaf
    if head != _envelope(words[5], texts, spelled):
        return leaf
    try:
        payload, signatures = _decoded(words[5]), [_decoded(text) for text in spelled]
        headers = [_packed_header(text) for text in texts]
        numbers = bytes((len(headers), *divmod(len(payload), 256), *map(len, headers)))
    except (Error, ValueError):  # no base64, or longer than the numbers hold
        return leaf
    short = _shorter(links, _PHRASES)
    if any(len(each) != SIGNATURE_BYTES for each in signatures) or _longer(short, _PHRASES) != links:
        return leaf
    if not _comes_back(payload, words[5]) or not all(map(_comes_back, signatures, spelled)):
        return leaf
    return b"".join((MARK, numbers, payload, *headers, *signatures, short))


def _comes_back(data: bytes, text: bytes) -> bool:
    """Try whether bytes would be spelled again as they were: base64 has several spellings of some."""
    return _encoded(data) == text


@lru_cache(maxsize=4096)
def _packed_header(text: bytes) -> bytes:
    """Return a protected header as it is kept; remembered, since a phone signs everything under the same one.

    Raises:
        ValueError: It would not come back as it was.
    """
    short = _shorter(_decoded(text), _HEADER_PHRASES)
    if _encoded(_longer(short, _HEADER_PHRASES)) != text:
        raise ValueError("not the one spelling of a header")
    return short


def _envelope(payload: bytes, headers: Sequence[bytes], signatures: Sequence[bytes]) -> bytes:
    """Spell the leaf up to its links; every part is base64url as text."""
    signed = _NEXT.join([h + _SIGNATURE + s for h, s in zip(headers, signatures, strict=False)])
    return b"".join((_BEFORE, payload, _SIGNATURES, signed))


def unpack(stored: bytes) -> bytes:
    """Return the leaf of what is stored; bytes that `pack` did not make are returned as they are."""
    if not stored.startswith(MARK) or len(stored) < 4:
        return stored[1:] if stored.startswith(AS_IT_IS) else stored
    count, start = stored[1], 4 + stored[1]
    headers, end = [], start + 256 * stored[2] + stored[3]
    payload = stored[start:end]
    for length in stored[4:start]:
        headers.append(_encoded(_longer(stored[end : end + length], _HEADER_PHRASES)))
        end += length
    last = end + SIGNATURE_BYTES * count
    signatures = [_encoded(stored[at : at + SIGNATURE_BYTES]) for at in range(end, last, SIGNATURE_BYTES)]
    return b"".join((_envelope(_encoded(payload), headers, signatures), _AFTER, _longer(stored[last:], _PHRASES)))


def payload_of(stored: bytes) -> bytes:
    """Return the payload of a leaf, packed or as it is: the bytes that the author signed, and nothing else is read.

    Raises:
        ValueError: It is no leaf of an event.
    """
    if stored.startswith(MARK):
        start = 4 + stored[1]
        return stored[start : start + 256 * stored[2] + stored[3]]
    if not stored.startswith(_BEFORE):
        raise ValueError("the bytes are no leaf")
    return _decoded(stored[len(_BEFORE) : stored.index(b'"', len(_BEFORE))])


def _shorter(text: bytes, phrases: Sequence[tuple[bytes, bytes]]) -> bytes:
    for sign, phrase in phrases:
        text = text.replace(phrase, sign)
    return text


def _longer(text: bytes, phrases: Sequence[tuple[bytes, bytes]]) -> bytes:
    for sign, phrase in phrases:
        text = text.replace(sign, phrase)
    return text


def _decoded(text: bytes) -> bytes:
    return a2b_base64(text.translate(_FROM_URL) + _PADDING[len(text) % 4])


def _encoded(data: bytes) -> bytes:
    return b2a_base64(data, newline=False).rstrip(b"=").translate(_TO_URL)
