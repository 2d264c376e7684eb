"""Samples: sizes and bounds against brute force and printed tables, draws against a second implementation."""

import hashlib
import json
from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.audit import sampling
from app.errors import MalformedError
from tests.audit import second_draw as second

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "sampling" / "custody-sample-v1.json").read_text())
UNITS = [f"{7 * n:017X}" for n in range(429)]
SEED = bytes(range(32))


# -- how many ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("population", "rate", "printed"),
    [
        (100, 10, 95), (100, 50, 45), (100, 100, 25), (500, 10, 225), (1000, 10, 258), (1000, 20, 138),
        (1000, 50, 57), (1000, 100, 29), (10_000, 10, 294), (1_000_000, 10, 299),
    ],
)  # fmt: skip
def test_sizes_are_those_of_the_printed_tables_for_95_percent(population: int, rate: int, printed: int):
    """How many to look at to find one of so many, as survey tables have it (Cannon and Roe 1982; quoted from memory)."""
    assert sampling.sample_size(population, 95, rate) == printed


@pytest.mark.parametrize("population", range(1, 9))
@pytest.mark.parametrize("rate", [1, 200, 334, 500, 1000])
def test_a_size_is_the_smallest_that_misses_rarely_enough_of_all_samples_there_are(population: int, rate: int):
    """Every sample is listed: no formula at all."""
    bad = {*range(sampling.bad_units(population, rate))}
    for confidence in (50, 80, 95, 99):
        missed = {}
        for size in range(1, population + 1):
            samples = list(combinations(range(population), size))
            missed[size] = 100 * sum(bad.isdisjoint(one) for one in samples) > (100 - confidence) * len(samples)
        assert sampling.sample_size(population, confidence, rate) == min(
            n for n, misses in missed.items() if not misses
        )


@given(st.integers(1, 150), st.integers(50, 99), st.integers(1, 1000))
def test_sizes_agree_with_a_second_reckoning(population: int, confidence: int, rate: int):
    assert sampling.sample_size(population, confidence, rate) == second.sample_size(population, confidence, rate)


def test_a_single_bad_unit_of_a_few_is_looked_for():
    assert sampling.bad_units(30, 10) == 1
    assert sampling.bad_units(100, 11) == 2, "rounded up: two of a hundred are more than 11 per mille"


# -- what it says -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("population", range(1, 8))
def test_a_bound_is_the_largest_number_that_all_samples_there_are_do_not_exclude(population: int):
    for size in range(population + 1):
        samples = list(combinations(range(population), size))
        for found in range(size + 1):
            for confidence in (50, 90, 95):
                likely = [
                    bad
                    for bad in range(found, population - size + found + 1)
                    if 100 * sum(len({*range(bad)} & {*one}) <= found for one in samples) > (100 - confidence) * len(samples)
                ]  # fmt: skip
                assert sampling.most_bad(population, size, found, confidence) == max(likely)


@given(st.data())
def test_bounds_agree_with_a_second_reckoning(data: st.DataObject):
    population = data.draw(st.integers(1, 60))
    inspected = data.draw(st.integers(0, population))
    found = data.draw(st.integers(0, inspected))
    confidence = data.draw(st.integers(50, 99))
    mine = sampling.most_bad(population, inspected, found, confidence)
    assert mine == second.most_bad(population, inspected, found, confidence)


@given(st.integers(1, 5000), st.integers(50, 99), st.integers(1, 1000))
def test_both_directions_agree_with_each_other(population: int, confidence: int, rate: int):
    """A sample of the stated size that finds nothing excludes the rate; one unit fewer does not."""
    size, bad = sampling.sample_size(population, confidence, rate), sampling.bad_units(population, rate)
    assert sampling.most_bad(population, size, 0, confidence) < bad
    if size > 1:
        assert sampling.most_bad(population, size - 1, 0, confidence) >= bad


def test_who_saw_everything_knows_and_who_saw_nothing_does_not():
    assert sampling.most_bad(50, 50, 3, 99) == 3
    assert sampling.most_bad(50, 0, 0, 99) == 50
    assert sampling.most_bad(50, 10, 10, 95) == 50


def test_the_rule_of_three_holds_for_a_large_population():
    assert sampling.in_permille(sampling.most_bad(1_000_000, 300, 0, 95), 1_000_000) == 10


def test_shares_are_rounded_up():
    assert [sampling.in_permille(part, 3000) for part in (0, 1, 3, 4, 3000)] == [0, 1, 1, 2, 1000]


@pytest.mark.parametrize("figures", [(0, 95, 10), (10, 0, 10), (10, 100, 10), (10, 95, 0), (10, 95, 1001)])
def test_sizes_of_nonsense_are_refused(figures: tuple[int, int, int]):
    with pytest.raises(MalformedError):
        sampling.sample_size(*figures)


@pytest.mark.parametrize("figures", [(0, 0, 0, 95), (10, 11, 0, 95), (10, 5, 6, 95), (10, 5, -1, 95), (10, 5, 1, 100)])
def test_bounds_of_nonsense_are_refused(figures: tuple[int, int, int, int]):
    with pytest.raises(MalformedError):
        sampling.most_bad(*figures)


# -- which ones -------------------------------------------------------------------------------------------


@given(st.binary(min_size=32, max_size=32), st.integers(1, 429), st.data())
def test_a_second_implementation_draws_the_same(seed: bytes, population: int, data: st.DataObject):
    count = data.draw(st.integers(0, population))
    assert sampling.draw(UNITS[:population], count, seed) == second.draw(UNITS[:population], count, seed)


@pytest.mark.parametrize("case", VECTORS["draws"], ids=lambda case: f"{case['count']} of {case['population']}")
def test_draws_are_those_of_the_published_vectors(case: dict):
    for one in (sampling, second):
        drawn = one.draw(UNITS[: case["population"]], case["count"], bytes.fromhex(case["seed"]))
        assert case["drawn"] in (None, drawn)
        assert (
            hashlib.sha256("".join(f"{u}\n" for u in sorted(drawn)).encode()).hexdigest() == case["sorted_ids_sha256"]
        )


def test_sizes_bounds_and_seeds_are_those_of_the_published_vectors():
    for population, confidence, rate, size in VECTORS["sizes"]["rows"]:
        assert sampling.sample_size(population, confidence, rate) == size
    for population, inspected, found, confidence, most in VECTORS["bounds"]["rows"]:
        assert sampling.most_bad(population, inspected, found, confidence) == most
    note = VECTORS["seed_note"]
    assert sampling.seed_of(note["note"].encode()).hex() == second.seed_of(note["note"]).hex() == note["seed"]


def test_a_draw_depends_on_the_set_and_the_seed_alone():
    assert sampling.draw(reversed(UNITS), 40, SEED) == sampling.draw(UNITS, 40, SEED)
    assert sampling.draw(UNITS, 40, SEED) != sampling.draw(UNITS, 40, bytes(32))
    assert sampling.draw(UNITS, 40, SEED) != sampling.draw(UNITS[1:], 40, SEED)


def test_a_larger_sample_begins_with_the_smaller_one():
    assert sampling.draw(UNITS, 90, SEED)[:25] == sampling.draw(UNITS, 25, SEED)
    assert sorted(sampling.draw(UNITS, 429, SEED)) == UNITS


def test_every_unit_is_drawn_as_often_as_any_other():
    """10,000 seeds, 3 of 10: chi-square with 9 degrees of freedom is below 33.7 but once in 10,000 times."""
    times = Counter(unit for n in range(10_000) for unit in sampling.draw(UNITS[:10], 3, n.to_bytes(32, "big")))
    expected = 3000
    assert sum((times[unit] - expected) ** 2 / expected for unit in UNITS[:10]) < 33.7
    assert set(times) == set(UNITS[:10])


def test_the_uneven_end_of_the_range_is_left_out():
    numbers = iter([2**64 - 1, 2**64 - 2, 5])
    assert sampling._below(3, numbers) == (2**64 - 2) % 3, "2^64 mod 3 is 1: only the last number is uneven"
    assert sampling._below(2**63 + 1, iter([2**64 - 1, 2**63 + 1, 7])) == 7


def test_the_seed_of_a_checkpoint_is_the_same_whoever_cosigned_it():
    note = VECTORS["seed_note"]["note"]
    more = note + "\u2014 witness.example/w1 AAAAAAECAwQ=\n"
    assert sampling.seed_of(more.encode()) == sampling.seed_of(note.encode())
    assert sampling.seed_of(note.replace("\n12\n", "\n13\n").encode()) != sampling.seed_of(note.encode())


@pytest.mark.parametrize(
    ("units", "count", "seed"), [(["A"], 2, SEED), (["A"], -1, SEED), (["A", "B"], 1, SEED[1:]), (["A", "A"], 1, SEED)]
)  # fmt: skip
def test_draws_of_nonsense_are_refused(units: list[str], count: int, seed: bytes):
    with pytest.raises(MalformedError):
        sampling.draw(units, count, seed)
