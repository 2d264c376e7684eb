"""Samples that nobody chose, and what they say of the whole: sizes, bounds and the draw (pure).

Whole numbers only: a size or a bound is decided by comparing two integers, so that everybody who computes it comes to
the same (domain reference section 9, "no floats"). `confidence` is in per cent, `rate` in per mille.

**How many** (`sample_size`). Among N units let D = max(1, ceil(N * rate / 1000)) be bad. A sample of n without putting
back misses all of them with probability C(N-D, n) / C(N, n). The size is the smallest n for which that is at most
1 - confidence / 100.

**What it says** (`most_bad`). Of n inspected, k were bad. K bad ones among N are *not excluded* when so few are found
with a probability of more than 1 - confidence / 100: sum over i <= k of C(K, i) * C(N-K, n-i) / C(N, n). The bound is
the largest such K; it is exact for samples without putting back, as Clopper and Pearson's is for those with.

**Which ones** (`draw`, format `custody-sample-v1`). From a seed of 32 bytes:

1. Sort the unit ids by code point: `unit[0]` to `unit[N-1]`.
2. Numbers: for counter = 0, 1, 2, … take SHA-256 over the 18 bytes `custody-sample-v1` LF, the seed, and the counter as
   8 bytes, most significant first; each digest gives four numbers of 64 bits, most significant byte first, in order.
3. For place j = 0 to n-1 let m = N - j. Take the next number that is below 2^64 - (2^64 mod m), leaving out others; r =
   j + (number mod m). Draw `unit[r]`, then let `unit[r]` be what `unit[j]` is (Fisher and Yates).

A number is taken even when m = 1. The first n of a larger draw are the draw of n, so a sample can be enlarged. Test
vectors stand in `tests/vectors/sampling/`.
"""

import hashlib
from collections.abc import Iterable, Iterator
from math import comb

from app.errors import MalformedError
from app.ledger.note import Note

SEED_BYTES = 32
LABEL = b"custody-sample-v1\n"
_WORDS = 2**64


def seed_of(note: bytes) -> bytes:
    """Return the seed that a checkpoint gives: SHA-256 over the note's text, the three lines that everybody signed.

    The text ends with the newline of its last line; the empty line and the signatures do not count. So every copy of a
    checkpoint gives the same seed, whichever cosignatures stand below it. Verifies no signature.

    Raises:
        MalformedError: `note`, `base64`: it is no signed note.
    """
    return hashlib.sha256(Note.parse(note).text.encode()).digest()


def bad_units(population: int, rate: int) -> int:
    """Return how many of so many units a rate in per mille stands for: rounded up, and one at least."""
    return max(1, -(-population * rate // 1000))


def sample_size(population: int, confidence: int, rate: int) -> int:
    """Return how many of so many units must be looked at; see above.

    Args:
        population: N, at least 1.
        confidence: In per cent, 1 to 99.
        rate: In per mille, 1 to 1000.

    Raises:
        MalformedError: `size`, a figure is out of bounds.
    """
    if population < 1 or not 1 <= confidence <= 99 or not 1 <= rate <= 1000:
        raise MalformedError(
            "A sample needs a population, a confidence of 1 to 99 % and a rate in per mille.", code="size"
        )
    bad = bad_units(population, rate)
    low, high = 1, population - bad + 1
    while low < high:
        middle = (low + high) // 2
        if _misses_all(population, bad, middle, confidence):
            low = middle + 1
        else:
            high = middle
    return low


def _misses_all(population: int, bad: int, inspected: int, confidence: int) -> bool:
    """Say whether a sample misses every bad unit more often than the confidence lets it.

    Who is drawn and who is bad may change places; with the fewer drawn, the binomials stay small.
    """
    fewer, more = sorted((bad, inspected))
    return 100 * comb(population - more, fewer) > (100 - confidence) * comb(population, fewer)


def most_bad(population: int, inspected: int, found: int, confidence: int) -> int:
    """Return the largest number of bad units among all that the confidence does not exclude; see above.

    Args:
        population: N.
        inspected: n, at most N.
        found: k, at most n.
        confidence: In per cent, 1 to 99.

    Raises:
        MalformedError: `size`, the figures contradict each other.
    """
    if not 0 <= found <= inspected <= population or population < 1 or not 1 <= confidence <= 99:
        raise MalformedError("Found are at most as many as inspected, and these as there are.", code="size")
    low, high = found, population - inspected + found
    while low < high:
        middle = (low + high + 1) // 2
        if _is_likely(population, middle, inspected, found, confidence):
            low = middle
        else:
            high = middle - 1
    return low


def _is_likely(population: int, bad: int, inspected: int, found: int, confidence: int) -> bool:
    """Say whether so few found are likelier than the confidence excludes; each term follows from the one before."""
    drawn, marked = sorted((bad, inspected))
    first = max(0, drawn + marked - population)
    if first > found:
        return False
    term = comb(marked, first) * comb(population - marked, drawn - first)
    total = 0
    for i in range(first, found + 1):
        total += term
        term = term * (marked - i) * (drawn - i) // ((i + 1) * (population - marked - drawn + i + 1))
    return 100 * total > (100 - confidence) * comb(population, drawn)


def in_permille(part: int, whole: int) -> int:
    """Return a share in per mille, rounded up: a bound may be too large, never too small."""
    return -(-1000 * part // whole)


def draw(units: Iterable[str], count: int, seed: bytes) -> list[str]:
    """Return so many of the units in the order in which they were drawn; see above.

    Args:
        units: Their ids in any order, each once.
        count: n, at most as many as there are.
        seed: 32 bytes that nobody could choose.

    Raises:
        MalformedError: `size` for the seed or the count, `units_repeated`.
    """
    ordered = sorted(units)
    if len(seed) != SEED_BYTES or not 0 <= count <= len(ordered):
        raise MalformedError("A draw needs a seed of 32 bytes and as many units as it takes.", code="size")
    if len(set(ordered)) != len(ordered):
        raise MalformedError("A unit is named twice.", code="units_repeated")
    numbers = _numbers(seed)
    moved: dict[int, int] = {}  # where a unit no longer stands at its own place: n entries instead of N
    drawn = []
    for place in range(count):
        other = place + _below(len(ordered) - place, numbers)
        drawn.append(ordered[moved.get(other, other)])
        moved[other] = moved.get(place, place)
    return drawn


def _numbers(seed: bytes) -> Iterator[int]:
    counter = 0
    while True:
        digest = hashlib.sha256(LABEL + seed + counter.to_bytes(8, "big")).digest()
        yield from (int.from_bytes(digest[at : at + 8], "big") for at in range(0, 32, 8))
        counter += 1


def _below(limit: int, numbers: Iterator[int]) -> int:
    """Return a number below a limit, each as likely as any other: the uneven end of the range is left out."""
    even = _WORDS - _WORDS % limit
    return next(number for number in numbers if number < even) % limit
