"""The evidence bundle as a file: what is in the zip, written one way and read strictly (pure).

    manifest.json                what the bundle is about, and the SHA-256 of every other file; canonical JSON
    README.txt                   how to verify it offline, in Indonesian and English
    verify.html                  a page that verifies this very file in a browser, with no network
    checkpoint                   the ledger's signed note with its cosignatures; every proof is under this one
    policy                       the trust policy that the ledger recommends; only a pinned one decides
    leaves/<index>.json          leaf bytes as they stand on the ledger
    proofs/<index>.tlog-proof    c2sp.org/tlog-proof of that leaf
    documents/<hash>.json|.txt   policies and plans, lists of ids, by their content address
    heads/<unit>.json            proof of a unit's latest event, or that there is no such unit (app.custody.heads)
    stamps/<n>.tsr               RFC 3161 time stamps over the file `checkpoint`
    private/<index>/<name>.json  private contents that open a commitment of that leaf, where the viewer may

Knows names, limits and bytes; what they prove is `app.audit.verify`. A zip from a stranger is hostile until
read: entries, sizes and names are bounded before anything is unpacked, and nothing is ever written. Nothing in it is
compressed: the zip of given parts has one spelling, so a byte that anybody changes is found.
"""

import io
import re
import stat
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, Final, NoReturn

from app.canon import JsonValue, b64url_encode, jcs, parse_json, sha256
from app.errors import MalformedError, ServiceError, TooLargeError
from app.units.documents import document_hash

FORMAT: Final = "ballot-custody-evidence"
VERSION: Final = 1
MAX_FILES: Final = 10_000
MAX_BYTES: Final = 200 * 1024 * 1024
_MAX_MANIFEST: Final = 2 * 1024 * 1024
_INDEX: Final = "0|[1-9][0-9]{0,15}"
_HASH: Final = "[A-Za-z0-9_-]{43}"
_NAME: Final = re.compile(
    rf"README\.txt|verify\.html|checkpoint|policy|leaves/(?P<leaf>{_INDEX})\.json|proofs/(?P<proof>{_INDEX})\.tlog-proof|"
    rf"documents/(?P<document>{_HASH})\.(?:json|txt)|"
    rf"heads/(?P<head>[0-9A-HJKMNP-TV-Z]{{17}})\.json|stamps/(?P<stamp>0|[1-9][0-9]{{0,5}})\.tsr|"
    rf"private/(?P<private>{_INDEX})/(?P<name>[A-Za-z0-9][A-Za-z0-9._:-]{{0,39}})\.json"
)

README: Final = """\
BUKTI RANTAI PENGUASAAN / CHAIN OF CUSTODY EVIDENCE

[id] Berkas ini membuktikan riwayat satu barang pemilu: siapa memegangnya, kapan, dan atas tanda tangan siapa.
Bukti ini dapat diperiksa tanpa jaringan dan tanpa mempercayai server:

    python -m app.audit.verify BERKAS.zip --genesis HASH
    custody verify BERKAS.zip --genesis HASH

Atau buka verify.html di berkas ini dengan peramban dan pilih berkas zip ini. Halaman di dalam berkas hanya dapat
dipercaya sejauh asal berkas ini dapat dipercaya; halaman /verify milik pengawas atau saksi lebih kuat.

HASH adalah sidik genesis buku besar. Ambil dari sumber yang Anda percaya (berita acara pendirian, pengawas,
saksi), bukan dari berkas ini. Hasil: PASS (terbukti), FAIL (ada yang salah; peristiwanya disebut), INCOMPLETE
(belum cukup untuk memutuskan; alasannya disebut). Tanpa HASH hasilnya tidak pernah PASS.

[en] This file proves the history of one election item: who had it, when, and by whose signatures. It can be
verified with no network and without trusting the server, with the commands above, or by opening verify.html with
a browser and choosing this zip (a page inside a file is only as good as where the file came from; the page /verify
of a supervisor or witness is better). HASH is the hash of the
ledger's genesis event. Take it from a source that you trust (the founding minutes, the supervisor, a witness),
not from this file. Results: PASS, FAIL (the event at fault is named), INCOMPLETE (reasons are given). Without
HASH the result is never PASS.

With heads/ it also proves which event was the item's latest at a size of the ledger. What it does not prove: that
nothing was recorded about the item after that, and nothing that no signed event says.
"""


@dataclass(slots=True)
class Bundle:
    """The parts of a bundle, their bytes as they are; nothing is proven."""

    unit: str
    ledger: str
    size: int
    root: str
    genesis: str
    checkpoint: bytes
    leaves: dict[int, bytes] = field(default_factory=dict)
    proofs: dict[int, bytes] = field(default_factory=dict)
    documents: dict[str, bytes] = field(default_factory=dict)
    private: dict[tuple[int, str], bytes] = field(default_factory=dict)
    heads: dict[str, bytes] = field(default_factory=dict)
    stamps: dict[int, bytes] = field(default_factory=dict)
    policy: bytes | None = None
    page: bytes | None = None

    def files(self) -> dict[str, bytes]:
        """Return every file but the manifest by name, in order of the names."""
        files = {"README.txt": README.encode(), "checkpoint": self.checkpoint}
        files |= {f"leaves/{index}.json": data for index, data in self.leaves.items()}
        files |= {f"proofs/{index}.tlog-proof": data for index, data in self.proofs.items()}
        files |= {f"documents/{name}.{_suffix(data)}": data for name, data in self.documents.items()}
        files |= {f"private/{index}/{name}.json": data for (index, name), data in self.private.items()}
        files |= {f"heads/{unit}.json": data for unit, data in self.heads.items()}
        files |= {f"stamps/{number}.tsr": data for number, data in self.stamps.items()}
        files |= {"policy": self.policy} if self.policy is not None else {}
        files |= {"verify.html": self.page} if self.page is not None else {}
        return dict(sorted(files.items()))

    def manifest(self) -> bytes:
        """Return the manifest that belongs to these parts."""
        return _manifest(self, self.files())


def _suffix(data: bytes) -> str:
    return "json" if data.lstrip()[:1] == b"{" else "txt"


def _manifest(bundle: Bundle, files: dict[str, bytes]) -> bytes:
    hashes: dict[str, JsonValue] = {name: b64url_encode(sha256(data)) for name, data in files.items()}
    return jcs({
        "v": VERSION, "format": FORMAT, "unit": bundle.unit, "ledger": bundle.ledger, "size": bundle.size,
        "root": bundle.root, "genesis": bundle.genesis, "files": hashes,
    })  # fmt: skip


# -- writing -------------------------------------------------------------------------------------------


def write_bundle(bundle: Bundle, target: BinaryIO) -> None:
    """Write a bundle as a zip: fixed times, sorted names, the same bytes for the same parts.

    Raises:
        TooLargeError: `bundle_too_large`, more files or bytes than a verifier reads.
    """
    files = bundle.files()
    if len(files) >= MAX_FILES or sum(map(len, files.values())) > MAX_BYTES - _MAX_MANIFEST:
        raise TooLargeError("The evidence has more files or bytes than a verifier reads.", code="bundle_too_large")
    write_files({"manifest.json": _manifest(bundle, files), **files}, target)


def write_files(files: Mapping[str, bytes], target: BinaryIO) -> None:
    """Write files as a zip in this format's one spelling: sorted, stored, of one time and kind."""
    with zipfile.ZipFile(target, "w") as archive:
        for name, data in sorted(files.items()):
            _add(archive, name, data)


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    info.create_system = 3
    info.external_attr = (stat.S_IFREG | 0o644) << 16
    archive.writestr(info, data, compress_type=zipfile.ZIP_STORED)


# -- reading -------------------------------------------------------------------------------------------


def read_bundle(data: bytes) -> Bundle:
    """Read a zip strictly into the parts of a bundle.

    The manifest must be the canonical one of exactly these files, so there is one manifest for given parts.

    Raises:
        MalformedError: `bundle_zip`, `bundle_names`, `bundle_entry`, `bundle_manifest`, `bundle_readme`, or a
            code of the parsers.
        TooLargeError: `bundle_too_large`.
    """
    files = _unpacked(data)
    manifest = files.pop("manifest.json", None)
    if manifest is None:
        _refuse("bundle_manifest", "The bundle has no manifest.")
    bundle = _told(manifest)
    for name, content in files.items():
        _sort_in(bundle, name, content)
    if files.get("README.txt") != README.encode():
        _refuse("bundle_readme", "The README is not the one of this format.")
    if "checkpoint" not in files:
        _refuse("bundle_names", "The bundle has no checkpoint.")
    if manifest != _manifest(bundle, files) or bundle.files().keys() != files.keys():
        _refuse("bundle_manifest", "The manifest is not the one of these files.")
    written = io.BytesIO()
    write_bundle(bundle, written)
    if written.getvalue() != data:
        _refuse("bundle_zip", "The zip is not spelled as this format spells it.")
    return bundle


def _refuse(code: str, detail: str) -> NoReturn:
    raise MalformedError(detail, code=code)


def _told(manifest: bytes) -> Bundle:
    match parse_json(manifest, max_bytes=_MAX_MANIFEST, max_depth=2):
        case {
            "v": 1, "format": "ballot-custody-evidence", "unit": str(unit), "ledger": str(ledger), "size": int(size),
            "root": str(root), "genesis": str(genesis), "files": dict(), **rest,
        } if not rest and not isinstance(size, bool):  # fmt: skip
            return Bundle(unit, ledger, size, root, genesis, b"")
    _refuse("bundle_manifest", "The manifest is not one of version 1 of this format.")


def _sort_in(bundle: Bundle, name: str, content: bytes) -> None:
    match = _NAME.fullmatch(name)
    if match is None:
        _refuse("bundle_names", "The bundle holds a file that does not belong to this format.")
    if name == "checkpoint":
        bundle.checkpoint = content
    elif match["leaf"] is not None:
        bundle.leaves[int(match["leaf"])] = content
    elif match["proof"] is not None:
        bundle.proofs[int(match["proof"])] = content
    elif name in {"policy", "verify.html"}:
        setattr(bundle, "policy" if name == "policy" else "page", content)
    elif match["head"] is not None:
        bundle.heads[match["head"]] = content
    elif match["stamp"] is not None:
        bundle.stamps[int(match["stamp"])] = content
    elif match["private"] is not None:
        bundle.private[(int(match["private"]), match["name"])] = content
    elif match["document"] is not None:
        if document_hash(content) != match["document"]:
            raise MalformedError(
                "A document is not the one of its hash.", code="bundle_document", document=match["document"]
            )
        bundle.documents[match["document"]] = content


def _unpacked(data: bytes) -> dict[str, bytes]:
    """Return the files of a zip whose every claim was bounded before it was believed."""
    if not data.startswith(b"PK\x03\x04") or data[-22:-18] != b"PK\x05\x06" or data[-2:] != b"\x00\x00":
        _refuse("bundle_zip", "This is no zip, or something stands before or after it.")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = list(_bounded(archive.infolist()))
            return {info.filename: _content(archive, info) for info in entries}
    except ServiceError:
        raise
    except Exception as error:  # zipfile raises whatever its parts raise; none of it is ours to tell apart
        raise MalformedError("The zip cannot be read.", code="bundle_zip") from error


def _bounded(entries: list[zipfile.ZipInfo]) -> Iterator[zipfile.ZipInfo]:
    if len(entries) > MAX_FILES or sum(info.file_size for info in entries) > MAX_BYTES:
        raise TooLargeError("The bundle has too many files or bytes.", code="bundle_too_large")
    if len({info.filename for info in entries}) != len(entries):
        _refuse("bundle_names", "The bundle names a file twice.")
    for info in entries:
        if info.filename != "manifest.json" and not _NAME.fullmatch(info.filename):
            _refuse("bundle_names", "The bundle holds a file that does not belong to this format.")
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in {0, stat.S_IFREG} or info.flag_bits & 0x1 or info.orig_filename != info.filename:
            _refuse("bundle_entry", "An entry is a link, encrypted, or not what its name says.")
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            _refuse("bundle_entry", "An entry is packed in a way that this format does not use.")
        yield info


def _content(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    with archive.open(info) as entry:
        content = entry.read(info.file_size + 1)
    if len(content) != info.file_size:
        _refuse("bundle_entry", "An entry is not as long as it says.")
    return content
