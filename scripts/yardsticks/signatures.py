"""What a signature alone costs, by algorithm and library, with the key object kept.

    python scripts/yardsticks/signatures.py --count 4000

It imports nothing of the service. The answer is one line of JSON: rounds by name.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from nacl.signing import VerifyKey

MESSAGE_BYTES = 800
"""About what a signed event has below its signature."""


def checks() -> dict[str, Callable[[], object]]:
    """Return a verification of a right signature by each library that has the algorithm."""
    message, algorithm = os.urandom(MESSAGE_BYTES), ec.ECDSA(SHA256())
    edwards, weierstrass = ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256R1())
    signed, by_curve = edwards.sign(message), weierstrass.sign(message, algorithm)
    public, curve = edwards.public_key(), weierstrass.public_key()
    libsodium = VerifyKey(public.public_bytes(Encoding.Raw, PublicFormat.Raw))
    return {
        "verify_ed25519_libsodium": lambda: libsodium.verify(message, signed),
        "verify_ed25519_openssl": lambda: public.verify(signed, message),
        "verify_es256_openssl": lambda: curve.verify(by_curve, message, algorithm),
    }


def measure(check: Callable[[], object], count: int) -> dict[str, Any]:
    """Verify so often."""
    for _ in range(count // 10):
        check()
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(count):
        check()
    return {
        "events": count, "wall_seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu,
    }  # fmt: skip


def main() -> None:
    """Read the arguments, run, print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=4000)
    count = parser.parse_args().count
    print(json.dumps({name: measure(check, count) for name, check in checks().items()}))


if __name__ == "__main__":
    main()
