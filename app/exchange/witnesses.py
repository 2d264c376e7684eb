"""What a ledger asks of a witness over HTTP: a cosignature, and what it has seen last (c2sp.org/tlog-witness).

    POST <url>/add-checkpoint                       asks for a cosignature
    GET  <url>/<SHA-256 of the origin>/checkpoint   what it cosigned last, with our own signature on it

Other agencies run these, with software of their own: what they answer is read strictly and bounded, and the ways in
which some differ from the specification are taken for what they mean (ledger reference section 8, trap 3). A witness
can say no, or nothing; what that means for the ledger is `app.exchange.witnessing`'s.
"""

from dataclasses import dataclass
from hashlib import sha256

import httpx

from app.errors import ServiceError
from app.ledger.checkpoint import Checkpoint, open_checkpoint
from app.ledger.note import MAX_NOTE_BYTES, NoteSignature, VerifierKey, signed_only
from app.ledger.policy import Witness
from app.ledger.submission import MAX_ANSWER_BYTES, SIZE_MEDIA_TYPE, Submission, read_answer, read_size

_UNREACHED = (httpx.HTTPError, httpx.InvalidURL, UnicodeError, RuntimeError)
"""No answer; a client that was closed meanwhile says so by a RuntimeError."""


@dataclass(frozen=True, slots=True)
class Cosigned:
    """It cosigned: signature lines as received, unproven."""

    lines: tuple[NoteSignature, ...]


@dataclass(frozen=True, slots=True)
class Stale:
    """It has seen another size last, and says which."""

    size: int


@dataclass(frozen=True, slots=True)
class Contradicted:
    """It says that our checkpoint does not extend what it has seen: a claim, not a proof."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Unavailable:
    """It gave no usable answer; the ledger goes on without it."""

    why: str


Answer = Cosigned | Stale | Contradicted | Unavailable


def client(seconds: float) -> httpx.Client:
    """Return an HTTP client with one bound on every step of an exchange; it follows no redirect."""
    return httpx.Client(timeout=seconds, follow_redirects=False, headers={"User-Agent": "ballot-custody"})


def ask(http: httpx.Client, witness: Witness, submission: Submission) -> Answer:
    """Ask a witness to cosign.

    Args:
        http: Bounds the time.
        witness: One of the policy, with a URL.
        submission: Old size, proof, and the checkpoint with our own signature only: some witnesses take 16 KiB.
    """
    try:
        answer = _read(http, "POST", f"{_base(witness)}/add-checkpoint", MAX_ANSWER_BYTES, submission.to_bytes())
    except _UNREACHED as error:
        return Unavailable(f"does not answer ({type(error).__name__})")
    status, kind, body = answer
    size = read_size(body) if status == httpx.codes.CONFLICT else None
    # Some send the size with a charset behind the media type, or none at all: the size is what counts.
    if size is not None and (not kind or kind.partition(";")[0].strip() in {SIZE_MEDIA_TYPE, "text/plain"}):
        return Stale(size)
    if status in {httpx.codes.CONFLICT, httpx.codes.UNPROCESSABLE_ENTITY}:
        return Contradicted(status, body[:MAX_ANSWER_BYTES])
    if status != httpx.codes.OK:
        return Unavailable(f"answers {status}")
    try:
        return Cosigned(read_answer(body))
    except ServiceError as error:
        return Unavailable(f"answers without a cosignature ({error.code})")


def seen_last(
    http: httpx.Client, witness: Witness, origin: str, keys: list[VerifierKey]
) -> tuple[Checkpoint, bytes] | None:
    """Return the checkpoint that a witness cosigned last, signed by our own key, and the note with our signature alone.

    Args:
        http: Bounds the time.
        witness: One of the policy, with a URL.
        origin: The ledger's.
        keys: The ledger's keys; without a signature by one of them nothing is believed.

    Returns:
        None when the witness has none, does not answer, or shows what our key did not sign.
    """
    address = f"{_base(witness)}/{sha256(origin.encode()).hexdigest()}/checkpoint"
    try:
        status, _, body = _read(http, "GET", address, MAX_NOTE_BYTES)
        if status != httpx.codes.OK:
            return None
        return open_checkpoint(body, keys, origin), signed_only(body, keys)
    except (*_UNREACHED, ServiceError):
        return None


def _base(witness: Witness) -> str:
    return witness.url.rstrip("/")


def _read(
    http: httpx.Client, method: str, url: str, limit: int, content: bytes | None = None
) -> tuple[int, str, bytes]:
    """Return status, media type and at most so many bytes of an answer."""
    data = b""
    with http.stream(method, url, content=content, headers={"Accept-Encoding": "identity"}) as answer:
        for piece in answer.iter_raw():
            data += piece
            if len(data) > limit:
                raise httpx.DecodingError("longer than such an answer can be")
        return answer.status_code, answer.headers.get("content-type", ""), data
