"""The stage on which the chapters play: who acts, the queue of signed events, and what the answers were.

Phones sign when their owners act; events travel in batches under the scenario time of the last one. An
offline phone keeps its events in the pocket until it is back.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.canon import JsonValue, b64url_encode, sha256
from app.cli.demo.agenda import MINUTE_MS, in_wita
from app.cli.demo.wire import DemoError, Door
from app.cli.phone import Phone, ids_commitment
from app.ids import new_unit_id

BATCH_EVENTS = 400
BATCH_SPAN_MS = 20 * MINUTE_MS
"""Phones with a network send soon: a batch never holds more than this much scenario time."""
MAX_LINES = 80


@dataclass(frozen=True, slots=True)
class Team:
    """Two officers who sign one side together."""

    first: Phone
    second: Phone


@dataclass(frozen=True, slots=True)
class Sent:
    """A signed event on its way: the code of the refusal that the story expects, "" for accepted."""

    body: JsonValue
    type: str
    at_ms: int
    expect: str


@dataclass(frozen=True, slots=True)
class Handed:
    """A release under way."""

    release: str
    units: tuple[str, ...]
    to_place: str


@dataclass(slots=True)
class Stage:
    """One performance."""

    door: Door
    on_recorded: Callable[[int], None]
    checkpoint: str = ""
    recorded: int = 0
    names: dict[str, str] = field(default_factory=dict)
    packings: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    _queue: list[Sent] = field(default_factory=list)
    _pocket: dict[str, list[Sent]] = field(default_factory=dict)
    _now_ms: int = 0
    _since_ms: int = 0

    # -- saying things -------------------------------------------------------------------------------

    def say(self, author: Phone, type_: str, details: Mapping[str, Any], *, at: int, expect: str = "",
            note: str = "", **how: Any) -> str:  # fmt: skip
        """Sign an event now and send it with the next batch; return its hash.

        Args:
            author: Whose phone makes it.
            type_: Type of the event.
            details: Its details.
            at: Scenario time, UTC milliseconds; never before the last one said.
            expect: The code of the refusal that the story expects; accepted when empty.
            note: Free text, which stays private: the payload carries a salted commitment to it.
            how: What `Phone.sign` takes.
        """
        if author.kid not in self._pocket and self.checkpoint:
            author.sees(self.checkpoint)
        private, opened = _private(note)
        signed = author.sign(type_, details, at_ms=at, private=private, **how)
        body: JsonValue = {"event": signed.jws, "private": opened} if opened else signed.jws
        sent = Sent(body, type_, at, expect)
        if author.kid in self._pocket:
            self._pocket[author.kid].append(sent)
        else:
            self._send(sent, at)
        return signed.hash

    def act(self, team: Team, type_: str, details: Mapping[str, Any], *, as_: str = "giver",
            also: Mapping[Phone, str] | None = None, **how: Any) -> str:  # fmt: skip
        """Let two officers of one side sign an event together; return its hash."""
        return self.say(team.first, type_, details, capacity=as_, with_={team.second: "second", **(also or {})}, **how)

    def see(self, phone: Phone, type_: str, details: Mapping[str, Any], **how: Any) -> str:
        """Let one officer state what was seen; return the event's hash."""
        return self.say(phone, type_, details, capacity="witness", **how)

    def release(self, team: Team, units: Sequence[str], to: tuple[str, str], *, at: int, place: str, hours: int = 6,
                escort: Phone | None = None, name: str = "", **more: Any) -> Handed:  # fmt: skip
        """Give units to an agency at a place.

        Args:
            team: The giving side.
            units: What is given.
            to: Receiving agency and place.
            at: Scenario time.
            place: Where it happens.
            hours: When it is due, after `at`.
            escort: Who escorts it.
            name: Remember the release under this name.
            more: Further details: `vehicle`, `internal`, `override`, `waybill`.
        """
        agency, to_place = to
        due = in_wita(at + hours * 60 * MINUTE_MS)
        details = {"to_agency": agency, "to_place": to_place, "due_by": due, **more}
        also = {escort: "escort"} if escort else None
        release = self.act(team, "custody.release", details, at=at, place=place, units=units, also=also)
        if name:
            self.names[name] = release
        return Handed(release, tuple(units), to_place)

    def accept(self, team: Team, handed: Handed, *, at: int) -> str:
        """Take what a release gave, complete, at the place it names."""
        scanned = {"n": len(handed.units), "hash": ids_commitment(handed.units)}
        details = {"release": handed.release, "scanned": scanned}
        return self.act(
            team, "custody.accept", details, as_="taker", at=at, place=handed.to_place, after=[handed.release]
        )

    def hand_over(self, giver: Team, taker: Team, units: Sequence[str], to: tuple[str, str], *, at: int, place: str,
                  minutes: int = 10, **how: Any) -> Handed:  # fmt: skip
        """Release and, some minutes later, accept."""
        handed = self.release(giver, units, to, at=at, place=place, **how)
        self.accept(taker, handed, at=at + minutes * MINUTE_MS)
        return handed

    def labels(self, phone: Phone, count: int, *, at: int, place: str) -> list[str]:
        """Issue a block of labels and return the ids."""
        self.flush()
        ids = sorted(new_unit_id(secrets.token_bytes(10)) for _ in range(count))
        if self.checkpoint:
            phone.sees(self.checkpoint)
        signed = phone.sign("labels.issue", {"count": count, "ids_hash": ids_commitment(ids)}, at_ms=at, place=place)
        self.hears(self.door.issue_labels(ids, signed.jws, at))
        return ids

    def commission(self, team: Team, lines: Sequence[dict[str, Any]], *, at: int, place: str, **more: Any) -> list[str]:
        """Bind labels to units, so many lines an event as a payload holds; return the events' hashes."""
        events: list[str] = []
        for start in range(0, len(lines), MAX_LINES):
            part = lines[start : start + MAX_LINES]
            told = {"lines": [{"act": "bind", **line} for line in part], **more}
            units = [line["unit"] for line in part]
            events.append(self.act(team, "unit.commission", told, at=at, place=place, units=units))
        return events

    def move(self, team: Team, lots: tuple[str, str], quantity: int, reason: str, *, at: int, place: str) -> None:
        """Move a quantity from one lot to another."""
        source, target = lots
        details = {"source": source, "target": target, "quantity": quantity, "reason": reason}
        self.act(team, "lot.move", details, at=at, place=place, units=lots)

    # -- sending -------------------------------------------------------------------------------------

    def goes_offline(self, *phones: Phone) -> None:
        """Let phones lose the network: what they author stays in the pocket, in order."""
        self._pocket.update({phone.kid: [] for phone in phones})

    def comes_back(self, *phones: Phone, at: int) -> None:
        """Let phones find the network again and send everything, as it was signed."""
        for phone in phones:
            for sent in self._pocket.pop(phone.kid):
                self._send(sent, at)

    def _send(self, sent: Sent, at: int) -> None:
        if at < self._now_ms:
            raise DemoError(f"The story goes back in time at {sent.type}, {in_wita(at)}.")
        if self._queue and at - self._since_ms > BATCH_SPAN_MS:
            self.flush()
        if not self._queue:
            self._since_ms = at
        self._now_ms = at
        self._queue.append(sent)
        if len(self._queue) >= BATCH_EVENTS:
            self.flush()

    def flush(self) -> None:
        """Send what is queued under the scenario time of the last event and check every answer.

        Raises:
            DemoError: An event met another verdict than the story expects.
        """
        queue, self._queue = self._queue, []
        if not queue:
            return
        answer = self.door.batch([sent.body for sent in queue], self._now_ms)
        for sent, result in zip(queue, answer["results"], strict=True):
            check(sent, result)
        self.checkpoint = answer["checkpoint"]
        self._count(len(queue))

    def hears(self, receipt: dict[str, Any]) -> None:
        """Take note of the receipt of an event that did not travel in a batch."""
        if receipt["result"] != "accepted":
            raise DemoError(f"Not accepted: {receipt}")
        self.checkpoint = receipt["proof"]["checkpoint"]
        self._count(1)

    def _count(self, n: int) -> None:
        self.recorded += n
        self.on_recorded(n)


def _private(note: str) -> tuple[dict[str, str], dict[str, JsonValue]]:
    """Return the commitment to a private note and what opens it."""
    if not note:
        return {}, {}
    salt, body = secrets.token_bytes(32), note.encode()
    return {"note": b64url_encode(sha256(salt + body))}, {
        "note": {"salt": b64url_encode(salt), "body": b64url_encode(body)}
    }


def check(sent: Sent, result: dict[str, Any]) -> None:
    """Compare one answer with what the story expects."""
    told: dict[str, JsonValue] = result.get("receipt") or result.get("problem") or {}
    code = "" if result["status"] == 201 else str(told.get("code", ""))
    if code != sent.expect or result["status"] in {200, 202}:
        raise DemoError(f"{sent.type} at {in_wita(sent.at_ms)} expected {sent.expect or 'accepted'}: {result}")
