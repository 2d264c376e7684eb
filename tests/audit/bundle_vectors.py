"""Makes tests/vectors/bundle/*.json: bundles of a small real ledger, whole and broken, and what a verifier says.

    PYTHONPATH=. .venv/bin/python tests/audit/bundle_vectors.py [BOOK ...]

Every secret and every id comes from one seed, so the same code makes the same vectors (but for the one ML-DSA-44
signature in `policies`, whose making is randomised); run it again when the README of bundles or the form of an event
changes. Named books alone are written, and no list, so that a new book leaves the others as they are. A vector is

    {name, zip (base64), pins: {genesis, origin, ledgers (base64), ledgers_key, ledger_keys, policy (base64)}, result, reasons,
     python_only, browser_only}

`reasons` are codes that must be among those told; `python_only` and `browser_only` are for one of the two. Where the two verifiers
rightly differ, `browser` or `python` holds the result and reasons of that one. Lists of ledgers by themselves are
`list_vectors.py`'s.
"""

import json
import random
import secrets
import sys
import tempfile
from base64 import b64encode
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from app.audit.bundle import README
from app.audit.evidence import gather
from app.canon import b64url_decode, b64url_encode, jcs, sha256
from app.cli.migrate import upgrade
from app.clock import rfc3339_ms
from app.custody.found import public_jwk
from app.custody.serverkeys import ServerKeys
from app.db import Database
from app.ids import new_unit_id
from app.keys.signing import PrivateKey
from app.ledger.directory import HEADER, LedgerList, Listed, sign_list
from app.ledger.note import NoteSignature, SignatureType, SignerKey
from app.ledger.proof import TlogProof
from app.ledger.tree import root_of
from tests import small as s
from tests.audit import forge
from tests.audit.forge import Files, Forge, bundle, entry, zipped
from tests.audit.journey import with_private
from tests.audit.list_vectors import (
    COSIGNED_AT,
    OTHER_KEY_SEED,
    lists_stranger,
    make_lists,
    signed_text,
    write_books,
)
from tests.custody.town import PEOPLE, Town
from tests.ledger import test_directory as lists

FOLDER = Path(__file__).parents[1] / "vectors" / "bundle"
SEED = 20241126
WITNESSES = [
    SignerKey(f"{name}.example/w1", SignatureType.COSIGNATURE, bytes([n]) * 32)
    for n, name in enumerate(("bawaslu", "polri", "univ"), 0x31)
]
QUANTUM = SignerKey("dkpp.example/w1", SignatureType.MLDSA_COSIGNATURE, b"\x41" * 32)
NEW_KEY_SEED = b"\x51" * 32


class Hamlet(Town):
    """A town of six people and a dozen labels; `held_service` is the service's key, for what only it may sign."""

    held_service: PrivateKey

    def settle(self) -> Self:
        for name in ("kpu1", "kpu2", "ppk1", "ppk2", "pol", "bws"):
            officer, agency, role, place, alg = PEOPLE[name]
            setattr(self, name, self.enrol(officer, agency, role, place, alg=alg))
        self.blanks = self.labels(self.kpu1, 12)
        return self


@dataclass
class Story:
    """One unit's bundle: the ledger it is from, which leaves, and the files that are not leaves or proofs."""

    forge: Forge
    unit: str
    genesis: str
    indexes: list[int]
    extra: Files
    phones: Any = None
    policy: str = ""

    def copy(self) -> "Story":
        return Story(
            self.forge.copy(),
            self.unit,
            self.genesis,
            list(self.indexes),
            dict(self.extra),
            self.phones,
            self.policy,
        )

    def files(self, *, checkpoint: bytes | None = None, short: bool = True) -> Files:
        return {**self.forge.files(self.indexes, checkpoint=checkpoint, short=short), **self.extra}

    def zip(self, files: Files | None = None, *, deflate: bool = False, **changes: Any) -> bytes:
        about = changes.pop("unit", self.unit)
        return bundle(self.files() if files is None else files, about, self.genesis, deflate=deflate, **changes)

    def index_of(self, type_: str, nth: int = 0) -> int:
        """Return the leaf index of the bundle's nth event of a type."""
        return [i for i in self.indexes if self.payload(i)["type"] == type_][nth]

    def payload(self, index: int) -> Any:
        return json.loads(b64url_decode(self.forge.parsed(index)["event"]["payload"]))

    def hash_of(self, index: int) -> str:
        return b64url_encode(sha256(b64url_decode(self.forge.parsed(index)["event"]["payload"])))

    def append(self, signed: Any, links: Iterable[Any] = ()) -> int:
        """Append an event as accepted and take it into the bundle."""
        at = rfc3339_ms(self.phones.tick())
        index = self.forge.append(signed.jws, links=links, at=at, policy=self.policy)
        self.indexes.append(index)
        return index


@dataclass
class Book:
    """The vectors of one file."""

    name: str
    made: list[dict[str, Any]] = field(default_factory=list)

    def add(
        self, name: str, data: bytes, result: str, *reasons: str, genesis: str | None = None, python_only: bool = False, browser_only: bool = False,
        browser: tuple[str, ...] = (), python: tuple[str, ...] = (), **pins: Any,
    ) -> None:  # fmt: skip
        vector: dict[str, Any] = {
            "name": name, "zip": b64encode(data).decode(),
            "pins": {**({"genesis": genesis} if genesis else {}), **pins},
            "result": result, "reasons": list(reasons), "python_only": python_only, "browser_only": browser_only,
        }  # fmt: skip
        for side, told in (("browser", browser), ("python", python)):
            if told:
                vector[side] = {"result": told[0], "reasons": list(told[1:])}
        self.made.append(vector)


# -- the ledger ----------------------------------------------------------------------------------------


def play(folder: Path) -> dict[str, Story]:
    """Play a little and return the stories of a lot, and of a box that travelled in a load."""
    upgrade(f"sqlite:///{folder / 'custody.db'}")
    db = Database(f"sqlite:///{folder / 'custody.db'}")
    town = Hamlet(db, folder / "house").settle()
    lot = town.lot(100)
    town.ok(with_private(town, "coordinates", b'{"lat":117400}', [lot]))
    box, load = town.box(), town.load()
    town.ok(town.pack(load, box))
    release = town.release([load])
    town.ok(release)
    town.ok(town.accept(release.hash, [load]))
    town.ok(town.act(town.ppk1, "unit.unpack", {"parent": load}, [box], place=s.PPK, ppk2="second"))
    keys = ServerKeys.load(town.settings.data_dir / "keys")
    town.held_service = keys.service
    with db.read() as session:
        leaves = town.recorder.reader.leaves_at(session, range(town.size()))
        found = {
            name: gather(session, town.recorder.ledger_id, unit, private=True)
            for name, unit in (("lot", lot), ("box", box))
        }
    ledger = Forge([leaves[i] for i in sorted(leaves)], keys.ledger)
    policy = str(town.one("SELECT policy FROM ledger_state"))
    stories = {}
    for name, one in found.items():
        extra = {k: v for k, v in one.files().items() if k.startswith(("documents/", "private/"))}
        extra["README.txt"] = README.encode()
        stories[name] = Story(ledger, one.unit, one.genesis, sorted(one.leaves), extra, town, policy)
    town.leave()
    return stories


def service_phone(story: Story) -> Any:
    """Return the service's key in our hand."""
    town = story.phones
    phone = type(town.kpu1)(town.held_service, "SERVICE", "SERVICE", town.origin, s.ELECTION, s.CITY)
    phone.seen = town.kpu1.seen
    return phone


# -- the vectors ---------------------------------------------------------------------------------------


def whole(stories: dict[str, Story]) -> Book:
    """What passes, and what pins decide."""
    book, lot, box = Book("whole"), stories["lot"], stories["box"]
    genesis, key = lot.genesis, lot.forge.keys[0].verifier().to_text()
    book.add("a lot with an opened private content", lot.zip(), "PASS", "not_latest", "not_revoked", genesis=genesis)
    book.add("a box that travelled in a load", box.zip(), "PASS", "not_latest", genesis=genesis)
    book.add("something compressed", lot.zip(deflate=True), "FAIL", "bundle_entry", genesis=genesis)
    book.add(
        "origin and ledger key pinned", lot.zip(), "PASS", genesis=genesis, origin=lot.forge.origin, ledger_keys=[key]
    )
    closed = lot.copy()
    closed.extra = {name: data for name, data in closed.extra.items() if not name.startswith("private/")}
    book.add("private contents withheld", closed.zip(), "PASS", genesis=genesis)
    book.add("no genesis pinned", lot.zip(), "INCOMPLETE", "genesis_not_pinned")
    book.add("another genesis pinned", lot.zip(), "FAIL", "genesis_mismatch", genesis="A" * 43)
    book.add(
        "another origin pinned", lot.zip(), "FAIL", "origin_mismatch", genesis=genesis, origin="other.example/ledger/x"
    )
    other = SignerKey(lot.forge.origin, SignatureType.NOTE, OTHER_KEY_SEED).verifier().to_text()
    book.add(
        "another ledger key pinned", lot.zip(), "FAIL", "ledger_key_mismatch", genesis=genesis, ledger_keys=[other]
    )
    absent = lot.copy()
    absent.indexes.remove(lot.index_of("key.enrol"))
    book.add("the enrolment of a signer left out", absent.zip(), "INCOMPLETE", "unknown_key", genesis=genesis)
    absent = lot.copy()
    absent.indexes.remove(0)
    book.add("the genesis left out", absent.zip(), "FAIL", "genesis_missing", genesis=genesis)
    return book


def signatures(stories: dict[str, Story]) -> Book:
    """Signatures of events and keys, in a ledger that includes them all the same."""
    book, base = Book("signatures"), stories["lot"]
    index = base.index_of("unit.commission")  # signed by an Ed25519 and an ES256 key
    event = base.forge.parsed(index)["event"]

    def bent(name: str, signatures: list[Any], *reasons: str, payload: str | None = None) -> None:
        story = base.copy()
        story.forge.change(index, event={"payload": payload or event["payload"], "signatures": signatures})
        book.add(name, story.zip(), "FAIL", *reasons, genesis=base.genesis)

    def with_header(one: Any, **changes: Any) -> dict[str, Any]:
        header = {**json.loads(b64url_decode(one["protected"])), **changes}
        return {**one, "protected": b64url_encode(jcs(header))}

    first, second = event["signatures"]
    for name, one, other in (("Ed25519", first, second), ("ES256", second, first)):
        raw = bytearray(b64url_decode(one["signature"]))
        raw[10] ^= 1
        bent(f"one bit of an {name} signature", [{**one, "signature": b64url_encode(bytes(raw))}, other], "signature")
    raw = b64url_decode(first["signature"])
    order = 2**252 + 27742317777372353535851937790883648493
    high = (int.from_bytes(raw[32:], "little") + order).to_bytes(32, "little")
    bent("S beyond the group's order", [{**first, "signature": b64url_encode(raw[:32] + high)}, second], "signature")
    small = bytes([1]) + bytes(31)
    bent("R of small order", [{**first, "signature": b64url_encode(small + raw[32:])}, second], "signature")
    bent(
        "two signatures swapped",
        [{**first, "signature": second["signature"]}, {**second, "signature": first["signature"]}],
        "signature",
    )
    bent("a header that names another algorithm", [with_header(first, alg="ES256"), second], "key_alg")
    bent("a header that names none", [with_header(first, alg="none"), second], "jws_alg")
    bent("a header with its own key", [with_header(first, jwk={}), second], "jws_header")
    bent("a signature for another purpose", [with_header(first, typ="receipt+json"), second], "jws_typ")
    bent("a signature left out", [first], "signature_set")
    bent("a signature twice", [first, first], "jws_duplicate_kid")
    bent("standard base64 in a signature", [{**first, "signature": first["signature"][:-2] + "+A"}, second], "base64")
    bent(
        "a payload of other bytes",
        [first, second],
        "signature",
        payload=b64url_encode(b64url_decode(event["payload"]) + b" "),
    )
    story = stories["lot"].copy()
    town = story.phones
    founder, other = (_again(phone) for phone in town.founders)
    told = {"kid": town.kpu1.kid, "reason": "stolen"}
    story.append(founder.sign("key.revoke", told, at_ms=town.tick(), capacity="approver", with_={other: "approver"}))
    story.append(
        _again(town.kpu1).sign(
            "sighting",
            {"source": "camera"},
            at_ms=town.tick(),
            units=[story.unit],
            capacity="witness",
            place=s.WAREHOUSE,
        )
    )
    _link(story)
    book.add("a revoked key's event taken as accepted", story.zip(), "FAIL", genesis=base.genesis,
             browser=("FAIL", "key_revoked"), python=("FAIL", "verdict"))  # fmt: skip
    return book


def _again(phone: Any) -> Any:
    """Return a phone as it is now, so that what a vector signs moves no other vector's sequence."""
    return type(phone)(
        phone.key,
        phone.officer,
        phone.agency,
        phone.origin,
        phone.election,
        phone.place,
        phone.seq,
        phone.prev,
        phone.seen,
    )


def _link(story: Story) -> None:
    """Let the last leaf go on in the chain of the story's unit."""
    links = [link for leaf in story.forge.leaves for link in json.loads(leaf)["links"] if link["unit"] == story.unit]
    before = next(
        i for i, leaf in reversed(list(enumerate(story.forge.leaves))) if links[-1] in json.loads(leaf)["links"]
    )
    link = {"unit": story.unit, "seq": links[-1]["seq"] + 1, "prev": b64url_encode(story.forge.hashes[before])}
    story.forge.change(len(story.forge.leaves) - 1, links=[link])


def proofs(stories: dict[str, Story]) -> Book:
    """Proofs of something else, and chains with something missing."""
    book, base = Book("proofs"), stories["lot"]
    index, last = base.index_of("unit.commission"), max(base.indexes)
    good = TlogProof.parse(base.files()[f"proofs/{index}.tlog-proof"])

    def proof(name: str, made: bytes | None, *reasons: str) -> None:
        files = base.files()
        if made is None:
            del files[f"proofs/{index}.tlog-proof"]
        else:
            files[f"proofs/{index}.tlog-proof"] = made
        book.add(name, base.zip(files), "FAIL", *reasons, genesis=base.genesis)

    text = good.to_bytes()
    flipped = bytes([good.path[1][0] ^ 1]) + good.path[1][1:]
    proof("no proof", None, "proof_missing")
    proof("the proof of another leaf", base.files()[f"proofs/{last}.tlog-proof"], "inclusion_proof")
    proof(
        "one bit of a hash",
        TlogProof(index, (good.path[0], flipped, *good.path[2:]), good.checkpoint).to_bytes(),
        "inclusion_proof",
    )
    proof("a hash too few", TlogProof(index, good.path[:-1], good.checkpoint).to_bytes(), "inclusion_proof")
    proof("a hash too many", TlogProof(index, (*good.path, bytes(32)), good.checkpoint).to_bytes(), "inclusion_proof")
    proof("extra data", TlogProof(index, good.path, good.checkpoint, b"x").to_bytes(), "inclusion_proof")
    proof("an index with a leading zero", text.replace(b"\nindex ", b"\nindex 0"), "decimal")
    proof("another version", text.replace(b"@v1", b"@v2"), "tlog_proof")
    proof("a hash in url-safe base64", text.replace(b"=\n", b"\n", 1), "base64")
    smaller = base.copy()
    smaller.forge.leaves.pop()
    proof(
        "a proof for an earlier size",
        TlogProof(index, smaller.forge.path(index), smaller.forge.note()).to_bytes(),
        "inclusion_proof",
    )
    story = base.copy()
    story.indexes.remove(base.index_of("inspection"))
    book.add("a gap in the chain", story.zip(), "FAIL", "chain", genesis=base.genesis)
    story = base.copy()
    _relink(story, base.index_of("inspection"), seq=1, prev="A" * 43)
    book.add("a fork of the chain", story.zip(), "FAIL", "chain", genesis=base.genesis)
    book.add(
        "a bundle about a unit that it does not hold",
        base.zip(unit=stories["box"].unit),
        "FAIL",
        "chain_missing",
        genesis=base.genesis,
    )
    story = base.copy()
    story.forge.leaves.append(story.forge.leaves[index])
    story.indexes.append(len(story.forge.leaves) - 1)
    book.add("an event twice", story.zip(), "FAIL", "event_repeated", genesis=base.genesis)
    story = stories["box"].copy()
    story.indexes.remove(story.index_of("custody.release"))
    book.add("a gap in the chain of the load", story.zip(), "FAIL", "chain", genesis=base.genesis)
    files = base.files()
    name = next(name for name in files if name.startswith("private/"))
    salt = json.loads(files[name])["salt"]
    files[name] = jcs({"salt": salt, "body": b64url_encode(b'{"lat":1}')})
    book.add("a private content that opens nothing", base.zip(files), "FAIL", "commitment", genesis=base.genesis)
    return book


def _relink(story: Story, index: int, **changes: Any) -> None:
    links = story.forge.parsed(index)["links"]
    story.forge.change(index, links=[{**link, **changes} if link["unit"] == story.unit else link for link in links])


def checkpoints(stories: dict[str, Story]) -> Book:
    """Notes that the ledger did not sign so."""
    book, base = Book("checkpoints"), stories["lot"]
    genesis = base.genesis

    def note(name: str, made: bytes, *reasons: str, **changes: Any) -> None:
        files = base.files(checkpoint=made, short=False)
        book.add(name, base.zip(files, **changes), "FAIL", *reasons, genesis=genesis)

    stranger = base.copy()
    stranger.forge.keys = [SignerKey(base.forge.origin, SignatureType.NOTE, OTHER_KEY_SEED)]
    note("a checkpoint by another key", stranger.forge.note(), "note_signature")
    good = base.forge.note()
    line = forge.Note.parse(good).signatures[0]
    blob = bytes([line.blob[0] ^ 1]) + line.blob[1:]
    note(
        "one bit of the signature",
        forge.Note(forge.Note.parse(good).text, (NoteSignature(line.name, line.key_id, blob),)).to_bytes(),
        "note_signature",
    )
    note("a carriage return", good.replace(b"\n", b"\r\n", 1), "note")
    text = base.forge.text()
    note("an extension line", base.forge.note(text=text + "extra\n"), "checkpoint")
    note("a size with a leading zero", base.forge.note(text=text.replace("\n", "\n0", 1)), "decimal",
         size=len(base.forge.leaves))  # fmt: skip
    note(
        "the size of a larger tree",
        base.forge.note(text=base.forge.text(size=9 * len(base.forge.leaves))),
        "inclusion_proof",
    )
    note("another origin", base.forge.note(text=base.forge.text(origin="other.example/ledger/x")),
         "checkpoint_origin", ledger=base.forge.origin)  # fmt: skip
    book.add("a manifest that tells another size", base.zip(size=1), "FAIL", "bundle_manifest", genesis=genesis)
    other = base.copy()
    other.forge = Forge([*base.forge.leaves[:-1], base.forge.leaves[1]], base.forge.keys[0])
    files = base.files()
    files["checkpoint"] = other.forge.note()
    book.add("proofs under another signed checkpoint", base.zip(files), "FAIL", "inclusion_proof", genesis=genesis)
    return book


def shapes(stories: dict[str, Story]) -> Book:
    """Bytes that are no bundle, or not in the one spelling that there is."""
    book, base = Book("shapes"), stories["lot"]
    genesis, good = base.genesis, base.zip()
    files = base.files()
    told = forge.manifest(files, base.unit, genesis)
    index = base.index_of("unit.commission")
    leaf = base.forge.leaves[index]

    def add(name: str, data: bytes, *reasons: str, **how: Any) -> None:
        book.add(name, data, "FAIL", *reasons, genesis=genesis, **how)

    def leaf_bytes(name: str, made: bytes, *reasons: str) -> None:
        story = base.copy()
        story.forge.leaves[index] = made
        add(name, story.zip(), *reasons)

    def manifest_bytes(name: str, made: bytes, *reasons: str) -> None:
        add(name, zipped(entry(n, d) for n, d in sorted({**files, "manifest.json": made}.items())), *reasons)

    add("nothing", b"", "bundle_zip")
    add("text", b"PASS\n", "bundle_zip")
    add("cut off in the middle", good[: len(good) // 2], "bundle_zip")
    add("its last byte missing", good[:-1], "bundle_zip")
    add("a byte in front", b"\0" + good, "bundle_zip")
    add("a byte behind", good + b"\0", "bundle_zip")
    leaf_bytes("a leaf that is not canonical", leaf.replace(b'{"event"', b'{ "event"'), "leaf_canonical")
    leaf_bytes("a name twice in a leaf", leaf[:-1] + b',"v":1}', "json_duplicate_name")
    leaf_bytes("a fraction in a leaf", leaf.replace(b'"v":1,"verdict"', b'"v":1.0,"verdict"'), "json_float")
    leaf_bytes("a newer leaf", leaf.replace(b'"v":1,"verdict"', b'"v":2,"verdict"'), "leaf_version")
    leaf_bytes("another member in a leaf", leaf.replace(b'"v":1,"verdict"', b'"u":1,"v":1,"verdict"'), "leaf_shape")
    leaf_bytes("a leaf of too many bytes", leaf[:-1] + b',"w":"' + b"w" * 65_535 + b'"}', "json_too_large")
    spare = base.forge.parsed(index)["event"]["signatures"][0][
        "signature"
    ]  # 86 characters, of the last one two bits count
    sibling = spare[:-1] + chr(ord(spare[-1]) + 1)
    leaf_bytes("spare bits in base64", leaf.replace(spare.encode(), sibling.encode()), "base64")
    links = base.forge.parsed(index)["links"]
    leaf_bytes("links of what was refused", jcs({**base.forge.parsed(index), "links": links, "verdict": {
        "result": "refused", "code": "x", "rules": 1, "policy": base.policy}}), "leaf_shape")  # fmt: skip
    manifest_bytes("a name twice in the manifest", told[:-1] + b',"v":1}', "json_duplicate_name")
    manifest_bytes("a byte order mark", b"\xef\xbb\xbf" + told, "json_encoding")
    manifest_bytes("white space in the manifest", told.replace(b":", b": ", 1), "bundle_manifest")
    manifest_bytes(
        "the manifest of fewer files",
        forge.manifest({n: d for n, d in files.items() if "leaves/0" not in n}, base.unit, genesis),
        "bundle_manifest",
    )
    add("no manifest", zipped(entry(n, d) for n, d in files.items()), "bundle_manifest")
    add("a file that does not belong", base.zip({**files, "evil.js": b"x"}), "bundle_names")
    add("a file outside", base.zip({**files, "../checkpoint": b"x"}), "bundle_names")
    add("an index with a leading zero", base.zip({**files, "leaves/01.json": leaf}), "bundle_names")
    add("another README", base.zip({**files, "README.txt": b"Trust me.\n"}), "bundle_readme")
    name = next(name for name in files if name.startswith("documents/"))
    add("another document", base.zip({**files, name: b"{}"}), "bundle_document")
    add("no checkpoint", base.zip(files).replace(b"checkpoint", b"checkpoinT"), "bundle_names")
    _containers(add, files | {"manifest.json": told})
    return book


def _containers(add: Callable[..., None], files: Files) -> None:
    """Bend the zip itself; what only a browser refuses is told apart by an entry's meaning being the same."""
    names = sorted(files)

    def made(bent: str = "checkpoint", how: dict[str, Any] | None = None, **more: Any) -> bytes:
        return zipped((entry(n, files[n], **((how or {}) if n == bent else {})) for n in names), **more)

    link = {"attributes": 0o120777 << 16}
    add("an entry that is a link", made(how=link), "bundle_entry")
    add("an entry that is encrypted", made(how={"flags": 1}), "bundle_entry")
    add("an entry packed by another method", made(how={"method": 12}), "bundle_entry")
    add("an entry whose checksum is wrong", made(how={"crc": 1}), "bundle_zip")
    add(
        "an entry longer than it says",
        made(how={"size": len(files["checkpoint"]) - 1}),
        python=("FAIL",),
        browser=("FAIL",),
    )
    add(
        "an entry that unpacks to far more",
        zipped([entry("leaves/0.json", b"0" * 500_000, method=8, packed=forge.zlib.compress(b"0" * 500_000, 9)[2:-4])]),
        "bundle_entry",
    )
    add(
        "a file named twice",
        zipped([*(entry(n, files[n]) for n in names), entry("checkpoint", files["checkpoint"])]),
        "bundle_names",
    )
    add("a local name that differs", made(how={"local": {"name": b"checkpoinT"}}), "bundle_zip")
    add("a comment on the zip", made(comment=b"x"), "bundle_zip")


def loose(stories: dict[str, Story]) -> Book:
    """Zips with the right files in another spelling."""
    book, base = Book("loose_zips"), stories["lot"]
    files = base.files()
    files["manifest.json"] = forge.manifest(files, base.unit, base.genesis)
    names = sorted(files)

    def add(name: str, data: bytes) -> None:
        book.add(name, data, "FAIL", "bundle_zip", genesis=base.genesis)

    def made(how: dict[str, Any], **more: Any) -> bytes:
        return zipped((entry(n, files[n], **(how if n == "checkpoint" else {})) for n in names), **more)

    add("another time of a file", made({"date": 0x5800}))
    add("a gap between entries", made({"gap": b"hidden"}))
    add("bytes before the directory", made({}, before_central=b"hidden"))
    add("an extra field", made({"extra": b"\xfe\xca\x02\0hi"}))
    add("a comment on a file", made({"comment": b"hi"}))
    add("other attributes", made({"attributes": 0o100600 << 16}))
    packed = entry("checkpoint", files["checkpoint"])["packed"]
    add("the whole zip behind another", base.zip() + base.zip())
    book.add("junk after what is stored", made({"packed": packed + b"junk"}), "FAIL", genesis=base.genesis)
    return book


def policies(stories: dict[str, Story]) -> Book:
    """Witnesses, and whose word counts."""
    book, base = Book("policies"), stories["lot"]
    genesis, key = base.genesis, base.forge.keys[0].verifier().to_text()
    lines = [f"log {key}", *(f"witness w{n} {w.verifier().to_text()}" for n, w in enumerate(WITNESSES, 1))]
    two = _policy(*lines, "group lembaga 2 w1 w2 w3", "quorum lembaga")

    def add(
        name: str, witnesses: Iterable[SignerKey], policy: bytes | None, result: str, *reasons: str, **how: Any
    ) -> None:
        note = how.pop("note", None) or base.forge.note([(w, COSIGNED_AT + n) for n, w in enumerate(witnesses)])
        story = base.copy()
        story.extra |= how.pop("extra", {})
        pins = {"policy": b64encode(policy).decode()} if policy is not None else {}
        book.add(name, story.zip(story.files(checkpoint=note)), result, *reasons, genesis=genesis, **how, **pins)

    add("three cosignatures of three, two are needed", WITNESSES, two, "PASS")
    add("two cosignatures of three", WITNESSES[1:], two, "PASS")
    add("one cosignature of three", WITNESSES[:1], two, "INCOMPLETE", "quorum")
    add("no cosignature", [], two, "INCOMPLETE", "quorum")
    add("no witness is asked for", [], _policy(lines[0], "quorum none"), "PASS")
    nested = _policy(*lines, "group a any w1 w2", "group b all w3", "group both all a b", "quorum both")
    add("groups of groups, met", [WITNESSES[0], WITNESSES[2]], nested, "PASS")
    add("groups of groups, not met", WITNESSES[:2], nested, "INCOMPLETE", "quorum")
    text = base.forge.text()
    wrong = WITNESSES[2].cosign(text, COSIGNED_AT)
    blob = wrong.blob[:-1] + bytes([wrong.blob[-1] ^ 1])
    note = forge.with_lines(
        base.forge.note([(w, COSIGNED_AT) for w in WITNESSES[:2]]), NoteSignature(wrong.name, wrong.key_id, blob)
    )
    add("two right cosignatures and a wrong one", [], two, "FAIL", "note_signature", note=note)
    stranger = SignerKey("nobody.example/w1", SignatureType.COSIGNATURE, OTHER_KEY_SEED)
    add("a stranger's cosignature beside one", [WITNESSES[0], stranger], two, "INCOMPLETE", "quorum")
    twice = forge.with_lines(base.forge.note([(WITNESSES[0], COSIGNED_AT)]), WITNESSES[0].cosign(text, COSIGNED_AT + 9))
    add("one witness twice", [], two, "INCOMPLETE", "quorum", note=twice)
    other = SignerKey(base.forge.origin, SignatureType.NOTE, OTHER_KEY_SEED).verifier().to_text()
    add(
        "a policy with another key of this ledger",
        WITNESSES,
        _policy(f"log {other}", *lines[1:], "quorum none"),
        "FAIL",
        "ledger_key_mismatch",
    )
    quantum = _policy(lines[0], f"witness q {QUANTUM.verifier().to_text()}", "quorum q")
    add(
        "an ML-DSA-44 cosignature",
        [QUANTUM],
        quantum,
        "PASS",
        browser=("INCOMPLETE", "quorum_unchecked", "cosignature_unchecked"),
    )
    add(
        "a policy in the bundle decides nothing",
        WITNESSES[:1],
        None,
        "PASS",
        "policy_not_pinned",
        extra={"policy": two},
    )
    add(
        "a pinned policy beside the one in the bundle",
        WITNESSES[:1],
        two,
        "INCOMPLETE",
        "quorum",
        extra={"policy": _policy(lines[0], "quorum none")},
    )
    return book


def _policy(*lines: str) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def heads(stories: dict[str, Story]) -> Book:
    """Proofs that nothing newer was there."""
    book, base = Book("heads"), stories["lot"]
    genesis, unit = base.genesis, base.unit
    records, hashes = forge.head_tree(base.forge.leaves)

    def commit(story: Story, signer: Any = None, **changes: Any) -> int:
        told = {
            "size": len(story.forge.leaves),
            "root": b64url_encode(root_of(hashes)),
            "n": len(records) - 1,
            **changes,
        }
        phone = signer or service_phone(story)
        return story.append(phone.sign("heads.commit", told, at_ms=story.phones.tick(), capacity="witness"))

    def add(name: str, story: Story, head: bytes, result: str, *reasons: str, **how: Any) -> None:
        story.extra[f"heads/{how.pop('unit', unit)}.json"] = head
        book.add(name, story.zip(), result, *reasons, genesis=genesis, **how)

    story = base.copy()
    good = forge.head_file(records, hashes, unit, commit(story))
    add("the latest event is proven", story, good, "PASS", "latest")
    parsed = json.loads(good)
    for name, changes in {
        "a bit of the path": {
            "path": [
                b64url_encode(bytes([b64url_decode(parsed["path"][0])[0] ^ 1]) + b64url_decode(parsed["path"][0])[1:]),
                *parsed["path"][1:],
            ]
        },
        "a path too short": {"path": parsed["path"][:-1]},
        "another position": {"position": parsed["position"] - 1},
        "an event earlier": {"record": {**parsed["record"], "seq": parsed["record"]["seq"] - 1}},
        "the record of another unit": json.loads(
            forge.head_file(records, hashes, stories["box"].unit, parsed["commit"])
        ),
        "a commitment that is not there": {"commit": parsed["commit"] + 1},
        "a leaf that is no commitment": {"commit": 1},
        "a member more": {"more": 1},
    }.items():
        add(name, story.copy(), jcs({**parsed, **changes}), "FAIL", "heads")
    add("white space", story.copy(), good.replace(b":", b": ", 1), "FAIL", "heads")
    cut = story.copy()
    newest = max(i for i in base.indexes if any(link["unit"] == unit for link in base.forge.parsed(i)["links"]))
    cut.indexes.remove(newest)
    cut.extra = {name: data for name, data in cut.extra.items() if not name.startswith("private/")}
    add("the newest event left out", cut, good, "FAIL", "heads")
    forged = base.copy()
    add("a commitment by an officer", forged, forge.head_file(records, hashes, unit, commit(forged, _again(forged.phones.kpu1))), "FAIL",
        "heads")  # fmt: skip
    later = base.copy()
    add(
        "a commitment to a size that was not there",
        later,
        forge.head_file(records, hashes, unit, commit(later, size=10**6)),
        "FAIL",
        "heads",
    )
    return book


def _rekeyed(base: Story, *rounds: list[SignerKey]) -> Story:
    """Return the story with a rotation by its founders for each round."""
    story, town = base.copy(), base.phones
    first, second = (_again(phone) for phone in town.founders)
    for keys in rounds:
        told = {"keys": [key.verifier().to_text() for key in keys]}
        story.append(
            first.sign("ledger.rekey", told, at_ms=town.tick(), capacity="approver", with_={second: "approver"})
        )
    return story


def additions(stories: dict[str, Story]) -> Book:
    """Keys that change after the genesis, and files that came to the format later."""
    book, base = Book("additions"), stories["lot"]
    genesis, old = base.genesis, base.forge.keys[0]
    new = SignerKey(base.forge.origin, SignatureType.NOTE, NEW_KEY_SEED)

    def rekeyed(*rounds: list[SignerKey]) -> Story:
        return _rekeyed(base, *rounds)

    def signed(name: str, story: Story, keys: list[SignerKey], result: str, *reasons: str) -> None:
        story.forge.keys = keys
        book.add(name, story.zip(), result, *reasons, genesis=genesis)

    signed("two keys in force, both sign", rekeyed([old, new]), [old, new], "PASS")
    signed("two keys in force, the new one signs", rekeyed([old, new]), [new], "PASS")
    signed("the old key retired", rekeyed([old, new], [new]), [new], "PASS")
    signed("the old key signs after it was retired", rekeyed([old, new], [new]), [old], "FAIL", "note_signature")
    story = rekeyed([old, new], [new])
    told = {"event": story.hash_of(story.indexes[-2]), "result": "accepted", "code": ""}
    story.append(service_phone(story).sign("verdict", told, at_ms=story.phones.tick(), capacity="witness"))
    story.forge.keys = [old]
    book.add("a verdict that would bring the old key back", story.zip(), "FAIL", genesis=genesis, browser=("FAIL", "note_signature"))  # fmt: skip
    signed("a key that was never named", rekeyed(), [new], "FAIL", "note_signature")
    story, town = base.copy(), base.phones
    root = PrivateKey.from_seed(b"\x61" * 32)
    joining = type(town.kpu1)(root, "ROOT-POLRES", s.POL, town.origin, s.ELECTION, s.CITY)
    first, second = (_again(phone) for phone in town.founders)
    told = {"agency": s.POL, "name": "Polres", "kind": "police", "jwk": public_jwk(root)}
    story.append(
        first.sign(
            "agency.join", told, at_ms=town.tick(), capacity="approver", with_={second: "approver", joining: "approver"}
        )
    )
    book.add("an agency joined", story.zip(), "PASS", genesis=genesis)
    third = PrivateKey.from_seed(b"\x62" * 32)
    coming = type(town.kpu1)(third, "ADM-3", s.KPU, town.origin, s.ELECTION, s.CITY)
    told = {
        "add": [{"officer": "ADM-3", "agency": s.KPU, "jwk": public_jwk(third)}],
        "remove": [town.founders[1].kid],
        "policy_signers": 1,
    }
    story.append(
        first.sign(
            "founders.change",
            told,
            at_ms=town.tick(),
            capacity="approver",
            with_={second: "approver", coming: "approver"},
        )
    )
    book.add("founders changed", story.zip(), "PASS", genesis=genesis)
    story = base.copy()
    story.extra["verify.html"] = b"<!doctype html>\n"
    book.add("the page that verifies is inside", story.zip(), "PASS", genesis=genesis)
    story = base.copy()
    story.extra["stamps/0.tsr"] = b"0\x03\x02\x01\x00"
    book.add(
        "a stamp that no browser checks", story.zip(), "PASS", "stamp_unchecked", genesis=genesis, browser_only=True
    )
    return book


def ledgers(stories: dict[str, Story]) -> Book:
    """Bundles under a signed list of ledgers, which stands instead of the genesis."""
    book, base, key = Book("ledgers"), stories["lot"], lists.LIST_KEY
    origin, own = base.forge.origin, base.forge.keys[0]
    listed = Listed(origin, base.genesis, own.verifier(), "https://kpu.example/ledger/a")
    many = sign_list(LedgerList(tuple(sorted((*lists.LEDGERS.ledgers, listed), key=lambda one: one.origin))), key)

    def add(name: str, signed: bytes | None, result: str, *reasons: str, **how: Any) -> None:
        data = how.pop("data", None) or base.zip()
        signed_list = b64encode(signed).decode() if signed is not None else None
        pins = {"ledgers": signed_list, "ledgers_key": key.verifier().to_text(), **how}
        book.add(name, data, result, *reasons, **{pin: value for pin, value in pins.items() if value is not None})

    add("a listed ledger among others", many, "PASS", "not_latest")
    add("a ledger that is not listed", lists.SIGNED, "FAIL", "ledger_not_listed")
    add("an empty list", sign_list(LedgerList(()), key), "FAIL", "ledger_not_listed")
    other = Listed(origin, b64url_encode(bytes(32)), own.verifier())
    add("listed with another genesis", sign_list(LedgerList((other,)), key), "FAIL", "genesis_mismatch")
    elsewhere = "other.example/ledger/x"
    stranger = SignerKey(elsewhere, SignatureType.NOTE, OTHER_KEY_SEED).verifier()
    moved = sign_list(LedgerList((Listed(elsewhere, base.genesis, stranger),)), key)
    add("a manifest that names a listed ledger", moved, "FAIL", "origin_mismatch", data=base.zip(ledger=elsewhere))
    renewed = SignerKey(origin, SignatureType.NOTE, NEW_KEY_SEED).verifier()
    later = sign_list(LedgerList((Listed(origin, base.genesis, renewed),)), key)
    add("a list that names the key of after a rotation", later, "PASS")
    add("a list signed by another key", sign_list(LedgerList((listed,)), lists_stranger()), "FAIL", "note_signature")
    add("a key that is none", many, "FAIL", "verifier_key", ledgers_key="nonsense")
    add("a signed text that is no list", signed_text(f"{HEADER}\n\n", key), "FAIL", "ledger_list")
    add("one bit of the list", many[:-9] + bytes([many[-9] ^ 1]) + many[-8:], "FAIL", "note_signature")
    add("a bundle that is none", many, "FAIL", "bundle_zip", data=b"PK junk")
    add("neither a list nor a bundle", b"junk", "FAIL", "note", data=b"PK junk")
    index = base.index_of("unit.commission")
    gone = base.files()
    del gone[f"proofs/{index}.tlog-proof"]
    add("a broken bundle of a listed ledger", many, "FAIL", "proof_missing", data=base.zip(gone))
    quorum = b64encode(_policy(f"witness w {WITNESSES[0].verifier().to_text()}", "quorum w")).decode()
    add("a policy beside the list", many, "INCOMPLETE", "quorum", policy=quorum)
    add("a list and a genesis", many, "INCOMPLETE", "usage", genesis=base.genesis)
    add("a list and an origin", many, "INCOMPLETE", "usage", origin=origin)
    add("a list without its key", many, "INCOMPLETE", "usage", ledgers_key=None)
    add("a key without its list", None, "INCOMPLETE", "usage")
    return book


def rotations(stories: dict[str, Story]) -> Book:
    """Whose signatures on the checkpoint count while the ledger's key rotates, and what pinning one of the keys means.

    In force are the keys that the genesis, or the last rotation below the checkpoint, names. One of them must have
    signed, none of them wrongly. A line in the name of any other key of the ledger is a stranger's. What is pinned, by
    key or by the `log` lines of a policy, must be among the keys in force that signed.
    """
    book, base = Book("rotations"), stories["lot"]
    old = base.forge.keys[0]
    new = SignerKey(base.forge.origin, SignatureType.NOTE, NEW_KEY_SEED)
    before, both, after = base.copy(), _rekeyed(base, [old, new]), _rekeyed(base, [old, new], [new])
    quorum = [f"witness w{n} {w.verifier().to_text()}" for n, w in enumerate(WITNESSES[:2], 1)]

    def junk(key: SignerKey) -> NoteSignature:
        return NoteSignature(key.name, key.verifier().key_id, bytes(64))

    def logs(*keys: SignerKey, witnessed: bool = False) -> dict[str, str]:
        """Pin a policy with these log lines."""
        lines = [f"log {key.verifier().to_text()}" for key in keys]
        lines += [*quorum, "group both all w1 w2", "quorum both"] if witnessed else ["quorum none"]
        return {"policy": b64encode(_policy(*lines)).decode()}

    def keys(*pinned: SignerKey) -> dict[str, list[str]]:
        return {"ledger_keys": [key.verifier().to_text() for key in pinned]}

    def note(
        story: Story, signers: list[SignerKey], *lines: NoteSignature, witnesses: Iterable[SignerKey] = ()
    ) -> bytes:
        signed = story.copy()
        signed.forge.keys = signers
        return forge.with_lines(signed.forge.note([(w, COSIGNED_AT) for w in witnesses]), *lines)

    def add(name: str, story: Story, made: bytes, result: str, *reasons: str, **pins: Any) -> None:
        book.add(name, story.zip(story.files(checkpoint=made)), result, *reasons, genesis=base.genesis, **pins)

    wrong = ("FAIL", "ledger_key_mismatch")
    add("two in force, both sign, a policy names the new one", both, note(both, [old, new]), "PASS", **logs(new))
    add("two in force, both sign, a policy names the old one", both, note(both, [old, new]), "PASS", **logs(old))
    add("two in force, both sign, the new one is pinned", both, note(both, [old, new]), "PASS", **keys(new))
    add("two in force, the old one signs", both, note(both, [old]), "PASS")
    add("two in force, the old one signs, a policy names it", both, note(both, [old]), "PASS", **logs(old))
    add("two in force, the old one signs, a policy names both", both, note(both, [old]), "PASS", **logs(old, new))
    add("two in force, the old one signs, a policy names the new one", both, note(both, [old]), *wrong, **logs(new))
    add("two in force, the old one signs, the new one is pinned", both, note(both, [old]), *wrong, **keys(new))
    add("two in force, the old one signs, both are pinned", both, note(both, [old]), "PASS", **keys(old, new))
    add("two in force, the new one signs, a policy names it", both, note(both, [new]), "PASS", **logs(new))
    add("two in force, the new one signs, a policy names the old one", both, note(both, [new]), *wrong, **logs(old))
    add("two in force, the new one signs, the old one is pinned", both, note(both, [new]), *wrong, **keys(old))
    stolen = note(both, [old], witnesses=WITNESSES[:2])
    add(
        "a thief of the old key with a quorum, a policy names the new one",
        both,
        stolen,
        *wrong,
        **logs(new, witnessed=True),
    )
    add("the same, a policy names the old one", both, stolen, "PASS", **logs(old, witnessed=True))
    add("two in force, one signs wrongly", both, note(both, [old], junk(new)), "FAIL", "note_signature")
    add(
        "two in force, one signs rightly and wrongly", both, note(both, [old, new], junk(new)), "FAIL", "note_signature"
    )

    add("the retired key signs wrongly beside the new one", after, note(after, [new], junk(old)), "PASS")
    add("the same, a policy names the new one", after, note(after, [new], junk(old)), "PASS", **logs(new))
    add("the same, a policy names both", after, note(after, [new], junk(old)), "PASS", **logs(old, new))
    add("the same, both are pinned", after, note(after, [new], junk(old)), "PASS", **keys(old, new))
    add("the same, the retired key is pinned", after, note(after, [new], junk(old)), *wrong, **keys(old))
    add("the retired key signs rightly beside the new one", after, note(after, [old, new]), "PASS")
    add("the same, the new key is pinned", after, note(after, [old, new]), "PASS", **keys(new))
    add("the retired key signs beside the new one and is pinned", after, note(after, [old, new]), *wrong, **keys(old))
    add(
        "the retired key signs beside the new one, a policy names it",
        after,
        note(after, [old, new]),
        *wrong,
        **logs(old),
    )
    add("the retired key signs alone and is pinned", after, note(after, [old]), "FAIL", "note_signature", **keys(old))
    add(
        "the retired key signs alone, a policy names it",
        after,
        note(after, [old]),
        "FAIL",
        "note_signature",
        **logs(old),
    )
    add("the retired key signs, the new one wrongly", after, note(after, [old], junk(new)), "FAIL", "note_signature")

    add("a key that is not named yet signs beside", before, note(before, [old, new]), "PASS")
    add("a key that is not named yet signs wrongly beside", before, note(before, [old], junk(new)), "PASS")
    add("a key that is not named yet signs beside and is pinned", before, note(before, [old, new]), *wrong, **keys(new))
    add(
        "a key that is not named yet signs beside, a policy names it",
        before,
        note(before, [old, new]),
        *wrong,
        **logs(new),
    )
    hasty = _rekeyed(base, [new])
    hasty.forge.change(
        hasty.indexes[-1], verdict={"result": "refused", "code": "ledger_key", "rules": 1, "policy": base.policy}
    )
    add("a key of a refused rotation signs wrongly beside", hasty, note(hasty, [old], junk(new)), "PASS")
    add("a key of a refused rotation signs alone", hasty, note(hasty, [new]), "FAIL", "note_signature")
    add("a key of a refused rotation signs beside and is pinned", hasty, note(hasty, [old, new]), *wrong, **keys(new))

    def proven_by(name: str, story: Story, signers: list[SignerKey], result: str, *reasons: str) -> None:
        """Let one proof hold fewer signatures than the checkpoint, which both keys signed."""
        files, index = story.files(checkpoint=note(story, [old, new])), story.index_of("unit.commission")
        files[f"proofs/{index}.tlog-proof"] = story.forge.proof(index, note(story, signers))
        book.add(name, story.zip(files), result, *reasons, genesis=base.genesis)

    proven_by("two in force, a proof has the signature of one", both, [old], "PASS")
    proven_by("a proof has the retired key's signature alone", after, [old], "FAIL", "inclusion_proof")
    proven_by("a proof has the new key's signature alone", after, [new], "PASS")
    return book


def absences(stories: dict[str, Story]) -> Book:
    """Proofs that no such unit exists."""
    book, base = Book("absences"), stories["lot"]
    nobody = new_unit_id(bytes(10))

    def around(unit: str, leaves: list[bytes], story: Story) -> bytes:
        """Commit to the units of these leaves, and return the record that lies around another one."""
        records, hashes = forge.head_tree(leaves)
        told = {"size": len(base.forge.leaves), "root": b64url_encode(root_of(hashes)), "n": len(records) - 1}
        commit = story.append(
            service_phone(story).sign("heads.commit", told, at_ms=story.phones.tick(), capacity="witness")
        )
        record = next(r for r in records if r["unit"] < unit and (not r["next"] or unit < r["next"]))
        return forge.head_file(records, hashes, record["unit"], commit)

    def add(name: str, unit: str, story: Story, head: bytes, result: str, *reasons: str, about: str = "") -> None:
        story.extra[f"heads/{unit}.json"] = head
        book.add(name, story.zip(unit=about or unit), result, *reasons, genesis=base.genesis)

    def without(unit: str) -> list[bytes]:
        """Return the leaves as if they linked no such unit."""
        parsed = [base.forge.parsed(index) for index in range(len(base.forge.leaves))]
        return [jcs({**one, "links": [link for link in one["links"] if link["unit"] != unit]}) for one in parsed]

    story = base.copy()
    add("a unit that does not exist", nobody, story, around(nobody, story.forge.leaves, story), "PASS", "absent")
    story = base.copy()
    head = around(nobody, story.forge.leaves, story)
    add("another unit does not exist", nobody, story, head, "PASS", "absent", about=base.unit)
    story = base.copy()
    add(
        "a unit that stands in the bundle",
        base.unit,
        story,
        around(base.unit, without(base.unit), story),
        "FAIL",
        "heads",
    )
    story, load = stories["box"].copy(), _container(stories["box"])
    add(
        "a container that stands in the bundle",
        load,
        story,
        around(load, without(load), story),
        "FAIL",
        "heads",
        about=story.unit,
    )
    return book


def _container(story: Story) -> str:
    """Return the unit that the story's unit was packed into."""
    return str(story.forge.parsed(story.index_of("unit.pack"))["links"][-1]["unit"])


BOOKS = (
    whole, signatures, proofs, checkpoints, shapes, loose, policies, heads, additions, ledgers,
    rotations, absences,  # the newest last: time goes on from book to book, and no older vector changes
)  # fmt: skip


def make() -> dict[str, list[dict[str, Any]]]:
    """Make every vector, by file."""
    rng, before = random.Random(SEED), secrets.token_bytes
    secrets.token_bytes = lambda n=32: rng.randbytes(n)  # type: ignore[assignment]
    try:
        with tempfile.TemporaryDirectory() as folder:
            stories = play(Path(folder))
            return {book.name: book.made for book in (write(stories) for write in BOOKS)}
    finally:
        secrets.token_bytes = before


def main() -> None:
    """Write the files, or those that the command line names."""
    named, made = sys.argv[1:], make()
    write_books(FOLDER, {name: made[name] for name in named or made})
    if not named:
        write_books(FOLDER / "lists", make_lists())


if __name__ == "__main__":
    main()
