"""What the process that answers and the process that writes say to each other, and how (design section 2).

Both are processes of one service, one the child of the other, over a socket pair that nobody else can open: so
messages are pickled and trusted. A frame is four bytes of length, big-endian, and one pickled message.
"""

import pickle
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.config import Settings
from app.custody.prove import ProvenEvent
from app.custody.receipts import Answer
from app.errors import ServiceError

HEAD_BYTES = 4


@dataclass(frozen=True, slots=True)
class Open:
    """First word to the writer: how to run."""

    settings: Settings


@dataclass(frozen=True, slots=True)
class Ready:
    """First word of the writer: it writes; the size and note of the newest checkpoint."""

    published: tuple[int, bytes]


@dataclass(frozen=True, slots=True)
class Failed:
    """First word of a writer that cannot start, and its last."""

    error: Exception


@dataclass(frozen=True, slots=True)
class Record:
    """Proven events of one request, to be recorded in one group; `number` names the request in the answer.

    `bulk` says that they can wait a little for others.
    """

    number: int
    events: Sequence[ProvenEvent]
    proofs: bool
    sweep_to_ms: int | None
    bulk: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """What became of requests, after the commit, and the newest checkpoint."""

    published: tuple[int, bytes]
    healthy: bool
    answers: list[tuple[int, list[Answer] | ServiceError]]


Message = Open | Ready | Failed | list[Record] | Done


def frame(message: Message) -> bytes:
    """Return a message as bytes to send."""
    data = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    return len(data).to_bytes(HEAD_BYTES, "big") + data


def frames(buffer: bytearray) -> Iterator[Message]:
    """Yield the messages that stand whole at the beginning of a buffer, and take them out."""
    while len(buffer) >= HEAD_BYTES:
        end = HEAD_BYTES + int.from_bytes(buffer[:HEAD_BYTES], "big")
        if len(buffer) < end:
            return
        data = bytes(buffer[HEAD_BYTES:end])
        del buffer[:end]
        yield pickle.loads(data)  # noqa: S301 - our own other half, over a socket pair


def messages(sock: socket.socket) -> Iterator[Message]:
    """Yield messages as they come, until the other side ends."""
    buffer = bytearray()
    while data := _received(sock):
        buffer += data
        yield from frames(buffer)


def _received(sock: socket.socket) -> bytes:
    try:
        return sock.recv(1 << 20)
    except ConnectionError:  # killed: the same as an end
        return b""
