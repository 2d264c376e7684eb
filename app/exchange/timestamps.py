"""Ask an authority for the legal time of a witnessed checkpoint (RFC 3161 section 3.4, over HTTP).

    POST <url>   application/timestamp-query   ->   200 application/timestamp-reply

The authority is somebody else's machine, and stamps cost money: it is asked once, for the cosigned note's exact bytes
by their SHA-256, with a nonce and for its certificate. Its answer is bounded in size and time and verified against
the root certificates of the settings before it is kept; a wrong one leaves nothing behind. No redirect is followed.
"""

import time
from collections.abc import Callable
from pathlib import Path

import httpx
from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

from app.audit.stamped import MAX_ROOTS_BYTES, MAX_STAMP_BYTES, read_stamp
from app.config import Settings
from app.db import Database
from app.errors import BusyError, MalformedError, MissingError, TooLargeError
from app.ledger import stamps
from app.ledger.stamps import KeptStamp, StampTime
from app.ledger.witnessed import cosigned_note, newest_witnessed

QUERY, REPLY = "application/timestamp-query", "application/timestamp-reply"
STEP_SECONDS = 10.0
ANSWER_SECONDS = 30.0


class Authority:
    """One time-stamping authority; use `close` at the end."""

    def __init__(
        self, url: str, roots: bytes, *, step_seconds: float = STEP_SECONDS, answer_seconds: float = ANSWER_SECONDS
    ) -> None:
        """Take its address; nothing is asked yet.

        Args:
            url: Where requests go; it may hold credentials and is never shown.
            roots: PEM bundle of the certificates that it is trusted by.
            step_seconds: Longest silence within an exchange.
            answer_seconds: Longest time for an answer's body.
        """
        self._url, self._roots, self._answer_seconds = url, roots, answer_seconds
        self._http = httpx.Client(
            timeout=step_seconds, follow_redirects=False, headers={"User-Agent": "ballot-custody"}
        )

    def close(self) -> None:
        """Hang up."""
        self._http.close()

    def stamp(self, stamped: bytes) -> KeptStamp:
        """Have bytes stamped, and verify the answer.

        Args:
            stamped: What the stamp is to be about.

        Raises:
            BusyError: No answer, one that takes too long, or another status than 200: it may answer later.
            TooLargeError: The answer is larger than any stamp.
            MalformedError: `stamp`: another media type, or no answer of RFC 3161.
            UnprovenError: `stamp`: not granted, over other bytes, for another request, or not the authority's.
            MissingError: `stamp_roots`: no root, or none that has to do with the authority.
        """
        request = (
            TimestampRequestBuilder()
            .data(stamped)
            .hash_algorithm(HashAlgorithm.SHA256)
            .nonce(nonce=True)
            .cert_request(cert_request=True)
            .build()
        )
        try:
            token = self._ask(request.as_bytes())
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            problem = type(error).__name__  # its text may hold the address, and that a password
            raise BusyError(
                f"The time-stamping authority does not answer ({problem}).", retry_after_seconds=60
            ) from None
        read = read_stamp(token, stamped, self._roots, nonce=request.nonce)
        return KeptStamp(read.authority, read.at_ms, token, stamped)

    def _ask(self, query: bytes) -> bytes:
        headers = {"Content-Type": QUERY, "Accept": REPLY, "Accept-Encoding": "identity"}
        data, deadline = bytearray(), time.monotonic() + self._answer_seconds
        with self._http.stream("POST", self._url, content=query, headers=headers) as answer:
            if answer.status_code != httpx.codes.OK:
                raise BusyError(f"The time-stamping authority answers {answer.status_code}.", retry_after_seconds=60)
            if answer.headers.get("content-type", "").partition(";")[0].strip().lower() != REPLY:
                raise MalformedError("The answer of the time-stamping authority is of another type.", code="stamp")
            for piece in answer.iter_raw():
                data += piece
                if len(data) > MAX_STAMP_BYTES:
                    raise TooLargeError("The time-stamping authority's answer is too large.", max_bytes=MAX_STAMP_BYTES)
                if time.monotonic() > deadline:
                    raise httpx.ReadTimeout("the answer comes too slowly")
        return bytes(data)


def authority_of(settings: Settings) -> Authority:
    """Return the authority in the settings.

    Raises:
        MissingError: `stamp_roots`: no URL is set, no file of roots, or it cannot be read.
    """
    if not settings.tsa_url or settings.tsa_roots is None:
        raise MissingError("Set CUSTODY_TSA_URL and CUSTODY_TSA_ROOTS to have stamps made.", code="stamp_roots")
    return Authority(settings.tsa_url, roots_in(settings.tsa_roots))


def roots_in(path: Path) -> bytes:
    """Return a bundle of root certificates; that it is one is for whoever reads it.

    Raises:
        MissingError: `stamp_roots`: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(MAX_ROOTS_BYTES + 1)
    except OSError as error:
        raise MissingError(f"The roots of time stamps cannot be read: {error}.", code="stamp_roots") from None


def stamp_newest(db: Database, ledger_id: int, authority: Callable[[], Authority]) -> StampTime | None:
    """Stamp the newest witnessed checkpoint, unless it has a stamp.

    Nothing is locked while the authority is asked.

    Args:
        db: The ledger's database.
        ledger_id: The ledger.
        authority: Gives the authority when it is needed; it is closed afterwards.

    Returns:
        The new stamp; None when there is no witnessed checkpoint, or it has one.

    Raises:
        ServiceError: As `Authority.stamp` and `authority_of`; nothing was kept.
    """
    with db.read() as session:
        newest = newest_witnessed(session, ledger_id)
        if newest is None or stamps.stamps_of(session, ledger_id, newest[0]):
            return None
        stamped = cosigned_note(session, ledger_id, newest[0])
    asked = authority()
    try:
        stamp = asked.stamp(stamped)
    finally:
        asked.close()
    with db.write() as session:
        stamps.keep(session, ledger_id, newest[0], stamp)
    return StampTime(newest[0], stamp.authority, stamp.at_ms)
