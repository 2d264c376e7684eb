"""A ledger of somebody else over HTTP: plain tiles, and documents for whoever may read them.

Everything that comes back is bounded in size and time and believed by nobody: who asks proves it. Requests go to the
one host that was named, redirects are not followed, and a failure that may pass is tried again with growing pauses.
Credentials go with bundles and documents only, since nothing else needs them.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

import httpx

from app.errors import BusyError, ForbiddenError, MalformedError, MissingError, TooLargeError
from app.ledger.folder import MAX_BUNDLE_BYTES, MAX_CHECKPOINT_BYTES, MAX_DOCUMENT_BYTES, MAX_TILE_BYTES, Place
from app.ledger.tiles import BundleCoordinate

CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 20.0
ANSWER_SECONDS = 120.0
TRIES = 6
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
MAX_TOKEN_BYTES = 16 * 1024
_PASSES = frozenset({408, 425, 429, 500, 502, 503, 504})


class Login(Protocol):
    """Earns a bearer token."""

    def token(self, client: httpx.Client, *, again: bool) -> str:
        """Return a token; a fresh one when the last was not accepted."""


@dataclass(frozen=True, slots=True)
class FixedToken:
    """A token that somebody else earned."""

    bearer: str

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

    def __init__(self, client_id: str, client_secret: str) -> None:
        """Keep the credentials; nothing is asked yet."""
        self._named = (client_id, client_secret)
        self._bearer, self._until = "", 0.0

    def token(self, client: httpx.Client, *, again: bool) -> str:
        """Return a token for at least half of its life.

        Raises:
            ForbiddenError: The client is not accepted.
        """
        if again or time.monotonic() >= self._until:
            answer = client.post("/oauth/token", data={"grant_type": "client_credentials"}, auth=self._named)
            if answer.status_code != httpx.codes.OK or len(answer.content) > MAX_TOKEN_BYTES:
                raise ForbiddenError(f"The ledger gives this client no token: {answer.status_code}.")
            try:
                told = answer.json()
                self._bearer, seconds = str(told["access_token"]), float(told.get("expires_in", 60))
            except (ValueError, TypeError, KeyError, AttributeError):
                raise ForbiddenError("The ledger's token endpoint does not answer as OAuth does.") from None
            self._until = time.monotonic() + seconds / 2
        return self._bearer


class RemoteLedger:
    """The doors of one ledger; use it as a context."""

    def __init__(
        self, url: str, login: Login | None = None, *, pause: Callable[[float], object] = time.sleep, tries: int = TRIES
    ) -> None:  # fmt: skip
        """Take the ledger's address.

        Args:
            url: The prefix of `checkpoint` and `tile/…`, `https://custody.example/ledger/pemilu2029-64`.
            login: Earns tokens for bundles and documents where they are not public.
            pause: Waits so many seconds.
            tries: How often a request is sent when its failure may pass.

        Raises:
            MalformedError: It is no http address, or has credentials, a query or a fragment in it.
        """
        parts = urlsplit(url)
        if (
            parts.scheme not in {"http", "https"}
            or not parts.hostname
            or parts.username
            or parts.query
            or parts.fragment
        ):
            raise MalformedError(
                "The address of a ledger is https://host/ledger/name, and nothing else.", code="bad_request"
            )
        self.url = url.rstrip("/")
        self._path = parts.path.rstrip("/")
        timeout = httpx.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS)
        base = f"{parts.scheme}://{parts.netloc}"
        is_tls = parts.scheme == "https"  # reading the authorities takes longer than a round over plain HTTP
        self._client = httpx.Client(
            base_url=base, timeout=timeout, verify=is_tls, follow_redirects=False, trust_env=False
        )
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
        deadline, data = time.monotonic() + ANSWER_SECONDS, bytearray()
        with self._client.stream("GET", path, headers=headers) as answer:
            if answer.status_code != httpx.codes.OK:
                return answer.status_code, b"", answer.headers.get("retry-after", "") or f"status {answer.status_code}"
            for piece in answer.iter_bytes(64 * 1024):
                data += piece
                if len(data) > limit:
                    raise TooLargeError(f"{path} is larger than it can be.", max_bytes=limit)
                if time.monotonic() > deadline:
                    raise httpx.ReadTimeout("the answer comes too slowly")
        return httpx.codes.OK, bytes(data), ""


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
