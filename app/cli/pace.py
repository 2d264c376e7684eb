"""Progress on standard error: one bar per kind of work, with its speed, only where a person is looking."""

import sys
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class _Speed(ProgressColumn):
    """So many a second, lately."""

    def render(self, task: Task) -> Text:
        """Draw the speed."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f}/s" if speed else "", style="progress.data.speed")


class Pace:
    """Bars for work whose extent is known; use it as a context."""

    def __init__(self, *, quiet: bool = False) -> None:
        """Show nothing when quiet, or when nobody is looking."""
        columns = (
            TextColumn("{task.description:<10}"), BarColumn(), MofNCompleteColumn(), _Speed(), TimeElapsedColumn(),
            TimeRemainingColumn(),
        )  # fmt: skip
        hidden = quiet or not sys.stderr.isatty()
        self._progress = Progress(*columns, console=Console(stderr=True), disable=hidden)
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        """Leave the bars as they stand."""
        self._progress.stop()

    def tick(self, name: str, done: int, total: int) -> None:
        """Move a bar.

        Args:
            name: Of the work.
            done: How much was done since the last call.
            total: How much there is.
        """
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=total)
        self._progress.update(self._tasks[name], advance=done, total=total)
