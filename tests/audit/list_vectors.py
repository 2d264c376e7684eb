"""Makes tests/vectors/bundle/lists/*.json: signed lists of ledgers by themselves, and what Python says of each.

`texts.json` holds {name, text, code} and `notes.json` {name, note (base64), key, code}; the code is null for what is a
list. `bundle_vectors.py` writes them along with the bundles.
"""

import json
import sys
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

from app.canon import b64url_encode
from app.errors import ServiceError
from app.ledger.directory import HEADER, MAX_LEDGERS, LedgerList, Listed, open_list
from app.ledger.note import NoteSignature, SignatureType, SignerKey, VerifierKey
from tests.audit import forge
from tests.ledger import test_directory as lists

COSIGNED_AT = 1_732_600_000
OTHER_KEY_SEED = b"\x52" * 32


def write_books(folder: Path, made: dict[str, list[dict[str, Any]]]) -> None:
    """Write books of vectors, a file each."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, vectors in made.items():
        text = json.dumps(vectors, indent=1, ensure_ascii=False) + "\n"
        (folder / f"{name}.json").write_text(text, encoding="utf-8")
        sys.stdout.write(f"{name}: {len(vectors)} vectors, {len(text)} bytes\n")


def lists_stranger() -> SignerKey:
    """Return another key of the list's name."""
    return SignerKey(lists.LIST_KEY.name, SignatureType.NOTE, OTHER_KEY_SEED)


def signed_text(text: str, key: SignerKey) -> bytes:
    """Sign any text, whether or not a list, or a note, can be made of it."""
    return f"{text}\n{key.sign(text).to_text()}\n".encode()


def texts() -> dict[str, str]:
    """Return texts of lists by name: good ones, and each flaw that `tests/ledger/test_directory.py` knows."""
    first, second = lists.ledger(11), lists.ledger(64)
    astral = [_named("kpu.example/\uff5e", 1), _named("kpu.example/\U0001f5f3", 2)]  # in UTF-16 the other way round
    many = [lists.line(_named(f"l/{n:04}", n + 1)) for n in range(MAX_LEDGERS + 1)]
    shared = SignerKey(second.origin, SignatureType.NOTE, (11).to_bytes(32, "big")).verifier()
    good = ("https://kpu.example:8443/ledger/a", "http://127.0.0.1:8000/ledger/a", "https://kpu.example",
            "https://kpu.example/" + "a" * 480)  # fmt: skip
    return {
        "two ledgers": lists.LEDGERS.to_text(),
        "no ledger": _list(),
        "ordered by code points": _list(*map(lists.line, astral)),
        "1,000 ledgers": _list(*many[:-1]),
        **{f"the address {url[:40]}": _list(f"{lists.GOOD} {url}") for url in good},
        **lists.FLAWS,
        **{f"no address: {url[:40]}": _list(f"{lists.GOOD} {url}") for url in lists.URLS},
        "an address too long by one": _list(f"{lists.GOOD} {good[-1]}a"),
        "a host in two spellings": _list(f"{lists.GOOD} HTTPS://kpu.example/a"),
        "ordered by UTF-16": _list(*map(lists.line, reversed(astral))),
        "1,001 ledgers": _list(*many),
        "two of one genesis": _list(lists.line(first), lists.line(second, genesis=first.genesis)),
        "two of one key": _list(lists.line(first), lists.line(second, key=shared.to_text())),
        "one origin twice": _list(lists.line(first), lists.line(_named(first.origin, 9))),
        "a witness's key": _list(lists.line(second, key=_witness(second.origin).to_text())),
        "another origin than the key's": _list(lists.line(second, origin=first.origin)),
        "a genesis with spare bits": _list(lists.line(second, genesis=second.genesis[:-1] + "B")),
        "a byte order mark in the text": f"\ufeff{lists.LEDGERS.to_text()}",
        "a comment behind": f"{lists.LEDGERS.to_text()}# end\n",
    }


def notes() -> dict[str, tuple[bytes, str]]:
    """Return signed lists and the key that is pinned, by name."""
    key, signed = lists.LIST_KEY, lists.SIGNED
    vkey = key.verifier().to_text()
    witness = SignerKey(key.name, SignatureType.COSIGNATURE, b"\x31" * 32)
    text = lists.LEDGERS.to_text()
    cosigned = f"{text}\n{witness.cosign(text, COSIGNED_AT).to_text()}\n".encode()
    changed = {
        "as it was signed": signed,
        "a stranger's signature beside": forge.with_lines(signed, lists_stranger().sign(text)),
        "cut in the middle": signed[: len(signed) // 2], "its last byte missing": signed[:-1], "nothing": b"",
        "a newline behind": signed + b"\n", "a newline in front": b"\n" + signed, "twice": signed + signed,
        "a byte order mark": b"\xef\xbb\xbf" + signed, "another text": signed.replace(b"-64 ", b"-65 "),
        "too many bytes": signed_text(_list(*["x"] * 33_000), key),
        "signed by another": signed_text(text, lists_stranger()),
        "a second signature, wrong": forge.with_lines(signed, NoteSignature(key.name, key.verifier().key_id, bytes(64))),
    }  # fmt: skip
    return {
        **{name: (data, vkey) for name, data in changed.items()},
        "pinned to another key": (signed, lists_stranger().verifier().to_text()),
        "a witness's cosignature": (cosigned, witness.verifier().to_text()),
        "no key": (signed, ""),
        "a key with another id": (signed, vkey.replace(key.verifier().key_id.hex(), "0" * 8)),
        **{f"signed: {name}": (signed_text(one, key), vkey) for name, one in texts().items() if len(one) < 4096},
    }


def _named(origin: str, n: int) -> Listed:
    key = SignerKey(origin, SignatureType.NOTE, n.to_bytes(32, "big")).verifier()
    return Listed(origin, b64url_encode(n.to_bytes(32, "big")), key)


def _witness(name: str) -> VerifierKey:
    return SignerKey(name, SignatureType.COSIGNATURE, OTHER_KEY_SEED).verifier()


def _list(*lines: str) -> str:
    return "".join(f"{line}\n" for line in (HEADER, *lines))


def code_of(act: Callable[[], Any]) -> str | None:
    """Return the code that an act is refused with, or None."""
    try:
        act()
    except ServiceError as error:
        return error.code
    return None


def make_lists() -> dict[str, list[dict[str, Any]]]:
    """Make the vectors of lists, by file; the codes are what Python says."""
    return {
        "texts": [{"name": name, "text": text, "code": code_of(lambda text=text: LedgerList.parse(text))}
                  for name, text in texts().items()],
        "notes": [{"name": name, "note": b64encode(note).decode(), "key": key,
                   "code": code_of(lambda note=note, key=key: open_list(note, VerifierKey.parse(key)))}
                  for name, (note, key) in notes().items()],
    }  # fmt: skip
