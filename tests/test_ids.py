"""Unit ids and event ids: the references' vectors, every single mistake, and anything at all."""

import random
import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import MalformedError
from app.ids import (
    ALPHABET,
    check_character,
    group4,
    is_unit_id,
    new_event_id,
    new_unit_id,
    parse_unit_id,
    parse_uuid7,
)

EXAMPLE = "7K3M9QXA2BTW5R0EK"


@pytest.mark.parametrize(
    ("first16", "check"),
    [
        ("0123456789ABCDEF", "9"),
        ("7K3M9QXA2BTW5R0E", "K"),
        ("ZYXWVTSRQPNMKJHG", "X"),
        ("0000000000000001", "V"),
        ("1000000000000000", "2"),
        ("ZZZZZZZZZZZZZZZZ", "M"),
        ("0000000000000000", "0"),
    ],
)
def test_vectors_of_the_domain_and_exchange_references(first16: str, check: str) -> None:
    assert check_character(first16) == check
    assert is_unit_id(first16 + check)
    assert parse_unit_id(first16 + check) == first16 + check
    assert not any(is_unit_id(first16 + other) for other in ALPHABET if other != check)


def random_ids(count: int) -> list[str]:
    rng = random.Random(20240214)
    return [new_unit_id(rng.randbytes(10)) for _ in range(count)]


def test_every_single_substitution_is_detected() -> None:
    for unit_id in random_ids(40):
        for place, right in enumerate(unit_id):
            for wrong in ALPHABET.replace(right, ""):
                assert not is_unit_id(unit_id[:place] + wrong + unit_id[place + 1 :])


def test_every_swap_of_two_characters_is_detected() -> None:
    for unit_id in random_ids(100):
        for i in range(17):
            for j in range(i):
                swapped = list(unit_id)
                swapped[i], swapped[j] = swapped[j], swapped[i]
                assert is_unit_id("".join(swapped)) == (unit_id[i] == unit_id[j])


def test_a_misread_label_has_its_own_code() -> None:
    with pytest.raises(MalformedError) as caught:
        parse_unit_id(EXAMPLE[:-1] + "J")
    assert caught.value.code == "label_checksum"


@pytest.mark.parametrize(
    "typed",
    [
        EXAMPLE.lower(),
        "7K3M-9QXA-2BTW-5R0E-K",
        " 7k3m 9qxa 2btw 5roe k ",
        "7K3M9QXA2BTW5ROEK",
        group4(EXAMPLE),
    ],
)
def test_typed_input_is_folded(typed: str) -> None:
    assert parse_unit_id(typed) == EXAMPLE


def test_i_and_l_count_as_one() -> None:
    canonical = "0123456789ABCDEF9"
    assert parse_unit_id("OI23456789abcdef9") == parse_unit_id("ol23456789ABCDEF9") == canonical


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "7K3M9QXA2BTW5R0E",
            EXAMPLE + "0",
            "7K3M9QXA2BTW5R0EU",
            "7K3M9QXA2BTW5R0E*",
            "7K3M_9QXA2BTW5R0EK",
        ),
        *(
            "7K3M9QXA2BTW5R0E\u212a",
            "\u0131123456789ABCDEF9",
            "\uff17K3M9QXA2BTW5R0EK",
            EXAMPLE + "\n",
            EXAMPLE + "-" * 100,
        ),
        "\ud8007K3M9QXA2BTW5R0E",
    ],
    ids=ascii,
)
def test_other_shapes_are_refused(text: str) -> None:
    assert not is_unit_id(text)
    with pytest.raises(MalformedError) as caught:
        parse_unit_id(text)
    assert caught.value.code == "unit_id"


@pytest.mark.parametrize("text", [EXAMPLE.lower(), "7K3M9QXA2BTW5ROEK", "7K3M-9QXA-2BTW-5R0E-K", "O123456789ABCDEF9"])
def test_the_fast_test_takes_canonical_form_only(text: str) -> None:
    assert not is_unit_id(text)


@pytest.mark.parametrize("text", ["", "0", "0123456789ABCDEU", "0123456789abcdef", "0123456789ABCDEF9"])
def test_check_characters_are_for_sixteen_characters(text: str) -> None:
    with pytest.raises(MalformedError) as caught:
        check_character(text)
    assert caught.value.code == "unit_id"


@given(st.binary(min_size=10, max_size=10))
@settings(deadline=None)
def test_new_ids_are_valid_and_keep_all_80_bits(random_bytes: bytes) -> None:
    unit_id = new_unit_id(random_bytes)
    number = 0
    for character in unit_id[:16]:
        number = number << 5 | ALPHABET.index(character)
    assert number.to_bytes(10, "big") == random_bytes
    assert is_unit_id(unit_id)
    assert parse_unit_id(group4(unit_id).lower()) == unit_id


@given(st.text(max_size=20) | st.text(st.sampled_from(ALPHABET + "ILOUilou -"), min_size=14, max_size=22))
@settings(deadline=None, max_examples=500)
def test_fast_and_careful_tests_agree(text: str) -> None:
    slow = len(text) == 17 and set(text) <= set(ALPHABET) and check_character(text[:16]) == text[16]
    assert is_unit_id(text) == slow
    try:
        assert is_unit_id(parse_unit_id(text))
    except MalformedError as error:
        assert error.code in {"unit_id", "label_checksum"}  # noqa: PT017 - either outcome is right


def test_print_form_stands_in_groups_of_four() -> None:
    assert group4(EXAMPLE) == "7K3M 9QXA 2BTW 5R0E K"


@pytest.mark.parametrize("size", [0, 9, 11])
def test_wrong_amounts_of_randomness_are_our_own_mistake(size: int) -> None:
    with pytest.raises(RuntimeError):
        new_unit_id(bytes(size))
    with pytest.raises(RuntimeError):
        new_event_id(0, bytes(size))


def test_vector_of_rfc_9562_appendix_a6() -> None:
    random_bits = (0xCC3 << 62 | 0x18C4DC0C0C07398F).to_bytes(10, "big")
    assert new_event_id(0x017F22E279B0, random_bits) == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"


@given(st.integers(0, 2**48 - 1), st.binary(min_size=10, max_size=10))
@settings(deadline=None)
def test_new_event_ids_are_canonical_and_say_their_time(ms: int, random_bytes: bytes) -> None:
    text = new_event_id(ms, random_bytes)
    parsed = uuid.UUID(parse_uuid7(text))
    assert (str(parsed), parsed.version, parsed.variant) == (text, 7, uuid.RFC_4122)
    assert parsed.int >> 80 == ms


@pytest.mark.parametrize("ms", [-1, 2**48])
def test_times_beyond_48_bits_are_our_own_mistake(ms: int) -> None:
    with pytest.raises(RuntimeError):
        new_event_id(ms, bytes(10))


@pytest.mark.parametrize(
    "text",
    [
        *("", "017F22E2-79B0-7CC3-98C4-DC0C0C07398F", "017f22e2-79b0-4cc3-98c4-dc0c0c07398f"),
        *(
            "017f22e2-79b0-7cc3-c8c4-dc0c0c07398f",
            "017f22e279b07cc398c4dc0c0c07398f",
            "{017f22e2-79b0-7cc3-98c4-dc0c0c07398f}",
        ),
        *("urn:uuid:017f22e2-79b0-7cc3-98c4-dc0c0c07398f", "017f22e2-79b0-7cc3-98c4-dc0c0c07398f\n"),
        *(
            "017f22e2-79b0-7cc3-98c4-dc0c0c07398",
            "017f22e2-79b0-7cc3-98c4-dc0c0c07398g",
            "٠17f22e2-79b0-7cc3-98c4-dc0c0c07398f",
        ),
    ],
    ids=ascii,
)
def test_other_forms_of_event_ids_are_refused(text: str) -> None:
    with pytest.raises(MalformedError) as caught:
        parse_uuid7(text)
    assert caught.value.code == "event_id"
