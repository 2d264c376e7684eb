"""A ledger as static files behind a real HTTP server, which takes cosignatures and can be made to misbehave."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from app.ledger.tiles import BundleCoordinate, grow_tiles, parse_path, touched_tiles
from app.ledger.tree import HASH_BYTES, leaf_hash
from tests.witness.logs import Log


class Remote:
    """What one ledger shows now; `bend` may replace any file, and `takes` is what it answers to cosignatures."""

    def __init__(self, log: Log, size: int) -> None:
        self.log = log
        self.size = size
        self.tiles: dict[tuple[int, int], bytes] = {}
        self.asked: list[str] = []
        self.got: list[bytes] = []
        self.takes: tuple[int, bytes] = (204, b"")
        self.bend: Callable[[str, bytes | None], bytes | int | None] = lambda _, data: data
        self.url = ""
        hashes = [leaf_hash(leaf) for leaf in log.tree.leaves]
        for place, data in grow_tiles(0, hashes, lambda _level, _n: b""):
            self.tiles[place.level, place.n] = data

    def file(self, path: str) -> bytes | int:
        """Return a file, or the status of a refusal."""
        self.asked.append(path)
        data: bytes | None = None
        if path == "checkpoint":
            data = self.log.checkpoint(self.size)
        elif path.startswith("tile/"):
            place = parse_path(path)
            if not isinstance(place, BundleCoordinate):
                whole = {(t.level, t.n): t.width for t in touched_tiles(0, self.size)}
                if place.width <= whole.get((place.level, place.n), 0):
                    data = self.tiles[place.level, place.n][: HASH_BYTES * place.width]
        bent = self.bend(path, data)
        return 404 if bent is None else bent


@contextmanager
def remote(log: Log, size: int) -> Iterator[Remote]:
    """Serve a ledger on a free port below `/ledger/x`."""
    told = Remote(log, size)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = told.file(self.path.removeprefix("/ledger/x/"))
            self._answer(200, found) if isinstance(found, bytes) else self._answer(found, b"")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            fine = self.path == "/ledger/x/cosignatures" and self.headers["Content-Type"] == "text/plain"
            if fine:
                told.got.append(body)
            self._answer(*(told.takes if fine else (404, b"")))

        def _answer(self, status: int, data: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            if 300 <= status < 400:
                self.send_header("Location", "/ledger/x/checkpoint")
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    told.url = f"http://127.0.0.1:{server.server_port}/ledger/x"
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()
