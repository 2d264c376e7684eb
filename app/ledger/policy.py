"""Trust policies, c2sp.org/tlog-policy: whose checkpoints count, and how many witnesses must have cosigned them.

    log     <vkey> [url]
    witness <name> <vkey> [url]
    group   <name> all|any|<k> <member>...
    quorum  <name>|none                      exactly once

Knows names, keys and arithmetic; must never know who these parties are. A policy is the verifier's own: one that
comes with a file may be read, but only a pinned one decides (docs/ledger.md, "Quorum").
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import NoReturn, Self

from app.errors import MalformedError, ServiceError, UnprovenError
from app.ledger.checkpoint import Checkpoint, open_checkpoint
from app.ledger.note import Note, VerifierKey

MAX_POLICY_BYTES = 256 * 1024
MAX_LINES_OF_A_KIND = 64
NONE = "none"

_ALLOWED = re.compile(rb"[\t\n\x20-\x7e\x80-\xff]*")
_THRESHOLD = re.compile("[1-9][0-9]{0,3}")


@dataclass(frozen=True, slots=True)
class Log:
    """A ledger whose checkpoints count; its key's name is its origin."""

    key: VerifierKey
    url: str = ""


@dataclass(frozen=True, slots=True)
class Witness:
    """A cosigner under the name that this policy gives it; the URL is its submission prefix."""

    name: str
    key: VerifierKey
    url: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """So many of these members, witnesses or earlier groups, must have witnessed."""

    name: str
    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """A checkpoint that a policy accepts: what it says, and when which of its witnesses cosigned it (POSIX seconds)."""

    checkpoint: Checkpoint
    witnesses: dict[str, int]


@dataclass(frozen=True, slots=True)
class TrustPolicy:
    """A parsed policy; `source` is the file as it was read, which is what travels."""

    source: bytes
    logs: tuple[Log, ...]
    witnesses: tuple[Witness, ...]
    groups: tuple[Group, ...]
    quorum: str

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Parse a policy file, c2sp.org/tlog-policy "Policy file syntax and structure".

        Raises:
            MalformedError: `tlog_policy`, naming the line, or `verifier_key` / `base64` for a key on it.
        """
        reading = _Reading()
        if len(data) > MAX_POLICY_BYTES or not _ALLOWED.fullmatch(data):
            raise MalformedError(
                f"A policy is at most {MAX_POLICY_BYTES} bytes of lines without control characters.", code="tlog_policy"
            )
        if data and not data.endswith(b"\n"):
            raise MalformedError("The last line of the policy is cut off: it has no newline.", code="tlog_policy")
        for number, line in enumerate(data.split(b"\n"), 1):
            # Octets above ASCII are opaque and come back as they were: names are compared, never understood.
            words = [word.decode("utf-8", "surrogateescape") for word in re.split(rb"[ \t]+", line.strip(b" \t"))]
            if words[0] and not words[0].startswith("#"):
                reading.take(number, words)
        if reading.quorum is None:
            raise MalformedError("A policy has exactly one quorum line; this one has none.", code="tlog_policy")
        return cls(data, tuple(reading.logs), tuple(reading.witnesses), tuple(reading.groups), reading.quorum)

    @property
    def cosigners(self) -> tuple[VerifierKey, ...]:
        """Return the keys of all witnesses."""
        return tuple(witness.key for witness in self.witnesses)

    @property
    def note_bytes(self) -> int:
        """Return how many bytes the cosignatures of all its witnesses take on a note."""
        return sum(key.line_bytes for key in self.cosigners)

    def log_keys(self, origin: str) -> list[VerifierKey]:
        """Return the keys that the policy accepts for a ledger."""
        return [log.key for log in self.logs if log.key.name == origin]

    def is_met_by(self, keys: Collection[VerifierKey]) -> bool:
        """Say whether cosignatures by these keys are a quorum."""
        if self.quorum == NONE:
            return True
        met = {witness.name for witness in self.witnesses if witness.key in keys}
        for group in self.groups:
            if sum(member in met for member in group.members) >= group.threshold:
                met.add(group.name)
        return self.quorum in met

    def verify(self, data: bytes, origin: str, ledger_keys: Iterable[VerifierKey] = ()) -> Seen:
        """Verify a checkpoint of one ledger against this policy.

        Args:
            data: The signed note with its cosignatures.
            origin: The ledger that it must be of.
            ledger_keys: Keys that the caller trusts for it beforehand, where the policy names no logs.

        Raises:
            MalformedError: It is no checkpoint.
            UnprovenError: `note_signature`, `checkpoint_origin`; `quorum`, too few witnesses have cosigned it.
        """
        keys = [*dict.fromkeys([*self.log_keys(origin), *ledger_keys])]
        checkpoint = open_checkpoint(data, [*keys, *self.cosigners], origin)
        times = cosigned(data, self.cosigners)
        if not self.is_met_by(times.keys()):
            raise UnprovenError(
                "Too few of the policy's witnesses have cosigned this checkpoint.", code="quorum",
                witnesses=len(times),
            )  # fmt: skip
        return Seen(checkpoint, {w.name: times[w.key] for w in self.witnesses if w.key in times})


def cosigned(data: bytes, keys: Iterable[VerifierKey]) -> dict[VerifierKey, int]:
    """Return which of these witnesses cosigned a note, and when last, POSIX seconds; wrong cosignatures are left out.

    Raises:
        MalformedError: It is no note.
    """
    note = Note.parse(data)
    by_name = {(key.name, key.key_id): key for key in keys}
    found: dict[VerifierKey, int] = {}
    for signature in note.signatures:
        key = by_name.get((signature.name, signature.key_id))
        if key is not None and key.is_cosigner and key.accepts(note.text, signature.blob):
            found[key] = max(found.get(key, 0), signature.cosigned_at())
    return found


class _Reading:
    """The lines of a policy as they are taken in."""

    def __init__(self) -> None:
        self.logs: list[Log] = []
        self.witnesses: list[Witness] = []
        self.groups: list[Group] = []
        self.quorum: str | None = None
        self._names: set[str] = {NONE}
        self._members: set[str] = set()
        self._keys: set[tuple[bool, bytes]] = set()
        self._line = 0

    def take(self, line: int, words: list[str]) -> None:
        """Take one line.

        Raises:
            MalformedError: It is none of a policy's, or contradicts an earlier one.
        """
        self._line = line
        match words:
            case ["log", vkey, *rest] if len(rest) <= 1:
                self._room(self.logs)
                self.logs.append(Log(self._key(vkey, cosigner=False), *rest))
            case ["witness", name, vkey, *rest] if len(rest) <= 1:
                self._room(self.witnesses)
                self._name(name)
                self.witnesses.append(Witness(name, self._key(vkey, cosigner=True), *rest))
            case ["group", name, needed, *members] if members:
                self._room(self.groups)
                self._group(name, needed, members)
            case ["quorum", name]:
                if self.quorum is not None:
                    self._refuse("the quorum is defined twice")
                if name not in self._names:
                    self._refuse("the quorum names nothing that an earlier line defines")
                self.quorum = name
            case _:
                self._refuse("it is no log, witness, group or quorum line")

    def _group(self, name: str, needed: str, members: list[str]) -> None:
        for member in members:
            if member == NONE or member not in self._names:
                self._refuse("a group's members are witnesses and groups of earlier lines")
            if member in self._members:
                self._refuse("one name is a member twice")
            self._members.add(member)
        words = {"all": len(members), "any": 1}
        threshold = words.get(needed) or (int(needed) if _THRESHOLD.fullmatch(needed) else 0)
        if not 1 <= threshold <= len(members):
            self._refuse("a group needs all, any, or a number from 1 to that of its members")
        self._name(name)
        self.groups.append(Group(name, threshold, tuple(members)))

    def _name(self, name: str) -> None:
        if name in self._names:
            self._refuse("that name is taken")
        self._names.add(name)

    def _key(self, text: str, *, cosigner: bool) -> VerifierKey:
        try:
            key = VerifierKey.parse(text)
        except (ServiceError, UnicodeEncodeError) as error:
            detail = error.detail if isinstance(error, ServiceError) else "A key name is UTF-8."
            raise MalformedError(f"Line {self._line} of the policy: {detail}", code="tlog_policy") from error
        if key.is_cosigner != cosigner:
            wanted = "0x04 or 0x06" if cosigner else "0x01"
            self._refuse(f"a key of type {wanted} is needed there")
        # One public key in two lines would count one party twice, whatever the names say.
        if (cosigner, key.public_key) in self._keys:
            self._refuse("that key stands on an earlier line")
        self._keys.add((cosigner, key.public_key))
        return key

    def _room(self, lines: Collection[object]) -> None:
        if len(lines) >= MAX_LINES_OF_A_KIND:
            self._refuse(f"there are more than {MAX_LINES_OF_A_KIND} lines of that kind")

    def _refuse(self, why: str) -> NoReturn:
        raise MalformedError(f"Line {self._line} of the policy: {why}.", code="tlog_policy")
