"""A witness's own door, c2sp.org/tlog-witness: a small application beside the ballot service's, not a part of it.

    POST /add-checkpoint              cosign a checkpoint
    GET  /                            who this is, and what it has cosigned
    GET  /<hash>/checkpoint           the newest checkpoint cosigned for an origin, by its SHA-256
    GET  /evidence · /evidence/<n>    signed checkpoints that contradicted what was held
    GET  /healthz · /metrics          for whoever runs it

Statuses are the specification's and what its clients go by; bodies of refusals are problem documents for people. The
one exception is the body of a 409, a bare size whose media type real clients compare exactly.
"""

from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from anyio import to_thread
from fastapi import APIRouter, FastAPI
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from app.errors import ConflictError, MalformedError, MissingError, ServiceError
from app.ledger.submission import MAX_SUBMISSION_BYTES, SIZE_MEDIA_TYPE, write_answer
from app.web import problems
from app.web.answers import Json
from app.web.gate import Gate
from app.web.metrics import CONTENT_TYPE
from app.witness.cosign import Witness
from app.witness.decide import Finding

TEXT = "text/plain; charset=utf-8"
EVIDENCE_PAGE = 100

router = APIRouter()


def create_app(witness: Witness) -> FastAPI:
    """Return the application of an open witness; the application closes it at the end."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        witness.close()

    app = FastAPI(title="Witness", lifespan=lifespan, openapi_url=None, docs_url=None, redoc_url=None,
                  redirect_slashes=False)  # fmt: skip
    app.state.witness, app.state.metrics = witness, WitnessMetrics(witness)
    app.include_router(router)
    problems.install(app)
    app.add_middleware(Gate, metrics=app.state.metrics, limits={"/add-checkpoint": MAX_SUBMISSION_BYTES}, doors={})
    return app


@router.post("/add-checkpoint")
async def add_checkpoint(request: Request) -> Response:
    """Answer one request of a ledger or of a feeder; whatever media type it names."""
    try:
        body = await request.body()
    except ClientDisconnect:
        raise MalformedError("The body broke off.", code="bad_request") from None
    try:
        lines = await to_thread.run_sync(_of(request).add_checkpoint, body)
    except ConflictError as error:
        return Response(f"{error.facts['size']}\n", 409, {"Content-Type": SIZE_MEDIA_TYPE})
    return Response(write_answer(lines), 200, {"Content-Type": TEXT})


@router.get("/")
def about(request: Request) -> Response:
    """Say who this is, and what it has seen of which ledgers."""
    witness = _of(request)
    ledgers = [
        {
            "origin": row.origin, "checkpoint": f"/{row.hash}/checkpoint", "trusted": bool(witness.keys(row.origin)),
            "size": row.size, "cosigned_at": row.cosigned_at or None,
        }
        for row in witness.ledgers()
    ]  # fmt: skip
    return Json({
        "name": witness.name, "vkeys": [key.to_text() for key in witness.vkeys], "ledgers": ledgers,
        "evidence": sum(witness.evidence_counts().values()), "failing": witness.failing(),
    })  # fmt: skip


@router.get("/{origin_hash}/checkpoint")
def newest(request: Request, origin_hash: str) -> Response:
    """Return the newest checkpoint that was cosigned, tlog-witness "Monitoring"."""
    headers = {"Content-Type": TEXT, "Access-Control-Allow-Origin": "*"}
    return Response(_of(request).newest(origin_hash), 200, headers)


@router.get("/evidence")
def evidence(request: Request, after: int = 0) -> Response:
    """List evidence, oldest first, a hundred at a time; `after` is the last number that is known."""
    rows = _of(request).evidence(min(max(after, 0), 2**62), EVIDENCE_PAGE)
    return Json({
        "items": [
            {"id": row.id, "origin": row.origin, "finding": row.finding, "size": row.size, "kept_at": row.kept_at,
             "held_size": row.held_size, "href": f"/evidence/{row.id}"} for row in rows
        ],
        "next": f"/evidence?after={rows[-1].id}" if len(rows) == EVIDENCE_PAGE else None,
    })  # fmt: skip


@router.get("/evidence/{number}")
def piece(request: Request, number: str) -> Response:
    """Return one piece whole: the refused checkpoint, what was held, and the request as it came."""
    wanted = int(number) if number.isascii() and number.isdigit() and len(number) < 16 else 0
    rows = _of(request).evidence(wanted - 1, 1) if wanted else []
    if not rows or rows[0].id != wanted:
        raise MissingError("There is no such evidence.")
    [row] = rows
    return Json({
        "id": row.id, "origin": row.origin, "finding": row.finding, "size": row.size, "kept_at": row.kept_at,
        "checkpoint": row.note.decode(), "held_size": row.held_size,
        "held": None if row.held_note is None else row.held_note.decode(), "request": b64encode(row.body).decode(),
    })  # fmt: skip


@router.get("/healthz")
def healthz(request: Request) -> Response:
    """Say whether this witness can sign, and what keeps it from it."""
    failing = _of(request).failing()
    return Json({"status": "failing" if failing else "alive", "failing": failing}, 503 if failing else 200)


@router.get("/metrics")
def metrics(request: Request) -> Response:
    """Return counters for Prometheus."""
    counted: WitnessMetrics = request.app.state.metrics
    return Response(counted.text(), 200, {"Content-Type": CONTENT_TYPE})


def _of(request: Request) -> Witness:
    witness: Witness = request.app.state.witness
    return witness


class WitnessMetrics:
    """The few figures of one witness."""

    def __init__(self, witness: Witness) -> None:
        """Read the state when somebody asks."""
        self._witness = witness
        self.registry = registry = CollectorRegistry()
        self._requests = Counter("witness_requests_total", "Requests answered.", ["route", "status"], registry=registry)
        self._evidence = Gauge("witness_evidence", "Pieces of evidence kept.", ["finding"], registry=registry)
        self._failing = Gauge("witness_failing", "1 while this witness cannot sign.", registry=registry)
        self._newest = Gauge("witness_newest_cosignature_seconds", "POSIX time of the newest cosignature.",
                             registry=registry)  # fmt: skip

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request by its route's template, never by its path."""
        del method, seconds
        self._requests.labels(route, str(status)).inc()

    def text(self) -> bytes:
        """Return everything in the text format; what the database does not say now is left as it was."""
        failing = self._witness.failing()
        self._failing.set(float(bool(failing)))
        if "storage" not in failing:
            try:
                counts = self._witness.evidence_counts()
                for found in Finding:
                    self._evidence.labels(found).set(sum(n for (_, kind), n in counts.items() if kind == found))
                self._newest.set(self._witness.newest_at())
            except ServiceError:
                self._failing.set(1.0)
        return generate_latest(self.registry)
