"""How a run ends by a signal: once, through every `finally`, and with its clean-up undisturbed.

A run has servers, other children and a database of its own. The first of Ctrl-C, SIGTERM and SIGHUP (the terminal was
closed) raises `Interrupted`, and every later one is ignored: whoever is impatient must not keep the database from
being dropped.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(KeyboardInterrupt):
    """A signal ended the run."""

    def __init__(self, number: int) -> None:
        """Remember which."""
        super().__init__(f"ended by {signal.Signals(number).name}")
        self.number = number


@dataclass(slots=True)
class _Waiting:
    """How many blocks may not be disturbed at the moment, and which signal came meanwhile."""

    blocks: int = 0
    number: int | None = None


_waiting = _Waiting()


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let the first signal of a block raise `Interrupted`, and ignore the others until the block is over.

    What this process was told to ignore (`nohup`) it goes on ignoring.
    """
    before = {number: signal.getsignal(number) for number in SIGNALS}
    ours = [number for number in SIGNALS if before[number] is not signal.SIG_IGN]

    def end(number: int, frame: FrameType | None) -> None:
        del frame
        for each in ours:
            signal.signal(each, _deaf)  # not SIG_IGN, which children would inherit
        if _waiting.blocks:
            _waiting.number = number
        else:
            raise Interrupted(number)

    for number in ours:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in ours:
            was = before[number]
            signal.signal(number, signal.SIG_DFL if was is None else was)


def _deaf(number: int, frame: FrameType | None) -> None:
    del number, frame


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let a block be done whole: a signal that comes meanwhile ends the run right after it.

    Raises:
        Interrupted: One came.
    """
    _waiting.blocks += 1
    try:
        yield
    finally:
        _waiting.blocks -= 1
        number = _waiting.number
        if number is not None and not _waiting.blocks:
            _waiting.number = None
            raise Interrupted(number)
