"""A ledger of somebody else over HTTP: plain tiles, and documents for whoever may read them.

Everything that comes back is bounded in size and time and believed by nobody: who asks proves it. Requests go to the
one host that was named, redirects are not followed, and a failure that may pass is tried again with growing pauses.
Credentials go with bundles and documents only, since nothing else needs them.

Bodies are taken from the wire as they come and decompressed here: a library that does it first has spent the memory
before anybody can look at a limit.
"""

import math
import random
import re
import time
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import SplitResult, urlsplit

import httpx
import orjson

from app.errors import BusyError, ForbiddenError, MalformedError, MissingError, ServiceError, TooLargeError
from app.ledger.folder import MAX_BUNDLE_BYTES, MAX_CHECKPOINT_BYTES, MAX_DOCUMENT_BYTES, MAX_TILE_BYTES, Place
from app.ledger.tiles import BundleCoordinate

CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 20.0
ANSWER_SECONDS = 120.0
TRIES = 6
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
MAX_TOKEN_BYTES = 16 * 1024
_GZIP = 31
"""zlib's word for one gzip member with its checksum, and nothing else."""
_TOKEN = re.compile("[!-~]+")
_SPACE = re.compile(r"\s")
_PASSES = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Patience:
    """How many seconds one answer may take in all, by which clock."""

    seconds: float = ANSWER_SECONDS
    clock: Callable[[], float] = time.monotonic


class Login(Protocol):
    """Earns a bearer token."""

    def token(self, client: httpx.Client, *, again: bool) -> str:
        """Return a token; a fresh one when the last was not accepted."""


@dataclass(frozen=True, slots=True)
class FixedToken:
    """A token that somebody else earned.

    Raises:
        MalformedError: It cannot stand in a header.
    """

    bearer: str

    def __post_init__(self) -> None:
        """Refuse what no header carries, before a ledger is asked with it."""
        if not _TOKEN.fullmatch(self.bearer):
            raise MalformedError("A token is printable ASCII without spaces.", code="bad_request")

    def token(self, client: httpx.Client, *, again: bool) -> str:
        """Return it.

        Raises:
            ForbiddenError: It was not accepted, and there is no other.
        """
        del client
        if again:
            raise ForbiddenError("The ledger does not accept the token; it may have expired.")
        return self.bearer


class ClientSecret:
    """An API client of the ledger's service: earns tokens at `/oauth/token` (RFC 6749 section 4.4)."""

    def __init__(self, client_id: str, client_secret: str, patience: Patience | None = None) -> None:
        """Keep the credentials; nothing is asked yet."""
        self._named = (client_id, client_secret)
        self._patience = patience or Patience()
        self._bearer, self._until = "", 0.0

    def token(self, client: httpx.Client, *, again: bool) -> str:
        """Return a token for at least half of its life.

        Raises:
            ForbiddenError: The client is not accepted, or the answer is none of OAuth's.
        """
        if again or time.monotonic() >= self._until:
            self._bearer, seconds = self._earn(client)
            self._until = time.monotonic() + seconds / 2
        return self._bearer

    def _earn(self, client: httpx.Client) -> tuple[str, float]:
        path, form = "/oauth/token", {"grant_type": "client_credentials"}
        until = self._patience.clock() + self._patience.seconds
        with client.stream("POST", path, data=form, auth=self._named, headers={"Accept-Encoding": "gzip"}) as answer:
            if answer.status_code != httpx.codes.OK:
                raise ForbiddenError(f"The ledger gives this client no token: {answer.status_code}.")
            try:
                return _read_token(_body(answer, path, MAX_TOKEN_BYTES, self._patience.clock, until))
            except (ServiceError, ValueError, ArithmeticError, TypeError, KeyError, AttributeError):
                raise ForbiddenError("The ledger's token endpoint does not answer as OAuth does.") from None


def _read_token(data: bytes) -> tuple[str, float]:
    """Return the token of an answer (RFC 6749 section 5.1) and its life in seconds.

    Raises:
        ValueError, ArithmeticError, TypeError, KeyError, AttributeError: It is no such answer.
    """
    told = orjson.loads(data)
    bearer, seconds = told["access_token"], float(told.get("expires_in", 60))
    if not _TOKEN.fullmatch(bearer) or not math.isfinite(seconds):
        raise ValueError("no token that a header carries, or no time that ends")
    return bearer, seconds


class RemoteLedger:
    """The doors of one ledger; use it as a context."""

    def __init__(
        self, url: str, login: Login | None = None, *, pause: Callable[[float], object] = time.sleep,
        tries: int = TRIES, patience: Patience | None = None,
    ) -> None:  # fmt: skip
        """Take the ledger's address.

        Args:
            url: The prefix of `checkpoint` and `tile/…`, `https://custody.example/ledger/pemilu2029-64`.
            login: Earns tokens for bundles and documents where they are not public.
            pause: Waits so many seconds.
            tries: How often a request is sent when its failure may pass.
            patience: How long one answer may take.

        Raises:
            MalformedError: It is no http address, has credentials, a query or a fragment in it, or names a host or a
                port that no request can be sent to.
        """
        parts = _address(url)
        self.url = url.rstrip("/")
        self._path = parts.path.rstrip("/")
        timeout = httpx.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS)
        base = f"{parts.scheme}://{parts.netloc}"
        is_tls = parts.scheme == "https"  # reading the authorities takes longer than a round over plain HTTP
        self._client = httpx.Client(
            base_url=base, timeout=timeout, verify=is_tls, follow_redirects=False, trust_env=False
        )
        self._patience = patience or Patience()
        self._login, self._pause, self._tries = login, pause, tries

    def close(self) -> None:
        """Hang up."""
        self._client.close()

    def checkpoint(self, *, witnessed: bool = False) -> bytes:
        """Return the newest signed note, or the newest that satisfies the ledger's own policy of witnesses.

        Raises:
            BusyError: The ledger cannot be reached now, and so for all doors.
            MissingError: There is no such ledger.
            TooLargeError: The answer is larger than any note.
        """
        path = "checkpoint.witnessed" if witnessed else "checkpoint"
        return self._get(f"{self._path}/{path}", MAX_CHECKPOINT_BYTES)

    def read(self, place: Place) -> bytes:
        """Return a tile, or an entry bundle.

        Raises:
            MissingError: It is not there at that width.
            ForbiddenError: Entry bundles are not for this caller.
            BusyError: As `checkpoint`, as `TooLargeError`.
        """
        is_bundle = isinstance(place, BundleCoordinate)
        limit = MAX_BUNDLE_BYTES if is_bundle else MAX_TILE_BYTES
        return self._get(f"{self._path}/{place.path()}", limit, secret=is_bundle)

    def document(self, content_hash: str) -> bytes:
        """Return a document that the rules were judged by; nothing says that the bytes are its hash's.

        Raises:
            MissingError: The ledger's service has no such document.
            ForbiddenError: Documents are not for this caller.
            BusyError: As `checkpoint`, as `TooLargeError`.
        """
        return self._get(f"/v1/documents/{content_hash}", MAX_DOCUMENT_BYTES, secret=True)

    # -- one request -----------------------------------------------------------------------------------

    def _get(self, path: str, limit: int, *, secret: bool = False) -> bytes:
        problem, again = "", False
        for attempt in range(self._tries):
            if attempt:
                self._pause(_pause_seconds(attempt, problem))
            try:
                status, data, problem = self._ask(path, limit, again=again, secret=secret)
            except httpx.HTTPError as error:
                problem = type(error).__name__
                continue
            if status == httpx.codes.OK:
                return data
            if status == httpx.codes.UNAUTHORIZED and secret and self._login is not None and not again:
                again = True  # the token has expired or was revoked: one fresh one
                continue
            if status not in _PASSES:
                raise _refusal(status, path)
        raise BusyError(f"{self.url} cannot be read now ({path}: {problem}).", retry_after_seconds=30)

    def _ask(self, path: str, limit: int, *, again: bool, secret: bool) -> tuple[int, bytes, str]:
        """Send one request; return status, body of a good answer, and what to say or heed of another."""
        headers = {"Accept-Encoding": "gzip"}
        if secret and self._login is not None:
            headers["Authorization"] = f"Bearer {self._login.token(self._client, again=again)}"
        until = self._patience.clock() + self._patience.seconds
        with self._client.stream("GET", path, headers=headers) as answer:
            if answer.status_code != httpx.codes.OK:
                return answer.status_code, b"", answer.headers.get("retry-after", "") or f"status {answer.status_code}"
            return httpx.codes.OK, _body(answer, path, limit, self._patience.clock, until), ""


def _address(url: str) -> SplitResult:
    """Split the address of a ledger.

    Raises:
        MalformedError: As for `RemoteLedger`.
    """
    try:
        parts, there = urlsplit(url), httpx.URL(url)
        # httpx lets hosts pass that itself or the resolver refuses later, in the middle of a round: `xn--a`, `a..b`.
        is_host = bool(there.host and there.raw_host.decode("ascii").encode("idna"))
        if is_host and _is_plain(parts) and not _SPACE.search(url):
            return parts
    except (ValueError, httpx.InvalidURL):
        pass  # no host, no port or no text: told below, as everything else that is no such address
    raise MalformedError("The address of a ledger is https://host/ledger/name, and nothing else.", code="bad_request")


def _is_plain(parts: SplitResult) -> bool:
    is_http = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    return is_http and "@" not in parts.netloc and not parts.query and not parts.fragment


def _body(answer: httpx.Response, path: str, limit: int, clock: Callable[[], float], until: float) -> bytes:
    """Read a body of at most so many bytes, plain or in one layer of gzip.

    Raises:
        TooLargeError: It is larger.
        MalformedError: It is encoded otherwise, cut short, or has bytes behind its end.
        httpx.ReadTimeout: It was not all there in time; looked at with every piece that comes, however small.
    """

    def pieces() -> Iterable[bytes]:
        for piece in answer.iter_raw():
            if clock() > until:
                raise httpx.ReadTimeout("the answer comes too slowly")
            yield piece

    encoding = answer.headers.get("content-encoding", "identity").strip().lower()
    if encoding == "gzip":
        return _unzipped(pieces(), path, limit)
    if encoding != "identity":
        raise MalformedError(f"{path} is encoded in a way that was not asked for.", code="bad_request")
    data = bytearray()
    for piece in pieces():
        data += piece
        if len(data) > limit:
            raise _too_large(path, limit)
    return bytes(data)


def _unzipped(pieces: Iterable[bytes], path: str, limit: int) -> bytes:
    """Decompress one gzip member and never hold more than the limit of it.

    What is on the wire is bounded as well: a gzip of empty blocks goes on for ever and comes to nothing.
    """
    unzip, data, taken = zlib.decompressobj(_GZIP), bytearray(), 0
    try:
        for piece in pieces:
            taken += len(piece)
            data += unzip.decompress(piece, limit + 1 - len(data))  # never 0, which would mean no limit at all
            if len(data) > limit or taken > 2 * limit + 1024:
                raise _too_large(path, limit)
            if unzip.unused_data:
                raise MalformedError(f"{path} has bytes behind its gzip.", code="bad_request")
    except zlib.error:
        raise MalformedError(f"{path} is not the gzip that it says it is.", code="bad_request") from None
    if not unzip.eof:
        raise MalformedError(f"{path} is a gzip that was cut short.", code="bad_request")
    return bytes(data)


def _too_large(path: str, limit: int) -> TooLargeError:
    return TooLargeError(f"{path} is larger than it can be.", max_bytes=limit)


def _pause_seconds(attempt: int, problem: str) -> float:
    """Return how long to wait before another try: what the server asks for within bounds, else longer each time."""
    if problem.isdecimal() and len(problem) < 6:
        return min(float(problem), LONGEST_PAUSE_SECONDS)
    longest = min(FIRST_PAUSE_SECONDS * 2.0 ** (attempt - 1), LONGEST_PAUSE_SECONDS)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads mirrors over time, hides nothing


def _refusal(status: int, path: str) -> Exception:
    if status in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
        return ForbiddenError(f"{path} is not for this caller ({status}); an auditor's token opens it.")
    if status in {httpx.codes.NOT_FOUND, httpx.codes.GONE}:
        return MissingError(f"{path} is not there.")
    if 300 <= status < 400:
        return MalformedError(f"{path} answers a redirect, which a ledger never does.", code="bad_request")
    return MalformedError(f"{path} answers {status}.", code="bad_request")
