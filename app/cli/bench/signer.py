"""A process that signs the lives of units while the one before records them: making events costs as much as recording.

The events of a block of units are signed step by step: every unit's first, then every unit's second. So what happened
to one unit lies far apart in the ledger, as it does in the field, and reading its history is not made easy.
"""

import multiprocessing
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self, cast

from app.canon import JsonValue
from app.cli.bench.stories import LIFE, life
from app.cli.phone import Phone
from app.keys.signing import PrivateKey

GROUP = 1024
AHEAD = 3
"""Groups that may be signed before they are asked for."""
Moment = tuple[str, int]
"""The newest checkpoint, for the phones to see, and the time, UTC milliseconds."""


class Signer:
    """The process, with phones that work in pairs; use it as a context."""

    def __init__(self, phones: Sequence[Phone]) -> None:
        """Take phones, which nobody else may use meanwhile."""
        self._phones = [(phone.key.to_jwk(), _without_key(phone)) for phone in phones]
        context = multiprocessing.get_context("spawn")
        self._ours, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, self._phones), daemon=True)
        self._theirs = theirs

    def __enter__(self) -> Self:
        """Start."""
        self._process.start()
        self._theirs.close()
        return self

    def __exit__(
        self, type_: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the process; what it has signed ahead is lost."""
        del type_, error, trace
        self._process.kill()
        self._process.join()
        self._ours.close()

    def lives(self, units: Sequence[str], now: "Moment") -> Iterator[list[JsonValue]]:
        """Yield what happens to units, in groups; `see` gives it a newer checkpoint in between."""
        self._ours.send(list(units))
        groups = -(-len(units) * LIFE // GROUP)
        for _ in range(min(AHEAD, groups)):
            self._ours.send(now)
        for number in range(groups):
            group = self._ours.recv()
            if number + AHEAD < groups:
                self._ours.send(self._newest or now)
            yield group

    _newest: Moment | None = None

    def see(self, newest: Moment) -> None:
        """Let the phones see a newer checkpoint from the group after the next ones on."""
        self._newest = newest


def _without_key(phone: Phone) -> tuple[Any, ...]:
    told = (phone.officer, phone.agency, phone.origin, phone.election, phone.place, phone.seq, phone.prev, phone.seen)
    return cast("tuple[Any, ...]", told)


def _work(ours: Connection, told: Sequence[tuple[dict[str, JsonValue], tuple[Any, ...]]]) -> None:
    """Sign what is asked for until the other side is gone."""
    phones = [Phone(PrivateKey.from_jwk(jwk), *rest) for jwk, rest in told]
    try:
        while True:
            _block(ours, phones, ours.recv())
    except (EOFError, ConnectionError, KeyboardInterrupt):
        return


def _block(ours: Connection, phones: Sequence[Phone], units: Sequence[str]) -> None:
    pairs, now = len(phones) // 2, [0]
    lives = [
        life(phones[2 * (n % pairs)], phones[2 * (n % pairs) + 1], unit, lambda: now[0]) for n, unit in enumerate(units)
    ]
    left = len(units) * LIFE
    story = (each for _ in range(LIFE) for each in lives)
    while left:
        checkpoint, now[0] = ours.recv()
        for phone in phones:
            phone.sees(checkpoint)
        count = min(GROUP, left)
        ours.send([next(next(story)).jws for _ in range(count)])
        left -= count
