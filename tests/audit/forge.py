"""A ledger in a hand that may do anything with it: every leaf at will, the tree over them, notes, proofs, zips.

What an attacker could write who has this or that key, and what a bundle looks like that honest software wrote;
for vectors and for tests of both verifiers. The zip is the one that `app.audit.bundle` writes, byte for byte, made
here once more so that a test can bend each of its parts.
"""

import json
import stat
import struct
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

from app.canon import JsonValue, b64url_decode, b64url_encode, jcs, sha256
from app.ledger.checkpoint import Checkpoint
from app.ledger.note import Note, NoteSignature, SignerKey
from app.ledger.spelling import encode_base64
from app.ledger.tree import inclusion_path, leaf_hash, root_of

Files = dict[str, bytes]


class Forge:
    """Leaves and the ledger's key."""

    def __init__(self, leaves: Iterable[bytes], key: SignerKey) -> None:
        self.leaves = list(leaves)
        self.keys = [key]
        self.origin = key.name

    def copy(self) -> "Forge":
        other = Forge(self.leaves, self.keys[0])
        other.keys, other.origin = list(self.keys), self.origin
        return other

    # -- leaves --------------------------------------------------------------------------------------

    def parsed(self, index: int) -> Any:

        return json.loads(self.leaves[index])

    def change(self, index: int, **members: Any) -> None:
        """Write other members into a leaf, canonically."""
        self.leaves[index] = jcs({**self.parsed(index), **members})

    def append(self, jws: JsonValue, *, links: Iterable[Mapping[str, Any]] = (), at: str, policy: str) -> int:
        """Append an accepted leaf; nobody judges it."""
        verdict = {"result": "accepted", "code": "", "rules": 1, "policy": policy}
        leaf: Any = {"v": 1, "event": jws, "verdict": verdict, "links": list(links), "received_at": at}
        self.leaves.append(jcs(leaf))
        return len(self.leaves) - 1

    # -- the tree ------------------------------------------------------------------------------------

    @property
    def hashes(self) -> list[bytes]:
        return [leaf_hash(leaf) for leaf in self.leaves]

    def text(self, **changes: Any) -> str:
        told = {"origin": self.origin, "size": len(self.leaves), "root": root_of(self.hashes), **changes}
        return Checkpoint(**told).to_text()

    def note(self, witnesses: Iterable[tuple[SignerKey, int]] = (), text: str | None = None) -> bytes:
        """Sign the checkpoint, by the ledger and by witnesses at their times."""
        text = self.text() if text is None else text
        lines = [key.sign(text) for key in self.keys]
        return Note(text, (*lines, *(key.cosign(text, at) for key, at in witnesses))).to_bytes()

    def path(self, index: int) -> tuple[bytes, ...]:
        hashes = self.hashes

        def node(level: int, i: int) -> bytes:
            return root_of(hashes[i << level : (i + 1) << level])

        return tuple(inclusion_path(index, len(hashes), node))

    def proof(self, index: int, note: bytes) -> bytes:
        """Return the proof file of a leaf, with any bytes as its checkpoint."""
        lines = ["c2sp.org/tlog-proof@v1", f"index {index}", *map(encode_base64, self.path(index)), "", ""]
        return "\n".join(lines).encode() + note

    def files(self, indexes: Iterable[int], *, checkpoint: bytes | None = None, short: bool = True) -> Files:
        """Return checkpoint, leaves and proofs; the proofs hold the ledger's own signatures alone when `short`."""
        note = self.note() if checkpoint is None else checkpoint
        own = own_signatures(note, self.origin) if short else note
        files = {"checkpoint": note}
        for index in indexes:
            files[f"leaves/{index}.json"] = self.leaves[index]
            files[f"proofs/{index}.tlog-proof"] = self.proof(index, own)
        return files


def own_signatures(note: bytes, origin: str) -> bytes:
    """Return a note without the signatures of others."""
    parsed = Note.parse(note)
    return Note(parsed.text, tuple(line for line in parsed.signatures if line.name == origin)).to_bytes()


def with_lines(note: bytes, *lines: NoteSignature) -> bytes:
    """Return a note with more signature lines."""
    parsed = Note.parse(note)
    return Note(parsed.text, (*parsed.signatures, *lines)).to_bytes()


# -- heads ---------------------------------------------------------------------------------------------


def head_tree(leaves: Iterable[Any]) -> tuple[list[dict[str, Any]], list[bytes]]:
    """Return the records of every unit that these parsed leaves link, and the hashes of the tree over them.

    Written again from docs/ledger.md, with nothing of `app.custody.heads`.
    """
    order: list[str] = []
    latest: dict[str, tuple[int, str]] = {}
    for data in leaves:
        for link in json.loads(data)["links"]:
            if link["unit"] not in latest:
                order.append(link["unit"])
            latest[link["unit"]] = (link["seq"], b64url_encode(leaf_hash(data)))
    names = sorted(order)
    following = dict(zip(["", *names], [*names, ""], strict=True))
    records = [{"unit": "", "seq": 0, "hash": b64url_encode(bytes(32)), "next": following[""]}]
    records += [
        {"unit": unit, "seq": latest[unit][0], "hash": latest[unit][1], "next": following[unit]} for unit in order
    ]
    return records, [leaf_hash(record_bytes(record)) for record in records]


def record_bytes(record: Mapping[str, Any]) -> bytes:
    seq = int(record["seq"]).to_bytes(8, "big")
    return record["unit"].encode() + b"\0" + seq + b64url_decode(record["hash"]) + record["next"].encode()


def head_file(records: list[dict[str, Any]], hashes: list[bytes], unit: str, commit: int) -> bytes:
    """Return the file `heads/<unit>.json`."""
    position = next(i for i, record in enumerate(records) if record["unit"] == unit)

    def node(level: int, i: int) -> bytes:
        return root_of(hashes[i << level : (i + 1) << level])

    path: list[JsonValue] = [b64url_encode(value) for value in inclusion_path(position, len(hashes), node)]
    return jcs({"commit": commit, "path": path, "position": position, "record": records[position]})


# -- the zip -------------------------------------------------------------------------------------------


def manifest(files: Files, unit: str, genesis: str, **changes: Any) -> bytes:
    """Return the manifest that belongs to these files."""
    origin, size, root = files["checkpoint"].decode().split("\n")[:3]
    told: Any = {
        "v": 1, "format": "ballot-custody-evidence", "unit": unit, "ledger": origin, "size": int(size),
        "root": root.replace("+", "-").replace("/", "_").rstrip("="), "genesis": genesis,
        "files": {name: b64url_encode(sha256(data)) for name, data in files.items()}, **changes,
    }  # fmt: skip
    return jcs(told)


def entry(name: str, data: bytes, *, deflate: bool = False, **changes: Any) -> dict[str, Any]:
    """Return an entry of a zip as our writer makes it; `changes` bend its fields."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(data) + packer.flush()
    method = 8 if deflate and len(packed) * 15 >= len(data) else 0
    made = {
        "name": name.encode(), "packed": packed if method else data, "method": method, "flags": 0, "time": 0, "date": 0x21,
        "crc": zlib.crc32(data), "size": len(data), "made_by": 0x0314, "needed": 20, "extra": b"", "comment": b"",
        "attributes": (stat.S_IFREG | 0o644) << 16, "gap": b"", "local": {},
    }  # fmt: skip
    return {**made, **changes}


def zipped(entries: Iterable[dict[str, Any]], *, comment: bytes = b"", before_central: bytes = b"") -> bytes:
    """Write a zip out of entries."""
    body, central = b"", b""
    count = 0
    for made in entries:
        offset = len(body)
        body += _local({**made, **made["local"]}) + made["packed"] + made["gap"]
        central += _central(made, offset)
        count += 1
    body += before_central
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, count, count, len(central), len(body), len(comment))
    return body + central + end + comment


def _fields(made: dict[str, Any]) -> bytes:
    return struct.pack(
        "<HHHHHIII", made["needed"], made["flags"], made["method"], made["time"], made["date"], made["crc"],
        len(made["packed"]), made["size"],
    )  # fmt: skip


def _local(made: dict[str, Any]) -> bytes:
    sizes = struct.pack("<HH", len(made["name"]), len(made["extra"]))
    return struct.pack("<I", 0x04034B50) + _fields(made) + sizes + made["name"] + made["extra"]


def _central(made: dict[str, Any], offset: int) -> bytes:
    head = struct.pack("<IH", 0x02014B50, made["made_by"]) + _fields(made)
    sizes = struct.pack(
        "<HHHHHII", len(made["name"]), len(made["extra"]), len(made["comment"]), 0, 0, made["attributes"], offset
    )
    return head + sizes + made["name"] + made["extra"] + made["comment"]


def bundle(files: Files, unit: str, genesis: str, *, deflate: bool = False, **changes: Any) -> bytes:
    """Return the zip of these files with the manifest that belongs to them; `changes` bend the manifest."""
    told = manifest(files, unit, genesis, **changes)
    return zipped(entry(name, data, deflate=deflate) for name, data in sorted({**files, "manifest.json": told}.items()))
