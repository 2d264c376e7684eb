"""Processes that read leaves and prove signatures ahead of the one that judges.

`Readers.ahead` takes rounds of leaves in order and gives each back, in the same order, with what was read of it. A few
rounds are under way for each process and no more, so neither pipes nor memory fill. Where the next round is not back
yet, this process reads a later one itself instead of waiting.

A process that ends before its answer (killed, out of memory) is `ReaderLostError`: what it was given is not verified.
Nothing it says is a verdict; see `app.audit.ahead`.
"""

import marshal
import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from socket import socketpair
from types import TracebackType
from typing import Generic, Self, TypeVar

import app
from app.audit.ahead import AnyLeaf, Packed, unpack
from app.errors import BusyError

READER = "app.audit.reader"
ROUNDS_EACH = 3
"""Rounds under way for each process: one in work, one to follow, one on its way back."""
ROUNDS_HERE = 8
"""Rounds more that may wait for their turn: this process reads a later one instead of waiting for the next."""
STOP_SECONDS = 5

T = TypeVar("T")
ReadHere = Callable[[int, list[bytes]], Sequence[AnyLeaf]]


class ReaderLostError(BusyError):
    """A process that read leaves ended before its answer."""


@dataclass(slots=True)
class Round(Generic[T]):
    """Leaves that follow each other; `tag` is the caller's own, and comes back with them.

    One that is not asked for is not read, and only keeps its place in the order.
    """

    tag: T
    first: int = 0
    leaves: list[bytes] = field(default_factory=list)
    is_asked: bool = True
    read: Sequence[AnyLeaf] | None = None
    by: "_Process | None" = None


class Readers:
    """So many processes, started when the first leaves are there; use it as a context, which ends them."""

    def __init__(self, count: int, *, least_leaves: int = 0) -> None:
        """Start nothing yet.

        Args:
            count: How many processes, beside this one.
            least_leaves: How large a ledger must be for their start to pay; callers ask.
        """
        self.least_leaves = least_leaves
        self._count = count
        self._most = ROUNDS_EACH * count + ROUNDS_HERE
        self._processes: list[_Process] = []
        self._keys: list[Packed] = []

    @property
    def pids(self) -> list[int]:
        """The numbers of the processes that run."""
        return [process.pid for process in self._processes]

    def __enter__(self) -> Self:
        """Start nothing yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        """End all processes."""
        for process in self._processes:
            process.end()
        self._processes.clear()

    def ahead(self, rounds: Iterator[Round[T]], read_here: ReadHere, *, signatures: bool) -> Iterator[Round[T]]:
        """Give rounds back in order, `read` set in each that has leaves.

        Args:
            rounds: Made when there is room for another.
            read_here: Reads leaves in this process, as `Follower.read_ahead`.
            signatures: Prove signatures, too.

        Raises:
            ReaderLostError: A process ended before its answer.

        Who stops early leaves rounds under way; their answers come first, and to nobody, when there are others.
        """
        waiting: deque[Round[T]] = deque()
        while True:
            self._fill(waiting, rounds, signatures=signatures)
            if not waiting:
                if not self._receive_stale():
                    return
                continue  # there is room now: without it there may be rounds that were never asked for
            head = waiting[0]
            while head.by is not None and head.read is None:
                self._receive(head.by, wait=not self._help(waiting, rounds, read_here))
            yield waiting.popleft()

    def _fill(self, waiting: deque[Round[T]], rounds: Iterator[Round[T]], *, signatures: bool) -> None:
        """Give the processes rounds for as long as one has room, and take what they have ready."""
        if not self._processes:
            self._processes = [_Process() for _ in range(self._count)]
        for process in self._processes:
            self._receive(process, wait=False)
        while True:
            least = min(self._processes, key=lambda process: len(process.under_way))
            if len(least.under_way) >= ROUNDS_EACH or len(waiting) >= self._most:
                return
            fresh = next(rounds, None)
            if fresh is None:
                return
            waiting.append(fresh)
            if fresh.is_asked:
                fresh.by = least
                least.send(fresh, self._keys, signatures=signatures)

    def _receive_stale(self) -> bool:
        """Wait for the answers to rounds that nobody takes any more; say whether there were any."""
        stale = [process for process in self._processes if process.under_way]
        for process in stale:
            self._receive(process, wait=True)
        return bool(stale)

    def _help(self, waiting: deque[Round[T]], rounds: Iterator[Round[T]], read_here: ReadHere) -> bool:
        """Read another round here, unless enough are; say whether one was."""
        fresh = next(rounds, None) if len(waiting) < self._most else None
        if fresh is None:
            return False
        if fresh.is_asked:
            fresh.read = read_here(fresh.first, fresh.leaves)
        waiting.append(fresh)
        return True

    def _receive(self, process: "_Process", *, wait: bool) -> None:
        """Take the answers that are there; wait for one."""
        while process.under_way and (wait or process.has_answer()):
            done, (packed, keys) = process.receive()
            done.read = [
                unpack(index, data, one)
                for index, (data, one) in enumerate(zip(done.leaves, packed, strict=False), done.first)
            ]
            self._keys += keys
            wait = False


class _Process:
    """One of the processes, the rounds it is about, and the keys it was told."""

    def __init__(self) -> None:
        ours, theirs = socketpair()
        environment = {**os.environ, "PYTHONPATH": str(Path(app.__file__).resolve().parent.parent)}
        command = [sys.executable, "-P", "-m", READER, str(theirs.fileno())]
        with theirs:
            # A group of its own: Ctrl-C is for this process alone, which then ends that one.
            self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], env=environment, process_group=0)  # noqa: S603
        self._connection = Connection(ours.detach())
        self.under_way: deque[Round[object]] = deque()
        self._told = 0

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    def send(self, asked: "Round[T]", keys: list[Packed], *, signatures: bool) -> None:
        """Give it a round, and the keys that others have read since."""
        message = marshal.dumps((asked.first, signatures, keys[self._told :], asked.leaves))
        self._told = len(keys)
        self.under_way.append(asked)  # type: ignore[arg-type] # whose tag is nobody's business here
        try:
            self._connection.send_bytes(message)
        except OSError:
            raise self._lost() from None

    def has_answer(self) -> bool:
        """Say whether an answer, or its end, can be taken without waiting."""
        return self._connection.poll()

    def receive(self) -> tuple[Round[object], tuple[list[Packed], list[Packed]]]:
        """Wait for the answer to the oldest round under way."""
        try:
            answer = marshal.loads(self._connection.recv_bytes())  # noqa: S302 - from a process that this one started
        except (EOFError, OSError):
            raise self._lost() from None
        return self.under_way.popleft(), answer

    def end(self) -> None:
        """End it."""
        self._connection.close()
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _lost(self) -> ReaderLostError:
        self.under_way.clear()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_SECONDS)
        code = self._process.poll()
        how = f"was ended by signal {-code}" if code is not None and code < 0 else f"ended with {code}"
        return ReaderLostError(
            f"A process that read leaves {how}, out of memory perhaps. Run it again, with fewer --processes."
        )
