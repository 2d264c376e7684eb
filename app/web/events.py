"""`POST /v1/events` and `/v1/events/batch`: signed events in, receipts out.

No token opens these doors and none is needed: whoever brings an event, its signatures are what counts, and what
does not verify is answered 401 and leaves no trace. So an enrolment that was signed without a network travels
with the new phone's first event.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from anyio import to_thread
from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from app.canon import JsonValue, jcs, parse_json
from app.clock import parse_rfc3339
from app.custody.prove import Claim, ProvenEvent, Prover, offered_keys
from app.custody.receipts import Answer, Receipt
from app.errors import ForbiddenError, MalformedError, ServiceError, TooLargeError
from app.keys.signing import sign_compact
from app.keys.verify import PublicKey
from app.web import problems
from app.web.answers import Json, preferences, read_body
from app.web.auth import public
from app.web.declare import Says, Takes, declare, ref
from app.web.services import Services, services_of

router = APIRouter()
BATCH_DEPTH = 18
RECEIPT_TYP = "custody-receipt+json"
SCENARIO_TIME = "Custody-Scenario-Time"
_SIGNED = "The signatures of the event are what counts."
HEADERS = {
    "Prefer": "`respond-async`: answer as soon as the event is durable, without proof, with a signed `admission`. "
    "`return=minimal` (batch): leave the proofs out.",
    SCENARIO_TIME: "RFC 3339; the time of receipt, on a ledger whose genesis says `demo` only.",
}


def received_at(request: Request, services: Services) -> tuple[int, int | None]:
    """Return the time of receipt, and the same again when it is scenario time.

    Raises:
        ForbiddenError: `scenario_time`: the ledger's genesis does not say `demo`.
        MalformedError: `time`.
    """
    told = request.headers.get(SCENARIO_TIME)
    if told is None:
        return services.now_ms(), None
    if not services.demo:
        raise ForbiddenError("Only a demo ledger takes scenario time.", code="scenario_time")
    moment = parse_rfc3339(told)
    return moment, moment


@router.post(
    "/v1/events",
    **declare(
        public(_SIGNED),
        {
            201: Says("Recorded and accepted.", ref("Receipt")),
            200: Says("Recorded before; the same receipt.", ref("Receipt")),
            202: Says("Recorded; waits for another event, a moment or a decision.", ref("Receipt")),
        },
        takes=Takes(ref("SignedEvent")),
        problems=(401, 403, 409, 410, 422, 423),
        headers=HEADERS,
        tag="events",
    ),
)
async def post_event(request: Request) -> Response:
    """Record one event; a refusal is a problem document that carries its receipt."""
    services = services_of(request)
    data = await read_body(request)
    received_ms, sweep_to_ms = received_at(request, services)
    value = parse_json(data, max_bytes=services.settings.max_event_bytes)
    proven = services.prover.prove(value, received_ms)
    return await record_one(request, proven, sweep_to_ms)


async def record_one(request: Request, proven: ProvenEvent, sweep_to_ms: int | None) -> Response:
    """Record a proven event and answer with its receipt."""
    services = services_of(request)
    at_once = "respond-async" in preferences(request)
    [answer] = await services.record([proven], proofs=not at_once, sweep_to_ms=sweep_to_ms)
    if isinstance(answer, ServiceError):
        raise answer
    return answer_with(services, answer, at_once=at_once)


def answer_with(services: Services, receipt: Receipt, *, at_once: bool = False) -> Response:
    """Return a receipt, or the problem of a refusal with the receipt inside."""
    status = status_of(receipt)
    headers = {"Location": f"/v1/events/{receipt.event}"}
    members = receipt.spelled()
    if at_once:
        members = {**_without_proof(receipt), "admission": _admission(services, receipt)}
        headers["Preference-Applied"] = "respond-async"
    if status >= 400:
        return problems.answer(refusal(receipt, members), headers)
    return Json(members, status, headers)


def status_of(receipt: Receipt) -> int:
    """Return 200 for a replay, else what the verdict says."""
    if receipt.replayed:
        return 200
    if receipt.result == "refused":
        return problems.status_of_refusal(receipt.code)
    return 201 if receipt.result == "accepted" else 202


def refusal(receipt: Receipt, members: dict[str, Any]) -> dict[str, Any]:
    """Return the problem document of a recorded refusal."""
    status = problems.status_of_refusal(receipt.code)
    return problems.body(status, receipt.code, receipt.detail, {**receipt.facts, "receipt": members})


def _without_proof(receipt: Receipt) -> dict[str, JsonValue]:
    return replace(receipt, checkpoint=None, tree_size=None, path=None).as_json()


def _admission(services: Services, receipt: Receipt) -> str:
    """Sign what was taken with the admission key: durable, not yet provable."""
    return sign_compact(jcs(_without_proof(receipt)), services.keys.admission, RECEIPT_TYP)


# -- batches ---------------------------------------------------------------------------------------------


@router.post(
    "/v1/events/batch",
    **declare(
        public(_SIGNED),
        {200: Says("One result per event, in order; each stands alone.", ref("BatchAnswer"))},
        takes=Takes(ref("Batch")),
        problems=(403,),
        headers=HEADERS,
        tag="events",
    ),
)
async def post_batch(request: Request) -> Response:
    """Record up to 1,000 events; what is wrong with one says nothing of the others."""
    services = services_of(request)
    data = await read_body(request)
    received_ms, sweep_to_ms = received_at(request, services)
    wanted = preferences(request)
    minimal = wanted.get("return") == "minimal" or "respond-async" in wanted
    proven = await to_thread.run_sync(prove_all, services, data, received_ms, limiter=services.provers)
    fit = [one for one in proven if isinstance(one, ProvenEvent)]
    answers: list[Answer] = []
    if fit:
        answers = await services.record(fit, proofs=not minimal, sweep_to_ms=sweep_to_ms, bulk=True)
    return await run_in_threadpool(partial(_batch_answer, services, proven, answers, minimal=minimal))


def prove_all(services: Services, data: bytes, received_ms: int) -> list[ProvenEvent | ServiceError]:
    """Prove the events of a batch; keys that one enrols count for those behind it.

    All are read before the first signature is verified: two kinds of work by turns cost a fifth more, since each
    takes the processor's caches from the other.

    Raises:
        MalformedError: The batch itself is not an array of events.
        TooLargeError: It holds more than the limit.
    """
    value = parse_json(data, max_bytes=services.settings.max_batch_bytes, max_depth=BATCH_DEPTH)
    items = value.get("events") if isinstance(value, dict) and len(value) == 1 else value
    if not isinstance(items, list):
        raise MalformedError("A batch is an array of events, or an object with `events`.", code="body_shape")
    limit = services.settings.max_batch_events
    if len(items) > limit:
        raise TooLargeError("The batch holds too many events.", max_events=limit)
    offered: dict[str, PublicKey] = {}
    claims = [_read(services.prover, item) for item in items]
    return [_verify(services.prover, claim, received_ms, offered) for claim in claims]


def _read(prover: Prover, item: JsonValue) -> Claim | ServiceError:
    try:
        return prover.read(item)
    except ServiceError as error:
        return error


def _verify(
    prover: Prover, claim: Claim | ServiceError, received_ms: int, offered: dict[str, PublicKey]
) -> ProvenEvent | ServiceError:
    if isinstance(claim, ServiceError):
        return claim
    try:
        proven = prover.verify(claim, received_ms, offered=offered)
    except ServiceError as error:
        return error
    if proven.event.type.name == "key.enrol":
        try:
            offered.update(offered_keys([proven.event]))
        except ServiceError:  # an unsound key offers nothing; its event is refused by the rule
            return proven
    return proven


def _batch_answer(
    services: Services, proven: Sequence[ProvenEvent | ServiceError], answers: Sequence[Answer], *, minimal: bool
) -> Response:
    rest = iter(answers)
    given = [one if isinstance(one, ServiceError) else next(rest) for one in proven]
    checkpoint = services.view.published[1].decode()
    fresh = next((a.checkpoint for a in given if isinstance(a, Receipt) and a.checkpoint and not a.replayed), None)
    shown = fresh or checkpoint
    results = [_result(one, shown, minimal=minimal) for one in given]
    headers = {"Preference-Applied": "return=minimal"} if minimal else {}
    return Json({"results": results, "checkpoint": shown}, 200, headers)


def _result(answer: Answer, checkpoint: str, *, minimal: bool) -> dict[str, Any]:
    """Return one result; the checkpoint that all share stands once, beside the results."""
    if isinstance(answer, ServiceError):
        members = problems.body_of(answer)
        return {"status": members["status"], "problem": members}
    members = _without_proof(answer) if minimal else answer.spelled(checkpoint)
    status = status_of(answer)
    if status >= 400:
        return {"status": status, "problem": refusal(answer, members)}
    return {"status": status, "receipt": members}
