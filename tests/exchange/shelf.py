"""A static web server over real sockets that stands for somebody else's ledger, honest or not, and what it serves."""

import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from app.ledger.checkpoint import Checkpoint, sign
from app.ledger.note import SignatureType, SignerKey
from app.ledger.tiles import bundle_entry, grow_tiles, touched_bundles
from app.ledger.tree import leaf_hash, root_of

ORIGIN = "shelf.example/ledger/kota"
KEY = SignerKey(ORIGIN, SignatureType.NOTE, bytes(range(32)))
VKEY = KEY.verifier()


JUNK = "\u2014 junk{} AAAAAAAA\n"
"""A signature line that anybody can write."""


def leaves(count: int, salt: str = "") -> list[bytes]:
    """Return leaves that say nothing; those of one salt are prefixes of each other."""
    return [f"leaf {n} {salt}".encode() for n in range(count)]


def write_tree(folder: Path, held: Sequence[bytes], key: SignerKey = KEY) -> bytes:
    """Write the static tree of these leaves, over what is there, and return its signed checkpoint."""
    hashes = [leaf_hash(leaf) for leaf in held]
    for place, data in grow_tiles(0, hashes, lambda _level, _n: b""):
        put(folder / place.path(), data)
    for bundle in touched_bundles(0, len(held)):
        first = bundle.n * 256
        put(folder / bundle.path(), b"".join(map(bundle_entry, held[first : first + bundle.width])))
    note = sign(Checkpoint(key.name, len(held), root_of(hashes)), key)
    put(folder / "checkpoint", note)
    return note


def put(path: Path, data: bytes) -> None:
    """Write a file, its folders included."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def files_of(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder by its path."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class Shelf:
    """A running server: its folder, what was asked of it, and what it answers instead of a file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[str] = []
        self.shown: list[str | None] = []
        self.instead: dict[str, list[tuple[int, dict[str, str], Iterable[bytes]]]] = defaultdict(list)
        self.url = ""
        self.origin_url = ""

    def say(self, path: str, status: int, body: bytes = b"", times: int = 1, **headers: str) -> None:
        """Answer this to the next requests for a path below the ledger, or from the root where it begins with `/`."""
        told = {"Content-Length": str(len(body)), **{name.replace("_", "-"): text for name, text in headers.items()}}
        self.instead[self._whole(path)] += [(status, told, (body,))] * times

    def drip(self, path: str, length: int, pieces: Iterable[bytes]) -> None:
        """Answer these pieces to the next request for a path, each on its own, as a body of that length."""
        self.instead[self._whole(path)].append((200, {"Content-Length": str(length)}, pieces))

    @staticmethod
    def _whole(path: str) -> str:
        return path if path.startswith("/") else f"/ledger/kota/{path}"


class _Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, *args: Any, shelf: Shelf, **kwargs: Any) -> None:
        self.shelf = shelf
        super().__init__(*args, directory=str(shelf.folder), **kwargs)

    def do_GET(self) -> None:
        self.shelf.asked.append(self.path)
        self.shelf.shown.append(self.headers["Authorization"])
        if not self.shelf.instead[self.path]:
            super().do_GET()
            return
        self._answer()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.shelf.asked.append(self.path)
        self.shelf.shown.append(self.headers["Authorization"])
        self._answer()

    def _answer(self) -> None:
        status, headers, pieces = self.shelf.instead[self.path].pop(0)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        for piece in pieces:
            self.wfile.write(piece)
            self.wfile.flush()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that hang up: they are what is tested."""


@contextmanager
def shelving(folder: Path) -> Iterator[Shelf]:
    """Serve a folder whose `ledger/kota` is a ledger."""
    shelf = Shelf(folder)
    (folder / "ledger/kota").mkdir(parents=True, exist_ok=True)
    with _Server(("127.0.0.1", 0), partial(_Handler, shelf=shelf)) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        shelf.origin_url = f"http://127.0.0.1:{server.server_port}"
        shelf.url = f"{shelf.origin_url}/ledger/kota"
        try:
            yield shelf
        finally:
            server.shutdown()
            thread.join()
