"""A witness behind NAT: it fetches what a ledger publishes and hands its cosignatures back.

    GET  <url>/checkpoint       the newest signed checkpoint
    GET  <url>/tile/…           the hash tiles that the proof from our size to that one needs
    POST <url>/cosignatures     the checkpoint's text with our cosignature lines under it, text/plain

The proof is built here from the tiles and goes through the same door as everybody's (`Witness.add_checkpoint`): what
builds a proof is never what judges it, and a fork that shows in the tiles is kept as evidence there.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from app.clock import Clock, SystemClock
from app.errors import BusyError, MalformedError, MissingError, RefusedError, ServiceError, TamperError
from app.ledger.checkpoint import Checkpoint
from app.ledger.note import MAX_NOTE_BYTES, Note, NoteSignature
from app.ledger.submission import Submission
from app.ledger.tiles import TILE_WIDTH, TileCoordinate, TileNodes, tile_width
from app.ledger.tree import HASH_BYTES, consistency_path
from app.witness.cosign import Witness
from app.witness.decide import Held, prove

SECONDS = 10.0
WHOLE_SECONDS = 30.0
FRESH_SECONDS = 600
"""An unchanged ledger is cosigned anew when the last cosignature is that old."""
MAX_ERROR_BYTES = 8 * 1024


@dataclass(frozen=True, slots=True)
class Pulled:
    """What came of one ledger in one round."""

    origin: str
    outcome: str
    """`cosigned`, `unchanged`, or the code of what went wrong."""
    size: int | None
    detail: str

    @property
    def fine(self) -> bool:
        """Say whether nothing is to be looked at."""
        return self.outcome in {"cosigned", "unchanged"}


class Puller:
    """Rounds over every ledger of a witness that has a URL."""

    def __init__(
        self,
        witness: Witness,
        client: httpx.Client | None = None,
        clock: Clock | None = None,
        whole_seconds: float = WHOLE_SECONDS,
    ) -> None:
        """Work for an open witness; the client honours the proxy settings of the environment.

        Args:
            witness: Signs.
            client: Asks; one with a timeout of its own when absent.
            clock: Says whether a cosignature is fresh.
            whole_seconds: Longest wait for one whole answer.
        """
        self._witness = witness
        self._whole_seconds = whole_seconds
        self._client = client or httpx.Client(timeout=SECONDS, follow_redirects=False)
        self._clock = clock or SystemClock()
        self._delivered: dict[str, int] = {}

    def round(self, *, anew: bool = False) -> Iterator[Pulled]:
        """Pull every ledger once, one result each; no ledger's trouble hurts the next.

        Args:
            anew: Cosign unchanged ledgers, too, however fresh the last cosignature is.
        """
        for row in self._witness.ledgers():
            if row.url and self._witness.keys(row.origin):
                yield self._pull(row.origin, row.url.rstrip("/"), row.held, row.cosigned_at, anew=anew)

    def _pull(self, origin: str, url: str, held: Held, cosigned_at: int, *, anew: bool) -> Pulled:
        size: int | None = None
        try:
            data = self._get(f"{url}/checkpoint", MAX_NOTE_BYTES)
            note, told = self._checked(origin, data)
            size = told.size
            idle = told == Checkpoint(origin, held.size, held.root) and self._delivered.get(origin) == cosigned_at
            if idle and not anew and self._clock.now_ms() // 1000 < cosigned_at + FRESH_SECONDS:
                return Pulled(origin, "unchanged", size, "The cosignature is fresh.")
            lines = self._cosign(url, note, told, held)
            self._deliver(f"{url}/cosignatures", Note(note.text, lines))
        except ServiceError as error:
            return Pulled(origin, error.code, size, error.detail)
        except httpx.HTTPError as error:
            return Pulled(origin, "unreachable", size, f"{url} does not answer: {type(error).__name__}.")
        except (httpx.InvalidURL, UnicodeError, OverflowError):  # the last two: a host or port that no socket takes
            return Pulled(origin, "unreachable", size, f"{url} is no address that can be asked.")
        self._delivered[origin] = max(line.cosigned_at() for line in lines)
        return Pulled(origin, "cosigned", size, f"{len(lines)} cosignatures delivered.")

    def _checked(self, origin: str, data: bytes) -> tuple[Note, Checkpoint]:
        """Verify a checkpoint before any tile is fetched for it."""
        note = Note.parse(data)
        request = prove(Submission(0, (), data).to_bytes(), self._witness.keys)
        if request.checkpoint.origin != origin:
            raise RefusedError("That address serves another ledger's checkpoint.", code="checkpoint_origin")
        return note, request.checkpoint

    def _cosign(self, url: str, note: Note, told: Checkpoint, held: Held) -> tuple[NoteSignature, ...]:
        if told.size < held.size:
            raise RefusedError(
                f"The ledger shows {told.size} leaves, but this witness has cosigned {held.size}: an old copy of the "
                "checkpoint, or a ledger that was rolled back.", code="ledger_rollback",
            )  # fmt: skip
        nodes = TileNodes(_Tiles(self._get, url, told.size).read)
        proof: list[bytes] = []
        if told.size > held.size:
            if nodes.root(told.size) != told.root:
                raise TamperError("The ledger's tiles do not make up its checkpoint.")
            proof = consistency_path(held.size, told.size, nodes.node)
        return self._witness.add_checkpoint(Submission(held.size, tuple(proof), note.to_bytes()).to_bytes())

    def _deliver(self, url: str, cosigned: Note) -> None:
        body = cosigned.to_bytes()
        with self._client.stream("POST", url, content=body, headers={"Content-Type": "text/plain"}) as answer:
            if answer.is_success:
                return
            told = _bounded(answer, MAX_ERROR_BYTES, self._whole_seconds)
        raise RefusedError(f"The ledger did not take the cosignatures: {answer.status_code} {_code(told)}.")

    def _get(self, url: str, limit: int) -> bytes:
        return fetch(self._client, url, limit, self._whole_seconds)


class _Tiles:
    """Hash tiles of a remote tree of one size, each fetched once."""

    def __init__(self, get: Callable[[str, int], bytes], url: str, size: int) -> None:
        self._get, self._url, self._size = get, url, size
        self._known: dict[tuple[int, int], bytes] = {}

    def read(self, level: int, n: int) -> bytes:
        """Return a tile at its width in this tree; a full one serves where the partial one is gone."""
        if (level, n) not in self._known:
            width = tile_width(level, n, self._size)
            try:
                tile = self._fetch(TileCoordinate(level, n, width))
            except MissingError:
                if width == TILE_WIDTH:
                    raise
                tile = self._fetch(TileCoordinate(level, n))[: width * HASH_BYTES]
            if len(tile) != width * HASH_BYTES:
                raise MalformedError("A tile of the ledger has another width than asked for.")
            self._known[level, n] = tile
        return self._known[level, n]

    def _fetch(self, place: TileCoordinate) -> bytes:
        return self._get(f"{self._url}/{place.path()}", TILE_WIDTH * HASH_BYTES)


def refuse_unusable(url: str) -> None:
    """Refuse an address below which nothing could ever be fetched.

    Raises:
        MalformedError: It is not `http(s)://host[:port][/path]`.
    """
    try:
        told = httpx.URL(url)
        host = told.host.encode("idna")
    except (httpx.InvalidURL, UnicodeError):
        told, host = httpx.URL(), b""
    sound = told.scheme in {"http", "https"} and host and b"%" not in host and (told.port or 1) < 1 << 16
    if not sound or told.userinfo or "?" in url or "#" in url:
        raise MalformedError("A ledger's URL is http:// or https:// with a host, and a path if it has one; no more.")


def fetch(client: httpx.Client, url: str, limit: int, whole_seconds: float = WHOLE_SECONDS) -> bytes:
    """Fetch a file of at most so many bytes.

    Raises:
        MissingError: It is not there.
        BusyError: Any other answer than 200, or one that takes longer than `whole_seconds`.
        MalformedError: It is longer, or was sent compressed.
        httpx.HTTPError: There is no answer.
    """
    with client.stream("GET", url, headers={"Accept-Encoding": "identity"}) as answer:
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise MissingError(f"{url} is not there.")
        if answer.status_code != httpx.codes.OK:
            raise BusyError(f"{url} answers {answer.status_code}.")
        data = _bounded(answer, limit + 1, whole_seconds)
    if len(data) > limit:
        raise MalformedError(f"{url} is longer than such a file can be.")
    return data


def _bounded(answer: httpx.Response, limit: int, whole_seconds: float) -> bytes:
    """Read so many bytes at most, and for so long at most: the client's timeout alone bounds the pauses only."""
    data, deadline = b"", time.monotonic() + whole_seconds
    for piece in answer.iter_raw():
        data += piece
        if len(data) >= limit:
            break
        if time.monotonic() > deadline:
            raise BusyError("The ledger's answer comes too slowly.")
    return data[:limit]


def _code(body: bytes) -> str:
    """Return the code of a problem document, or nothing of what else was said."""
    try:
        told: Any = httpx.Response(200, content=body).json()
        code = str(told.get("code", ""))
    except (ValueError, AttributeError):
        return ""
    return code if code.isascii() and code.replace("_", "").isalnum() else ""
