"""Verify a downloaded bundle as anybody could: the file and the pinned genesis, no network, no database."""

from pathlib import Path
from typing import Any

from app.audit.verify import verify_bundle


def prove(bundle: Path, genesis: str) -> dict[str, Any]:
    """Return what the offline verifier says of a bundle, without its story.

    Args:
        bundle: The zip as downloaded.
        genesis: Hash of the genesis, pinned when the ledger was founded.
    """
    report = verify_bundle(bundle.read_bytes(), genesis=genesis)
    return {
        "file": str(bundle), "result": report.result, "leaves": report.leaves, "judged": report.judged,
        "events": len(report.story), "reasons": [reason.as_json() for reason in report.reasons],
    }  # fmt: skip
