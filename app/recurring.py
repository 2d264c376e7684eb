"""Work that is done again and again, on a thread of its own, until somebody says stop.

Ground floor: knows nothing of the work. What a crash leaves behind is the work's own business.
"""

import threading
from collections.abc import Callable

import structlog

log = structlog.get_logger(__name__)


class Recurring:
    """A thread that does one kind of work, rests, and does it again."""

    def __init__(self, name: str, work: Callable[[], float], *, first_seconds: float, again_seconds: float) -> None:
        """Prepare; `start` begins.

        Args:
            name: Of the thread, and of the work in the log.
            work: Does it once, and returns how many seconds to rest.
            first_seconds: Rest before the first time.
            again_seconds: Rest after work that raised; it is logged and tried again.
        """
        self._name, self._work = name, work
        self._first, self._again = first_seconds, again_seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def stopping(self) -> bool:
        """Say whether long work should come to its end."""
        return self._stopping.is_set()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Return when what is under way is done; nothing happens when it was never started."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        pause = self._first
        while not self._stopping.wait(pause):
            try:
                pause = self._work()
            except Exception:
                log.exception("work_failed", work=self._name)
                pause = self._again
