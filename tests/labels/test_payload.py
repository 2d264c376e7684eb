"""What a label says and what a scan of it means."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import MalformedError, RefusedError
from app.labels.payload import ForeignCode, LabelText, label_url, parse_scan

ID = "7K3M9QXA2BTW5R0EK"
HOST = "s.example.go.id"


def test_the_address_is_upper_case_and_fits_version_3_at_level_q() -> None:
    assert label_url(HOST, "7k3m-9qxa-2btw-5roe-k") == f"HTTPS://S.EXAMPLE.GO.ID/U/{ID}"
    assert len(label_url("a" * 19, ID)) == 47


@pytest.mark.parametrize("host", ["localhost:8000", "LOCALHOST", "s.kpu.go.id", "a-b.c--d.id", "10.0.0.7:80"])
def test_a_host_may_be_short_local_or_have_a_port(host: str) -> None:
    assert parse_scan(label_url(host, ID), host) == ID


@pytest.mark.parametrize(
    "host",
    [
        "", "a" * 20, "a_b.id", "a b.id", "a/b", "a@b", "a.id?x", "a..id", ".a", "a.", "-a.id", "a-.id",
        "a:", "a:x", "ſ.id", "é.id", "a%b", "a.id\n",
    ],
)  # fmt: skip
def test_a_bad_short_host_is_refused(host: str) -> None:
    with pytest.raises(RefusedError) as refused:
        label_url(host, ID)
    assert refused.value.code == "short_host"
    with pytest.raises(RefusedError):
        parse_scan(ID, host)


@pytest.mark.parametrize(
    "scan",
    [
        ID, "7K3M 9QXA 2BTW 5R0E K", "7k3m-9qxa-2btw-5roe-k", f"  {ID}\r\n",
        f"HTTPS://S.EXAMPLE.GO.ID/U/{ID}", f"https://s.example.go.id/u/{ID}",
        f"hTTps://S.eXample.GO.id/U/{ID.lower()}", "https://s.example.go.id/u/7k3m-9qxa-2btw-5roe-k",
    ],
)  # fmt: skip
def test_every_spelling_of_our_id_is_ours(scan: str) -> None:
    assert parse_scan(scan, HOST) == ID


@pytest.mark.parametrize(
    "scan",
    ["7K3M9QXA2BTW5R0EZ", "7K3M 9QXA 2BTW 5R0E Z", "https://s.example.go.id/u/7K3M9QXA2BTW5R0EZ"],
)
def test_a_wrong_check_character_is_refused_and_never_foreign(scan: str) -> None:
    with pytest.raises(MalformedError) as refused:
        parse_scan(scan, HOST)
    assert refused.value.code == "label_checksum"


@pytest.mark.parametrize("rest", ["", "7K3M", ID + "0", ID + "/", ID + "?x=1", "x" * 5000])
def test_our_address_with_anything_but_an_id_is_malformed(rest: str) -> None:
    with pytest.raises(MalformedError):
        parse_scan(f"https://{HOST}/u/{rest}", HOST)


@pytest.mark.parametrize(
    "scan",
    [
        "KPU-6474-001-KWK", "https://kpu.go.id/kotak/12", "7K3M9QXA2BTW5R0E", ID + "0", "U" * 17,
        f"http://{HOST}/u/{ID}", f"https://{HOST}:443/u/{ID}", f"https://{HOST}@evil.id/u/{ID}",
        f"https://evil.id/u/{ID}", f"https://{HOST}/x/{ID}", "Kotak é 12", "x" * 128,
        f"https://ſ.example.go.id/u/{ID}",
    ],
)  # fmt: skip
def test_other_codes_are_foreign_and_kept_as_scanned(scan: str) -> None:
    assert parse_scan(f" {scan}\n", HOST) == ForeignCode(scan)


@pytest.mark.parametrize("scan", ["", "   ", "x" * 129, "a\x00b", "a\x1db", "a\u202eb", "a\ud800"])
def test_a_foreign_code_is_bounded_and_printable(scan: str) -> None:
    with pytest.raises(MalformedError) as refused:
        parse_scan(scan, HOST)
    assert refused.value.code == "foreign_code"


@given(st.text(max_size=200))
def test_no_scan_raises_anything_but_malformed(scan: str) -> None:
    try:
        parsed = parse_scan(scan, HOST)
    except MalformedError:
        return
    assert isinstance(parsed, ForeignCode) or len(parsed) == 17


def test_a_label_says_its_part_in_words() -> None:
    assert LabelText(ID, HOST, "Kotak", number=2, total=5).part == "2 dari 5"
    assert not LabelText(ID, HOST, "Kotak").part
    assert LabelText(ID, HOST, "Kotak").url == label_url(HOST, ID)


@pytest.mark.parametrize(("number", "total"), [(0, 5), (6, 5), (-1, 0), (1, 0)])
def test_a_part_outside_its_whole_is_our_own_mistake(number: int, total: int) -> None:
    with pytest.raises(RuntimeError):
        LabelText(ID, HOST, "Kotak", number=number, total=total)


def test_a_label_with_a_folded_id_is_our_own_mistake() -> None:
    with pytest.raises(RuntimeError):
        LabelText(ID.lower(), HOST, "Kotak")
