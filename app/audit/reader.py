"""A process that reads leaves for another one (`app.audit.readers`): `python -m app.audit.reader FD`.

It is given leaves over the socket with that number and answers each round in its order. It decides nothing, opens no
file and knows no ledger. It ends when the other side does, however that came. Messages are plain values in the
interpreter's own form, which can hold no code: both ends are one program.
"""

import gc
import marshal
import sys
import threading
from multiprocessing.connection import Connection
from queue import SimpleQueue

from app.audit.ahead import Packed, Reader

GC_THRESHOLDS = (50_000, 20, 1000)


def main(fd: int) -> None:
    """Answer rounds until there are no more."""
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)  # models make no cycles
    connection = Connection(fd)
    rounds: SimpleQueue[bytes | None] = SimpleQueue()
    threading.Thread(target=_receive, args=(connection, rounds), daemon=True).start()
    reader = Reader()
    try:
        while (asked := rounds.get()) is not None:
            first, signatures, keys, leaves = marshal.loads(asked)  # noqa: S302 - from the process that started this one
            reader.learn(keys)
            connection.send_bytes(marshal.dumps(_answer(reader, first, leaves, signatures=signatures)))
    except OSError:
        return  # the other side is gone


def _answer(reader: Reader, first: int, leaves: list[bytes], *, signatures: bool) -> tuple[list[Packed], list[Packed]]:
    try:
        return reader.read(first, leaves, signatures=signatures)
    except Exception:  # noqa: BLE001 - what reading cannot bear, the judging process shall meet itself
        return [], []


def _receive(connection: Connection, rounds: "SimpleQueue[bytes | None]") -> None:
    """Take rounds off the socket at once: the other side never waits in sending while this one waits for it."""
    try:
        while True:
            rounds.put(connection.recv_bytes())
    except (EOFError, OSError):
        rounds.put(None)


if __name__ == "__main__":
    main(int(sys.argv[1]))
