"""The QR code of a label as `qrcode` makes it by default: it tries every mask; no picture is drawn.

    python scripts/yardsticks/symbols.py --count 200

It imports nothing of the service. The answer is one line of JSON.
"""

import argparse
import json
import secrets
import time
from typing import Any

import qrcode

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def address() -> str:
    """Return an address as long as a label's, of characters that its code is compact for."""
    return "HTTPS://CUSTODY.ID/U/" + "".join(secrets.choice(ALPHABET) for _ in range(17))


def measure(count: int) -> dict[str, Any]:
    """Make so many symbols."""
    texts = [address() for _ in range(count + 3)]
    for text in texts[:3]:
        symbol(text)
    wall, cpu = time.perf_counter(), time.process_time()
    for text in texts[3:]:
        symbol(text)
    return {
        "events": count, "wall_seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu,
    }  # fmt: skip


def symbol(text: str) -> list[list[bool]]:
    """Make one symbol at level Q."""
    made = qrcode.QRCode(error_correction=qrcode.constants.ERROR_CORRECT_Q)
    made.add_data(text)
    made.make()
    modules: list[list[bool]] = made.modules
    return modules


def main() -> None:
    """Read the arguments, run, print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200)
    print(json.dumps(measure(parser.parse_args().count)))


if __name__ == "__main__":
    main()
