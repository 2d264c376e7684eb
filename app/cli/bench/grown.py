"""A ledger grown to so many events in this process, fast and by all the rules; kept in a folder when that is wanted.

Twelve events a unit: commissioned (twenty to an event), and eleven more. A kept ledger is opened again when its
parameters are those asked for, and grows on from where it is; each time new officers work on it, so that nothing
depends on how the last run ended but the founders, who enrol them: where their device sequences stand is written down
after each enrolment.
"""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import SystemRandom
from typing import Any

from app.cli.bench.databases import fresh_database, kept_database, kind_of
from app.cli.bench.defaults import Defaults
from app.cli.bench.signer import Signer
from app.cli.bench.stories import LIFE
from app.cli.bench.world import LINES, Founding
from app.cli.phone import Phone
from app.config import Settings
from app.custody.committing import commit_heads
from app.db import normal_url
from app.ledger.append import read_head

VERSION = 4
PAIRS = 64
UNITS = 9_000
"""Units of one block: their lives are lived together, so that one unit's events lie so far apart."""
GROUPS_PER_COMMITMENT = 16
LARGER = 1.1
"""How much larger than asked for a kept ledger may be: each run adds officers, and a measured one what was sent."""
SAMPLE = 20_000
"""Units that are remembered for reading."""
Tell = Callable[[int], None]


@dataclass(slots=True)
class Grown:
    """A ledger that grows."""

    founding: Founding
    folder: Path
    url: str
    units: list[str] = field(default_factory=list)
    thinned: int = 1
    points: list[dict[str, Any]] = field(default_factory=list)
    """What was measured so far, point by point (`app.cli.bench.growth`)."""

    @property
    def settings(self) -> Settings:
        """How a service over it runs."""
        return self.founding.settings

    def size(self) -> int:
        """Return the leaves it has."""
        with self.founding.db.read() as session:
            return read_head(session).size

    def grow(self, to: int, tell: Tell = lambda _: None) -> None:
        """Let it grow to so many leaves, within a unit's life; told how many it has after each group.

        Raises:
            RuntimeError: An event was not accepted.
        """
        if self.size() + LIFE + 1 > to:
            return
        founding, phones = self.founding, self.enrol(2 * PAIRS + 1)
        with Signer(phones[1:]) as signer:
            while (left := to - self.size()) > LIFE:
                units = founding.commission(phones[0], max(1, min(UNITS, left * LINES // (LINES * LIFE + 1))))
                self._remember(units)
                self._live(signer, units, tell)
        self.save()

    def _live(self, signer: Signer, units: list[str], tell: Tell) -> None:
        founding = self.founding
        founding.advance(())
        for number, group in enumerate(signer.lives(units, self._moment())):
            founding.record_jws(group, group=len(group))
            founding.advance(())
            signer.see(self._moment())
            if number % GROUPS_PER_COMMITMENT == 0:
                self._commit()
            founding.db.tidy()
            tell(founding.recorder.published[0])
        self._commit()

    def _moment(self) -> tuple[str, int]:
        return self.founding.recorder.published[1].decode(), self.founding.now_ms

    def _commit(self) -> None:
        while commit_heads(self.founding.recorder, self.founding.now_ms):
            pass

    def _remember(self, units: list[str]) -> None:
        """Keep a sample of units, evenly from everything so far: one in `thinned`."""
        self.units += [unit for unit in units if SystemRandom().randrange(self.thinned) == 0]
        while len(self.units) > 2 * SAMPLE:
            self.units, self.thinned = self.units[::2], 2 * self.thinned

    def need(self, events: int) -> None:
        """Refuse a kept ledger that is another than what is asked for.

        Raises:
            RuntimeError: It is much larger; the text says what to do.
        """
        if self.size() > LARGER * events + UNITS:
            raise RuntimeError(
                f"The ledger in {self.folder} has {self.size():,} events, more than --events {events:,}: ask for as "
                "many, or name another folder."
            )

    def enrol(self, count: int) -> list[Phone]:
        """Enrol officers, and write down at once how far that moved the founders' device sequences.

        A run that is ended later on would else be taken up by founders who count from where they began: a fork.
        """
        self.founding.advance(self.founding.founders)
        found = self.founding.enrol(count)
        self.save()
        return found

    def officer(self) -> Phone:
        """Enrol somebody who may read everything."""
        [found] = self.enrol(1)
        found.sees(self.founding.recorder.published[1].decode())
        return found

    def save(self) -> None:
        """Write down what opens it again."""
        told = {
            "version": VERSION, "kind": kind_of(self.url), "database": normal_url(self.url).database,
            "size": self.size(), "units": self.units, "thinned": self.thinned, "points": self.points,
            **self.founding.memory(),
        }  # fmt: skip
        file = self.folder / "world.json"
        file.with_suffix(".new").write_text(json.dumps(told))
        file.with_suffix(".new").chmod(0o600)
        os.replace(file.with_suffix(".new"), file)  # noqa: PTH105 - whole or not at all

    def close(self) -> None:
        """Give the database back."""
        self.founding.db.close()


@contextmanager
def place(folder: Path, database_url: str, keep: Path | None) -> Iterator[tuple[Path, str]]:
    """Give a folder and a database for a ledger that grows; what is not kept is dropped at the end.

    Args:
        folder: Where it goes when it is not kept.
        database_url: A PostgreSQL server; empty for SQLite.
        keep: Folder of the one that is kept.

    Raises:
        RuntimeError: What is there cannot be opened; see `remembered`.
    """
    own = keep or folder / "grown"
    kept = remembered(own, kind_of(database_url)) if keep else None
    own.mkdir(parents=True, exist_ok=True)
    found = kept_database(database_url, own, kept) if keep else fresh_database(database_url, own)
    with found as url:
        yield own, url


@contextmanager
def opened(own: Path, url: str) -> Iterator[Grown]:
    """Open the ledger of a folder, or found one there; nobody else may write to it meanwhile.

    Raises:
        RuntimeError: What is there cannot be opened; see `remembered`.
    """
    kept = remembered(own, kind_of(url))
    found = Grown(Founding(Defaults(data_dir=own / "data", database_url=url), kept), own, url)
    if kept is not None:
        found.units, found.thinned, found.points = kept["units"], kept["thinned"], kept["points"]
    found.save()
    try:
        yield found
    finally:
        found.close()


def remembered(folder: Path, kind: str) -> dict[str, Any] | None:
    """Return what was written down of a kept ledger, or None where there is none.

    Args:
        folder: Where it is kept.
        kind: Of the database that it must be in, `sqlite` or `postgresql`.

    Raises:
        RuntimeError: It was made by another version of this command, or is in a database of another kind.
    """
    file = folder / "world.json"
    if not file.exists():
        return None
    told: dict[str, Any] = json.loads(file.read_bytes())
    if told.get("version") != VERSION:
        raise RuntimeError(f"The ledger in {folder} is from another version of `custody bench`; name another folder.")
    if told["kind"] != kind:
        raise RuntimeError(f"The ledger in {folder} is in {told['kind']}, not in {kind}; name another folder.")
    return told
