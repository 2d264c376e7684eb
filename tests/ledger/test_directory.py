"""The signed list of ledgers: one spelling, every change found, nothing that two readers could read differently."""

from dataclasses import replace

import pytest

from app.canon import b64url_encode
from app.errors import MalformedError, ServiceError, UnprovenError
from app.ledger.directory import HEADER, MAX_LEDGERS, LedgerList, Listed, open_list, sign_list
from app.ledger.note import SignatureType, SignerKey

LIST_KEY = SignerKey("kpu.example/ledgers", SignatureType.NOTE, b"\x31" * 32)


def ledger(n: int, url: str = "") -> Listed:
    """Return a province's ledger."""
    origin = f"kpu.example/ledger/pemilu2029-{n:02}"
    key = SignerKey(origin, SignatureType.NOTE, n.to_bytes(32, "big")).verifier()
    return Listed(origin, b64url_encode(n.to_bytes(32, "big")), key, url)


LEDGERS = LedgerList((ledger(11), ledger(64, "https://kpu.example/ledger/pemilu2029-64")))
SIGNED = sign_list(LEDGERS, LIST_KEY)


def test_a_list_comes_back_as_it_was_signed():
    assert open_list(SIGNED, LIST_KEY.verifier()) == LEDGERS
    assert LedgerList.parse(LEDGERS.to_text()) == LEDGERS
    assert LEDGERS.of(LEDGERS.ledgers[1].origin) == LEDGERS.ledgers[1]
    assert LEDGERS.of("kpu.example/ledger/pemilu2029-99") is None
    empty = sign_list(LedgerList(()), LIST_KEY)
    assert open_list(empty, LIST_KEY.verifier()).ledgers == ()


def test_every_changed_byte_is_refused():
    passed = []
    for at in range(len(SIGNED)):
        for change in (1, 0x20, 0x80):
            data = bytearray(SIGNED)
            data[at] ^= change
            try:
                open_list(bytes(data), LIST_KEY.verifier())
            except ServiceError:
                continue
            passed.append((at, change))
    assert not passed
    assert open_list(SIGNED, LIST_KEY.verifier()), "the control: unchanged it opens"


@pytest.mark.parametrize("cut", [0, 1, len(SIGNED) // 2, len(SIGNED) - 1])
def test_what_was_cut_or_padded_is_refused(cut):
    for data in (SIGNED[:cut], SIGNED + b"\n", b"\n" + SIGNED, SIGNED + SIGNED):
        with pytest.raises(ServiceError):
            open_list(data, LIST_KEY.verifier())


def test_only_the_pinned_key_of_the_right_kind_opens_it():
    other = SignerKey(LIST_KEY.name, SignatureType.NOTE, b"\x32" * 32).verifier()
    witness = SignerKey(LIST_KEY.name, SignatureType.COSIGNATURE, b"\x31" * 32).verifier()
    for key in (other, witness):
        with pytest.raises(UnprovenError) as caught:
            open_list(SIGNED, key)
        assert caught.value.code == "note_signature"


def line(one: Listed, **changes: str) -> str:
    words = {"origin": one.origin, "genesis": one.genesis, "key": one.key.to_text(), "url": one.url} | changes
    return " ".join(word for word in words.values() if word)


GOOD = line(ledger(64))
FLAWS = {
    "no header": GOOD + "\n",
    "another version": f"custody-ledgers/v2\n{GOOD}\n",
    "no newline at the end": f"{HEADER}\n{GOOD}",
    "an empty line": f"{HEADER}\n\n{GOOD}\n",
    "a comment": f"{HEADER}\n# {GOOD}\n",
    "carriage returns": f"{HEADER}\r\n{GOOD}\r\n",
    "two spaces": f"{HEADER}\n{GOOD.replace(' ', '  ', 1)}\n",
    "a space at the end": f"{HEADER}\n{GOOD} \n",
    "a tab": f"{HEADER}\n{GOOD.replace(' ', chr(9), 1)}\n",
    "five words": f"{HEADER}\n{GOOD} https://kpu.example/ledger/a b\n",
    "two words": f"{HEADER}\n{GOOD.rpartition(' ')[0]}\n",
    "out of order": f"{HEADER}\n{line(ledger(64))}\n{line(ledger(11))}\n",
    "one ledger twice": f"{HEADER}\n{GOOD}\n{GOOD}\n",
    "another's key": f"{HEADER}\n{line(ledger(64), key=ledger(11).key.to_text())}\n",
    "a padded genesis": f"{HEADER}\n{line(ledger(64), genesis=ledger(64).genesis + '=')}\n",
    "a short genesis": f"{HEADER}\n{line(ledger(64), genesis='A' * 42)}\n",
    "a wrong key id": f"{HEADER}\n{GOOD.replace('+', '+0', 1)}\n",
}
URLS = (
    "https://kpu.example/ledger/a/", "ftp://kpu.example/a", "https://user@kpu.example/a", "https://kpu.example/a?b",
    "https://kpu.example/a#b", "https:///a", "https://kpu.example/é", "//kpu.example/a", "https://[/a", "kpu.example",
    "https://kpu.example/" + "a" * 500, "https://@kpu.example/a", "https://:pw@kpu.example/a", "https://a[::1]b/a", "https://[::1]/a",
    "https://[::1]junk/a", "https://[v1.x]/a", "https://[fe80::1%25eth0]/a", "https://KPU.example/a", "https://kpu.example:/a",
    "https://kpu.example:x/a", "https://kpu.example//a", "https://kpu..example/a", "HTTPS://kpu.example/a",
    "https://kpu.example/a\n",
)  # fmt: skip


@pytest.mark.parametrize("text", FLAWS.values(), ids=FLAWS.keys())
def test_another_spelling_is_no_list(text):
    with pytest.raises(MalformedError):
        LedgerList.parse(text)


@pytest.mark.parametrize("url", [
    "https://kpu.example/ledger/a", "http://127.0.0.1:8000/ledger/a", "https://kpu-64.example", "https://kpu.example/a:b@c",
])  # fmt: skip
def test_an_address_that_is_one_is_taken(url):
    assert LedgerList.parse(f"{HEADER}\n{GOOD} {url}\n").ledgers[0].url == url


@pytest.mark.parametrize("url", URLS)
def test_an_address_has_one_spelling(url):
    with pytest.raises(MalformedError):
        LedgerList.parse(f"{HEADER}\n{GOOD} {url}\n")
    with pytest.raises(MalformedError):
        ledger(64, url)


def test_two_ledgers_share_neither_genesis_nor_key():
    first, second = ledger(11), ledger(64)
    with pytest.raises(MalformedError):
        LedgerList((first, replace(second, genesis=first.genesis)))
    shared = SignerKey(second.origin, SignatureType.NOTE, (11).to_bytes(32, "big")).verifier()
    with pytest.raises(MalformedError):
        LedgerList((first, replace(second, key=shared)))


def test_a_list_is_bounded_and_signed_by_a_key_of_its_own():
    many = tuple(sorted((ledger(n) for n in range(MAX_LEDGERS + 1)), key=lambda one: one.origin))
    with pytest.raises(MalformedError):
        LedgerList(many)
    with pytest.raises(MalformedError):
        LedgerList.parse(f"{HEADER}\n" + "x\n" * (MAX_LEDGERS + 1))
    with pytest.raises(MalformedError):
        sign_list(LEDGERS, SignerKey("kpu.example/ledgers", SignatureType.NOTE, (11).to_bytes(32, "big")))
    with pytest.raises(MalformedError):
        sign_list(LEDGERS, SignerKey("kpu.example/ledgers", SignatureType.COSIGNATURE, b"\x31" * 32))
    with pytest.raises(MalformedError):
        sign_list(LedgerList(many[:MAX_LEDGERS]), LIST_KEY)
