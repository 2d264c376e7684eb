"""base64url has one form per byte string; everything else is refused."""

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.canon import b64url_decode, b64url_encode
from app.errors import MalformedError

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", ""),
        (b"f", "Zg"),
        (b"fo", "Zm8"),
        (b"foo", "Zm9v"),
        (b"foob", "Zm9vYg"),
        (b"fooba", "Zm9vYmE"),
        (b"foobar", "Zm9vYmFy"),
        (bytes([3, 236, 255, 224, 193]), "A-z_4ME"),
    ],
)
def test_vectors_of_rfc_4648_and_rfc_7515(data: bytes, text: str) -> None:
    assert b64url_encode(data) == text
    assert b64url_decode(text) == data


@pytest.mark.parametrize(
    "text",
    [
        *(
            "QQ==",
            "QQ=",
            "QR",
            "QUJ",
            "Q",
            "QUJDR",
            "QU JD",
            "QUJD\n",
            "\nQUJD",
            "QU\rJD",
            "+_8A",
            "/w",
            "QUJD=",
            "=",
        ),
        *("====", "QU\x00JD", "QUJDé", "QUJDＡ", "QU.D", "QUJD=QUI", "AB", "Zm9vYh", "Zm9vYmF"),
    ],
)
def test_every_second_form_is_refused(text: str) -> None:
    with pytest.raises(MalformedError) as caught:
        b64url_decode(text)
    assert caught.value.code == "base64"


def test_the_standard_library_is_not_strict() -> None:
    """The negative control: why this function exists (ledger reference section 2)."""
    assert base64.urlsafe_b64decode("QR==") == base64.b64decode("QR==", validate=True) == b"A"
    assert base64.urlsafe_b64decode("Q Q\n==") == b"A"


def test_length_is_enforced() -> None:
    assert b64url_decode("A" * 43, length=32) == bytes(32)
    for wrong in ("A" * 42, "A" * 44, ""):
        with pytest.raises(MalformedError):
            b64url_decode(wrong, length=32)


@given(st.binary(max_size=400))
@settings(deadline=None)
def test_encoding_agrees_with_the_standard_library_and_comes_back(data: bytes) -> None:
    text = b64url_encode(data)
    assert text == base64.urlsafe_b64encode(data).rstrip(b"=").decode()
    assert b64url_decode(text, length=len(data)) == data


@given(st.text(st.sampled_from(ALPHABET + "+/= \n\x00é"), max_size=12) | st.text(max_size=12))
@settings(deadline=None, max_examples=500)
def test_what_decodes_is_the_only_text_for_its_bytes(text: str) -> None:
    try:
        data = b64url_decode(text)
    except MalformedError:
        return
    assert b64url_encode(data) == text


@given(st.binary(min_size=1, max_size=40), st.data())
@settings(deadline=None, max_examples=300)
def test_any_other_last_character_means_other_bytes_or_nothing(data: bytes, draw: st.DataObject) -> None:
    text = b64url_encode(data)
    other = text[:-1] + draw.draw(st.sampled_from(ALPHABET.replace(text[-1], "")))
    try:
        assert b64url_decode(other) != data
    except MalformedError as error:
        assert error.code == "base64"  # noqa: PT017 - either outcome is right
