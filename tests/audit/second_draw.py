"""A second implementation of `custody-sample-v1`, written from the docstring of `app.audit.sampling` alone.

Nothing of `app` is imported. It shuffles a whole list, reads its numbers from one long string of digits, and reckons
with fractions and factorials, so that it shares no step with the first.
"""

from fractions import Fraction
from hashlib import sha256
from math import factorial


def seed_of(note: str) -> bytes:
    lines = note.split("\n")
    return sha256("".join(f"{line}\n" for line in lines[: lines.index("")]).encode()).digest()


def draw(units: list[str], count: int, seed: bytes) -> list[str]:
    unit = sorted(units, key=lambda name: [ord(letter) for letter in name])
    text, used, made = "", 0, 0
    for j in range(count):
        m = len(unit) - j
        while True:
            while len(text) < used + 16:
                text += sha256(b"custody-sample-v1\x0a" + seed + made.to_bytes(8, byteorder="big")).hexdigest()
                made += 1
            number = int(text[used : used + 16], 16)
            used += 16
            if number < 2**64 - (2**64 % m):
                break
        r = j + number % m
        unit[j], unit[r] = unit[r], unit[j]
    return unit[:count]


def choose(n: int, k: int) -> int:
    return 0 if not 0 <= k <= n else factorial(n) // factorial(k) // factorial(n - k)


def probability(population: int, bad: int, drawn: int, found: int) -> Fraction:
    """Return the chance that a sample holds just so many bad ones."""
    ways = choose(bad, found) * choose(population - bad, drawn - found)
    return Fraction(ways, choose(population, drawn))


def sample_size(population: int, confidence: int, rate: int) -> int:
    bad = (
        max(1, -int(Fraction(-population * rate, 1000) // 1))
        if population * rate % 1000 == 0
        else population * rate // 1000 + 1
    )
    excluded = Fraction(100 - confidence, 100)
    return next(n for n in range(1, population + 1) if probability(population, bad, n, 0) <= excluded)


def most_bad(population: int, inspected: int, found: int, confidence: int) -> int:
    excluded = Fraction(100 - confidence, 100)
    return max(
        bad
        for bad in range(population + 1)
        if sum(probability(population, bad, inspected, i) for i in range(found + 1)) > excluded
        and found <= bad <= population - inspected + found
    )
