"""Time stamps verified offline: stamps and forgeries by a real authority, and every byte of one changed."""

import time
import warnings
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.audit.stamp_form import in_der_order
from app.audit.stamped import MAX_ROOTS_BYTES, MAX_STAMP_BYTES, read_roots, read_stamp
from app.errors import MalformedError, MissingError, UnprovenError
from tests.tsa import AUTHORITY, EXPIRY, ROOT, SHORT, Tsa, der

DATA = "titik periksa ✓\n".encode()
SEQUENCE = 0x30
AUTHORITY_TEXT = b"Penanda Waktu Uji"


@pytest.fixture(scope="module")
def tsa(tmp_path_factory):
    return Tsa(tmp_path_factory.mktemp("tsa") / "one")


@pytest.fixture(scope="module")
def good(tsa):
    return tsa.stamp(DATA)


@pytest.fixture(scope="module")
def said(tsa, good):
    return tsa.said(good)


def refusal(token, roots, data=DATA, kind=UnprovenError, code="stamp", **more):
    with pytest.raises(kind) as caught:
        read_stamp(token, data, roots, **more)
    assert type(caught.value) is kind
    assert caught.value.code == code
    return caught.value.detail


def inside(data):
    """Yield where each value inside a value of DER starts and ends."""
    at = head(data)
    while at < len(data):
        end = at + head(data[at:]) + length(data[at:])
        yield data[at:end]
        at = end


def head(data):
    return 2 + (data[1] & 0x7F if data[1] & 0x80 else 0)


def length(data):
    return int.from_bytes(data[2 : head(data)], "big") if data[1] & 0x80 else data[1]


# -- what holds ----------------------------------------------------------------------------------------


def test_a_stamp_tells_time_and_authority(tsa, good):
    found = read_stamp(good, DATA, tsa.roots)
    assert found.authority == AUTHORITY
    assert abs(found.at_ms - time.time() * 1000) < 3_600_000
    assert found.at_ms % 1000 == 0, "fractions of a second are dropped"
    assert tsa.verifies(good, DATA)


@pytest.mark.parametrize("name", ["sha256", "sha384", "sha512"])
def test_imprints_by_sha_2_hold(tsa, name):
    token = tsa.reply(tsa.query(DATA, f"-{name}", "-cert"))
    assert read_stamp(token, DATA, tsa.roots).authority == AUTHORITY


def test_a_stamp_outlives_the_certificate_that_made_it(tsa, said):
    """The chain is judged at the stamp's own time: 2020 lies within the life of a certificate that ended in 2021."""
    tsa.issue("retired", end=EXPIRY)
    found = read_stamp(tsa.forge(der_time(said, b"20200706050403Z"), "retired"), DATA, tsa.roots)
    assert found.at_ms == 1_594_011_843_000
    refusal(tsa.forge(der_time(said, b"20220706050403Z"), "retired"), tsa.roots)
    refusal(tsa.forge(der_time(said, b"20190706050403Z"), "good"), tsa.roots)


def der_time(tst_info, text):
    """Return a TSTInfo with another genTime."""
    parts = [der(0x18, text) if part[0] == 0x18 else part for part in inside(tst_info)]
    return der(SEQUENCE, b"".join(parts))


def test_a_chain_over_an_intermediate_holds_in_any_order(tsa):
    tsa.issue("between", "root", subject="/C=ID/O=Uji/CN=Perantara")
    tsa.issue("deep", issuer="between")
    token = tsa.stamp(DATA, "deep", "between", "root")
    assert read_stamp(token, DATA, tsa.roots).authority == AUTHORITY
    assert tsa.verifies(token, DATA)
    for turned in (False, True):
        other = with_certificates(token, lambda found, turned=turned: sorted(found, reverse=turned))
        assert read_stamp(other, DATA, tsa.roots).authority == AUTHORITY
    alone = with_certificates(token, lambda found: [c for c in found if AUTHORITY_TEXT in c])
    refusal(alone, tsa.roots, kind=MissingError, code="stamp_roots")


def with_certificates(token, change):
    """Return an answer with other certificates in it."""
    status, content = inside(token)
    oid, explicit = inside(content)
    (signed,) = inside(explicit)
    parts = [der(0xA0, b"".join(change(list(inside(part))))) if part[0] == 0xA0 else part for part in inside(signed)]
    rebuilt = der(SEQUENCE, b"".join(parts))
    return der(SEQUENCE, status + der(SEQUENCE, oid + der(0xA0, rebuilt)))


def test_taking_an_answer_apart_and_putting_it_together_changes_nothing(good):
    assert with_certificates(good, lambda found: found) == good == in_der_order(good)


# -- what does not -------------------------------------------------------------------------------------


def test_other_bytes_are_not_stamped(tsa, good):
    assert "other bytes" in refusal(good, tsa.roots, DATA + b" ")
    refusal(good, tsa.roots, b"")


def test_the_nonce_asked_for_must_come_back(tsa):
    refusal(tsa.reply(tsa.query(DATA, "-sha256", "-cert", "-no_nonce")), tsa.roots, nonce=5)
    refusal(tsa.stamp(DATA), tsa.roots, nonce=5)


def test_a_forger_with_the_right_certificate_would_be_believed(tsa, said):
    """Control of the forgeries below: the same way of signing holds when nothing is wrong with the certificate."""
    assert read_stamp(tsa.forge(said, "good"), DATA, tsa.roots).authority == AUTHORITY


@pytest.mark.parametrize("kind", ["plain", "mail", "loose", "root"])
def test_a_certificate_for_something_else_stamps_nothing(tsa, said, kind):
    tsa.issue(f"as-{kind}", kind)
    refusal(tsa.forge(said, f"as-{kind}"), tsa.roots)


def test_an_expired_certificate_stamps_nothing(tsa):
    tsa.issue("expired", end=EXPIRY)
    refusal(tsa.stamp(DATA, "expired"), tsa.roots)


def test_whoever_is_no_ca_makes_no_authority(tsa):
    tsa.issue("vain", issuer="good", subject="/C=ID/O=Uji/CN=Penyusup")
    refusal(tsa.stamp(DATA, "vain", "good", "root"), tsa.roots)


def test_a_ca_of_the_same_name_is_not_the_root(tsa, tmp_path):
    twin = Tsa(tmp_path / "twin", ROOT)
    refusal(twin.stamp(DATA), tsa.roots)
    refusal(twin.stamp(DATA, "good", "root"), tsa.roots)
    assert read_stamp(twin.stamp(DATA), DATA, twin.roots)


def test_two_signers_are_not_one_authority(tsa, said):
    tsa.issue("second")
    refusal(tsa.forge(said, "good", "second"), tsa.roots)


def test_what_was_not_granted_is_no_stamp(tsa):
    refused = tsa.reply(tsa.query(DATA, "-sha256", "-cert", "-tspolicy", "1.2.3.9"))
    assert "status 2" in refusal(refused, tsa.roots)


def test_a_token_without_the_certificate_names_nobody(tsa):
    with pytest.raises((UnprovenError, MissingError)):
        read_stamp(tsa.reply(tsa.query(DATA, "-sha256")), DATA, tsa.roots)


def test_weak_hashes_and_keys_are_refused(tsa, said):
    assert "hash" in refusal(tsa.reply(tsa.query(DATA, "-sha1", "-cert")), tsa.roots)
    assert "weak" in refusal(tsa.forge(said, "good", md="sha1"), tsa.roots)
    tsa.issue("sha1", md="sha1")
    assert "weak" in refusal(tsa.forge(said, "sha1"), tsa.roots)
    tsa.issue("short", key=SHORT)
    assert "weak" in refusal(tsa.forge(said, "short"), tsa.roots)


# -- roots ---------------------------------------------------------------------------------------------


def test_without_the_right_root_material_is_missing(tsa, good, tmp_path):
    other = Tsa(tmp_path / "other", "/C=ID/O=Lain/CN=Akar Lain")
    assert refusal(good, b"", kind=MissingError, code="stamp_roots").startswith("INCOMPLETE")
    assert refusal(good, other.roots, kind=MissingError, code="stamp_roots").startswith("INCOMPLETE")
    assert read_stamp(good, DATA, other.roots + tsa.roots + tsa.roots).authority == AUTHORITY


def test_what_is_wrong_stays_wrong_without_a_root(good):
    refusal(good, b"", DATA + b" ")


@pytest.mark.parametrize("bundle", [b"no certificate", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"])
def test_a_bundle_of_roots_that_is_none_is_told(good, bundle):
    refusal(good, bundle, kind=MalformedError, code="stamp_roots")


def test_roots_are_read_once_and_within_bounds(tsa):
    assert len(read_roots(tsa.roots * 3)) == 1
    assert read_roots(b" \n") == []
    with pytest.raises(MalformedError):
        read_roots(b"x" * (MAX_ROOTS_BYTES + 1))


# -- any bytes -----------------------------------------------------------------------------------------


def reading(token, roots):
    """Return the stamp, or None when it was refused in one of the ways that are promised."""
    try:
        return read_stamp(token, DATA, roots)
    except (MalformedError, UnprovenError, MissingError) as error:
        # A root is missing when the certificate's issuer was changed into somebody unknown.
        if error.code != ("stamp_roots" if type(error) is MissingError else "stamp"):
            raise
    return None


@pytest.fixture(autouse=True)
def _strange_certificates():
    """A changed serial number makes a parser warn; no answer depends on it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def test_every_truncation_is_refused(tsa, good):
    assert all(reading(good[:size], tsa.roots) is None for size in range(len(good)))
    assert reading(good + b"\0", tsa.roots) is None
    assert "larger" in refusal(good + bytes(MAX_STAMP_BYTES), tsa.roots, kind=MalformedError)


def test_every_changed_byte_is_refused_or_is_outside_of_what_is_signed(tsa, good):
    """Free are the two version numbers and the algorithm's name beside a signature whose key decides it already."""
    whole = read_stamp(good, DATA, tsa.roots)
    free = set()
    for at in range(len(good)):
        for flip in (1, 0x80, 0xFF):
            found = reading(good[:at] + bytes([good[at] ^ flip]) + good[at + 1 :], tsa.roots)
            if found is not None:
                assert found == whole, "what is not signed never changes what is told"
                free.add(at)
    assert free <= unsigned(good)
    assert len(good) - len(free) > 0.95 * len(good)


def unsigned(token):
    """Return the places of version numbers and of the signature's algorithm."""
    version, name = der(2, b"\x03"), bytes.fromhex("06082a8648ce3d040302")  # ecdsa-with-SHA256
    signer = token.rindex(der(2, b"\x01") + b"\x30")
    last = token.rindex(name)
    return {token.index(version) + 2, signer + 2, *range(last, last + len(name))}


def test_a_certificate_that_nobody_needs_may_be_anything_and_changes_nothing(tsa):
    token = tsa.stamp(DATA, "good", "root")
    changed = token.replace(b"Akar Uji", b"Akar Ujj", 1)
    whole = read_stamp(token, DATA, tsa.roots)
    assert reading(changed, tsa.roots) in {whole, None}


@given(st.binary(max_size=400))
def test_no_bytes_at_all_raise_anything_else(data):
    assert reading(data, b"") is None
    assert in_der_order(data) == data


@given(st.data())
def test_mangled_stamps_raise_nothing_else(tsa_once, data):
    roots, token = tsa_once
    start = data.draw(st.integers(0, len(token)))
    end = data.draw(st.integers(start, min(len(token), start + 40)))
    mangled = token[:start] + data.draw(st.binary(max_size=40)) + token[end:]
    found = reading(mangled, roots)
    assert found is None or found == read_stamp(token, DATA, roots)


@pytest.fixture(scope="module")
def tsa_once(tsa, good):
    return tsa.roots, good


def test_the_imprint_is_what_sha_256_says(good):
    assert good.count(sha256(DATA).digest()) == 1
