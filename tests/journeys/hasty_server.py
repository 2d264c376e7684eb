"""The mutant of `test_kill.py`: a service that answers before the commit. Never part of the product."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from app.cli.main import main
from app.custody import record
from app.custody.prove import ProvenEvent
from app.custody.receipts import Receipt

_LATER = ThreadPoolExecutor(1)
_REAL = record.Recorder.record
_DELAY_SECONDS = 0.05


def hasty(self: record.Recorder, proven: Sequence[ProvenEvent], *, proofs: bool = True) -> list[record.Answer]:
    """Say "recorded" at once and record a moment later."""

    def later() -> None:
        time.sleep(_DELAY_SECONDS)
        _REAL(self, proven, proofs=proofs)

    _LATER.submit(later)
    return [
        Receipt(self.origin, p.event.hash, p.event.body.event_id, -1, "", "accepted", "", p.received_ms, ())
        for p in proven
    ]


if __name__ == "__main__":
    record.Recorder.record = hasty  # type: ignore[method-assign]
    main()
