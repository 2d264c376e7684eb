"""A signed list of ledgers: which ledgers there are, so that nobody can be shown one that is none (pure).

    custody-ledgers/v1
    <origin> <genesis hash> <verifier key>[ <url>]       one line a ledger, in order of their origins
    <empty line>
    — <name of the list> <signature>

The note is one of c2sp.org/signed-note, signed by a key of type 0x01 that belongs to the list and to no ledger. A list
has one spelling: sorted by code point, one space between words, each origin, genesis and key once. It names what a
verifier pins (ledger reference section 12); it says nothing of what is on those ledgers.
"""

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

from app.canon import b64url_decode
from app.errors import MalformedError, UnprovenError
from app.ledger.note import MAX_NOTE_BYTES, Note, SignatureType, SignerKey, VerifierKey, is_key_name, verify

HEADER = "custody-ledgers/v1"
MAX_LEDGERS = 1000
MAX_URL_CHARACTERS = 500
HASH_BYTES = 32
# One spelling, the same in verify.js: a host's name or IPv4 address in lower case, no user, no empty segment, nothing
# behind the path. A pattern of our own, since what parsers of addresses take differs from one to the next.
_ADDRESS = re.compile(r"https?://[a-z0-9]+(?:[.-][a-z0-9]+)*(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~%!$&'()*+,;=:@-]+)*")


@dataclass(frozen=True, slots=True)
class Listed:
    """One ledger of the list.

    Args:
        origin: Its origin, which is also the name of its key.
        genesis: Hash of its genesis event, base64url.
        key: The key that signs its checkpoints, of type 0x01.
        url: The prefix of its checkpoint and tiles; empty when the list names none.

    Raises:
        MalformedError: `ledger_list`; the parts cannot stand on a line, or do not belong together.
    """

    origin: str
    genesis: str
    key: VerifierKey
    url: str = ""

    def __post_init__(self) -> None:
        """Refuse what would not come back unchanged from `to_text` and `parse`."""
        if not is_key_name(self.origin) or self.key.name != self.origin or self.key.type is not SignatureType.NOTE:
            raise _wrong("A ledger's key is of type 0x01 and named like its origin.")
        b64url_decode(self.genesis, length=HASH_BYTES)
        if self.url and (len(self.url) > MAX_URL_CHARACTERS or not _ADDRESS.fullmatch(self.url)):
            raise _wrong("The address of a ledger is https://host/ledger/name, without a slash at its end.")

    @classmethod
    def parse(cls, line: str) -> Self:
        """Read one line, exactly as `to_text` writes it.

        Raises:
            MalformedError: `ledger_list`, or `base64` / `verifier_key` for what is wrong in a word.
        """
        words = line.split(" ")
        if not 3 <= len(words) <= 4 or not all(words):
            raise _wrong("A line of the list is an origin, a genesis hash, a verifier key and perhaps an address.")
        return cls(words[0], words[1], VerifierKey.parse(words[2]), *words[3:])

    def to_text(self) -> str:
        """Write the line without its newline."""
        return " ".join(word for word in (self.origin, self.genesis, self.key.to_text(), self.url) if word)


@dataclass(frozen=True, slots=True)
class LedgerList:
    """The ledgers that a list names; believed only when it came from `open_list`.

    Raises:
        MalformedError: `ledger_list`; more than 1,000 ledgers, not in order, or one named twice.
    """

    ledgers: tuple[Listed, ...]

    def __post_init__(self) -> None:
        """Refuse a second spelling, and two ledgers that share what must tell them apart."""
        if len(self.ledgers) > MAX_LEDGERS:
            raise _wrong(f"A list has at most {MAX_LEDGERS} ledgers.")
        if any(before.origin >= after.origin for before, after in pairwise(self.ledgers)):
            raise _wrong("The ledgers of a list stand in order of their origins, each once.")
        for shared in ({one.genesis for one in self.ledgers}, {one.key.public_key for one in self.ledgers}):
            if len(shared) != len(self.ledgers):
                raise _wrong("Two ledgers of the list have the same genesis or the same key.")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text of a list, exactly as `to_text` writes it. Proves nothing: use `open_list`.

        Raises:
            MalformedError: `ledger_list`, `base64` or `verifier_key`.
        """
        lines = text.split("\n", MAX_LEDGERS + 2)
        if lines[0] != HEADER:
            raise _wrong(f"The first line of a list of ledgers is {HEADER}.")
        if len(lines) < 2 or lines[-1]:
            raise _wrong(f"A list is at most {MAX_LEDGERS} lines, each with a newline at its end.")
        return cls(tuple(Listed.parse(line) for line in lines[1:-1]))

    def to_text(self) -> str:
        """Write the text that is signed."""
        return "".join(f"{line}\n" for line in (HEADER, *(one.to_text() for one in self.ledgers)))

    def of(self, origin: str) -> Listed | None:
        """Return the ledger with this origin, or None."""
        return next((one for one in self.ledgers if one.origin == origin), None)


def sign_list(ledgers: LedgerList, key: SignerKey) -> bytes:
    """Sign a list.

    Args:
        ledgers: What it says.
        key: The list's own key, of type 0x01.

    Raises:
        MalformedError: `ledger_list`: the note would be larger than a note can be; the key is one of the ledgers'
            or of another type.
    """
    if key.type is not SignatureType.NOTE or any(one.key.public_key == key.verifier().public_key
                                                 for one in ledgers.ledgers):  # fmt: skip
        raise _wrong("A list is signed by a key of type 0x01 of its own, never by a ledger's.")
    text = ledgers.to_text()
    data = Note(text, (key.sign(text),)).to_bytes()
    if len(data) > MAX_NOTE_BYTES:
        raise _wrong(f"A signed list has at most {MAX_NOTE_BYTES} bytes.")
    return data


def open_list(data: bytes, key: VerifierKey) -> LedgerList:
    """Verify a signed list and return it; the signature is verified before the text is looked at.

    Args:
        data: The note as received.
        key: The pinned key of the list.

    Raises:
        MalformedError: `note`, `ledger_list`, `base64` or `verifier_key`; not exactly what `sign_list` writes.
        UnprovenError: `note_signature`: this key has not signed it.
    """
    if key.type is not SignatureType.NOTE:
        raise UnprovenError("The key of a list is of type 0x01.", code="note_signature")
    note = Note.parse(data)
    verify(note, [key])
    return LedgerList.parse(note.text)


def _wrong(detail: str) -> MalformedError:
    return MalformedError(detail, code="ledger_list")
