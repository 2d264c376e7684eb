"""Requests made before the clock starts, and what the answer to each must say."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.cli.bench.processes import HOST

INCLUDED, ACCEPTED, PROOF = b'"state":"included"', b'"result":"accepted"', b'"proof":{'
STORED = b'"state":"stored"'


@dataclass(frozen=True, slots=True)
class Event:
    """A signed event as a phone sends it, and its hash, which its receipt must name."""

    hash: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class Ask:
    """One complete request, and what its answer must hold.

    Attributes:
        data: The request's bytes.
        status: The status that is right; 0 when more than one is (`app.cli.bench.backlog` looks for itself).
        needed: Pieces of text, and how often each stands in the answer.
        inside: Pieces that stand in it in this order: the hashes of the events that were sent.
        kind: For telling its time apart from others'.
        events: How many events it carries, or 1 for a question.
    """

    data: bytes
    status: int
    needed: tuple[tuple[bytes, int], ...] = ()
    inside: tuple[bytes, ...] = ()
    kind: str = ""
    events: int = 1


@dataclass(frozen=True, slots=True)
class Load:
    """What every connection sends in order, and, for an open load, when each request is due (seconds).

    With `repeat_seconds` a connection that is turned away (503 with Retry-After) sends the same request again when it
    was told to, as phones do, for so long from the start.
    """

    connections: list[list[Ask]]
    due: list[list[float]] | None = None
    repeat_seconds: float | None = None

    @property
    def events(self) -> int:
        """How many events and questions it holds."""
        return sum(ask.events for asks in self.connections for ask in asks)

    @property
    def requests(self) -> int:
        """How many requests it holds."""
        return sum(map(len, self.connections))


def request(method: str, path: str, token: str, body: bytes = b"") -> bytes:
    """Return a complete HTTP/1.1 request."""
    head = f"{method} {path} HTTP/1.1\r\nHost: {HOST}\r\n"
    if token:
        head += f"Authorization: Bearer {token}\r\n"
    if method == "POST":
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


def post(event: Event, token: str, path: str = "/v1/events", *, kind: str = "") -> Ask:
    """Return the POST of one event: accepted, included and proven, with its own hash in the receipt."""
    data = request("POST", path, token, event.body)
    return Ask(data, 201, recorded(1), (b'"event":"' + event.hash + b'"',), kind)


def post_batch(events: Sequence[Event], token: str, *, kind: str = "") -> Ask:
    """Return the POST of several events; each must be accepted, included and proven, in order."""
    data = request("POST", "/v1/events/batch", token, batch_body([event.body for event in events]))
    inside = tuple(b'"event":"' + event.hash + b'"' for event in events)
    return Ask(data, 200, recorded(len(events)), inside, kind, len(events))


def recorded(count: int) -> tuple[tuple[bytes, int], ...]:
    """Return what stands so many times in an answer to so many events, all of them recorded as they should be."""
    return tuple((piece, count) for piece in (INCLUDED, ACCEPTED, PROOF))


def get(path: str, token: str, *inside: bytes, kind: str = "") -> Ask:
    """Return a GET, whose answer must hold these pieces in order."""
    return Ask(request("GET", path, token), 200, (), inside, kind)


def batch_body(events: Sequence[bytes]) -> bytes:
    """Return the body of a batch."""
    return b'{"events":[' + b",".join(events) + b"]}"


def in_turn(streams: Sequence[Sequence[Event]]) -> list[Event]:
    """Return the events of several streams: the first of each, then the second of each, and so on."""
    return [event for step in zip(*streams, strict=True) for event in step]


def singles(streams: Sequence[Sequence[Event]], token: str, connections: int) -> Load:
    """Return one POST an event; each connection carries its own share of the streams, in turn."""
    return Load([[post(event, token) for event in in_turn(streams[n::connections])] for n in range(connections)])


def shares(streams: int, connections: int, size: int) -> tuple[int, int]:
    """Return how a load of whole batches is dealt: a last batch of less would be told as one of `size`.

    Args:
        streams: How many there are, at least as many as connections.
        connections: Over how many the batches are dealt.
        size: Events in a batch.

    Returns:
        How many streams each connection carries, and of how many events what each stream gives is a multiple.
    """
    each = max(count for count in range(1, streams // connections + 1) if size % count == 0)
    return each, size // each


def batches(streams: Sequence[Sequence[Event]], size: int, token: str, connections: int) -> Load:
    """Return batches of `size`; each connection carries its own share of the streams, in turn (`shares`)."""
    made = []
    for first in range(connections):
        mine = in_turn(streams[first::connections])
        made.append([post_batch(mine[start : start + size], token) for start in range(0, len(mine), size)])
    return Load(made)


def plain(streams: Sequence[Sequence[Event]], path: str, said: bytes, connections: int) -> Load:
    """Return one POST an event to a yardstick, which knows no hashes and no token."""
    return Load([
        [Ask(request("POST", path, "", event.body), 201, ((said, 1),)) for event in in_turn(streams[n::connections])]
        for n in range(connections)
    ])  # fmt: skip


def dealt(asks: Sequence[Ask], connections: int) -> Load:
    """Return requests that know nothing of each other, dealt over connections."""
    return Load([list(asks[first::connections]) for first in range(connections)])


def at_rate(load: Load, requests_per_second: float) -> Load:
    """Return the same load as an open one: evenly spaced arrivals, connection after connection.

    The connections take turns, so that the order of the whole is that of the closed load and no stream overtakes
    itself.
    """
    due: list[list[float]] = [[] for _ in load.connections]
    arrival, longest = 0, max(map(len, load.connections))
    for place in range(longest):
        for number, asks in enumerate(load.connections):
            if place < len(asks):
                due[number].append(arrival / requests_per_second)
                arrival += 1
    return Load(load.connections, due)


def seconds_of(load: Load) -> float:
    """Return when the last request of an open load is due."""
    return max((moments[-1] for moments in load.due or () if moments), default=0.0)
