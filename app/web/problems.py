"""The one table from codes to statuses, and the one shape of every error answer (RFC 9457).

`code` is the contract; this table is the only place that knows a status for it. A test reads the whole source
and fails when a code has no row here, or when a row is used by nobody. Nothing here echoes input; a failure of
our own answers an opaque id that stands beside the traceback in the log.
"""

import secrets
from collections.abc import Mapping
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from app.errors import (
    BusyError,
    ConflictError,
    ForbiddenError,
    MalformedError,
    MissingError,
    RefusedError,
    ServiceError,
    TamperError,
    TooLargeError,
    UnprovenError,
)
from app.web.answers import encode

log = structlog.get_logger(__name__)
MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:ballot-custody:problem:"

PROBLEMS: dict[str, tuple[int, str]] = {
    # -- bytes and shapes, before any trust
    "malformed": (400, "Malformed request"),
    "base64": (400, "Not canonical base64url"),
    "body_shape": (400, "Body of the wrong shape"),
    "commitment": (400, "A private content does not open its commitment"),
    "cursor": (400, "Cursor not usable here"),
    "details_shape": (400, "Details of the wrong shape"),
    "document_inconsistent": (400, "Document contradicts itself"),
    "document_shape": (400, "Document of the wrong shape"),
    "event_id": (400, "Not a UUIDv7"),
    "event_shape": (400, "Event of the wrong shape"),
    "foreign_code": (400, "Foreign code not usable"),
    "json_depth": (400, "JSON nested too deeply"),
    "json_duplicate_name": (400, "JSON repeats a name"),
    "json_encoding": (400, "Not UTF-8"),
    "json_float": (400, "JSON number not an integer"),
    "json_integer_range": (400, "JSON integer out of range"),
    "json_name": (400, "JSON name not ASCII"),
    "json_syntax": (400, "Not JSON"),
    "json_text": (400, "JSON text holds a forbidden character"),
    "jwk": (400, "Not a public key"),
    "jws_alg": (400, "Algorithm not accepted"),
    "jws_duplicate_kid": (400, "A key signs twice"),
    "jws_header": (400, "Protected header of the wrong shape"),
    "jws_shape": (400, "Envelope of the wrong shape"),
    "jws_typ": (400, "Signed for another purpose"),
    "private": (400, "Private contents of the wrong shape"),
    "text_form": (400, "Text not in the accepted form"),
    "time": (400, "Time not usable"),
    "unit_id": (400, "Not a unit id"),
    "units_repeated": (400, "A unit is named twice"),
    "unknown_type": (400, "Unknown type of event"),
    "weak_key": (400, "Key not sound"),
    "wrong_ledger": (400, "Event of another ledger"),
    "parameter": (422, "Parameter not usable"),
    "bad_request": (400, "Bad request"),
    # -- proof of who speaks
    "unproven": (401, "Not proven"),
    "credentials": (401, "Access token missing or not accepted"),
    "key_alg": (401, "Signature names another algorithm"),
    "signature": (401, "Signature does not verify"),
    "unknown_key": (401, "Key not enrolled"),
    "enrolment_token": (401, "Enrolment token not accepted"),
    "cosignature": (401, "Cosignature not accepted"),
    # -- who may
    "forbidden": (403, "Not allowed"),
    "jurisdiction": (403, "Outside the mandate's place"),
    "mandate": (403, "Outside the mandate's time"),
    "not_incident_owner": (403, "Another agency owns the incident"),
    "not_named_taker": (403, "Another receiver is named"),
    "not_your_agency": (403, "Another agency's"),
    "role": (403, "Role does not allow it"),
    "same_side": (403, "Both sides by one officer or agency"),
    "scenario_time": (403, "Scenario time only on a demo ledger"),
    "self_accept": (403, "Nobody accepts what he released himself"),
    "self_approval": (403, "Nobody approves himself"),
    "supervisor_handles": (403, "A supervisor does not handle goods"),
    # -- what is not there
    "not_found": (404, "Not found"),
    "no_list": (404, "No list of ledgers"),
    "no_ledger": (404, "No such ledger"),
    "tile_path": (404, "No such tile"),
    "method_not_allowed": (405, "Method not allowed"),
    "body_timeout": (408, "Body came too slowly"),
    # -- what the state says
    "refused": (409, "Refused"),
    "conflict": (409, "Conflict"),
    "already_inspected": (409, "Inspected already"),
    "alias_exists": (409, "Foreign code is bound already"),
    "already_explained": (409, "Your agency has explained it"),
    "already_accepted": (409, "Accepted before"),
    "already_packed": (409, "Packed already"),
    "already_released": (409, "Released already"),
    "already_retracted": (409, "Retracted already"),
    "already_revoked": (409, "Revoked already"),
    "claim_mismatch": (409, "Event and claim differ"),
    "cycle": (409, "A container would contain itself"),
    "dapil_mismatch": (409, "Another electoral district"),
    "decision": (409, "Refused by decision"),
    "different_goods": (409, "Different goods"),
    "enrolment_state": (409, "Enrolment is in another state"),
    "event_id_reuse": (409, "Event id used for another payload"),
    "genesis_exists": (409, "The ledger has its genesis"),
    "handover_cancelled": (409, "Handover was cancelled"),
    "handover_rejected": (409, "Handover was rejected"),
    "inspection_incomplete": (409, "Sample not inspected in full"),
    "inspection_state": (409, "Inspection is in another state"),
    "key_reused": (409, "Key enrolled before"),
    "key_revoked": (409, "Key was revoked"),
    "label_exists": (409, "Label issued before"),
    "label_not_blank": (409, "Label is not blank"),
    "incident_closed": (409, "Incident is closed"),
    "incident_state": (409, "Incident is in another state"),
    "no_gap": (409, "No such difference"),
    "not_open": (409, "Closed already"),
    "ledger_closed": (409, "Ledger is closed"),
    "lot_below_zero": (409, "Lot would fall below zero"),
    "no_genesis": (409, "Ledger has no genesis"),
    "no_policy": (409, "No policy in force"),
    "not_checked": (409, "Goods not inspected yet"),
    "not_condemned": (409, "Goods not condemned"),
    "not_drawn": (409, "Sample not drawn yet"),
    "not_flagged": (409, "No such flag to clear"),
    "not_good": (409, "Goods not in good condition"),
    "not_held": (409, "Event is not held"),
    "not_holder": (409, "Not the holder"),
    "not_inside": (409, "Not inside that container"),
    "not_waiting": (409, "Event does not wait"),
    "other_place": (409, "At another place"),
    "packed": (409, "Inside a container"),
    "point_taken": (409, "A seal is at that point"),
    "release_not_effective": (409, "Release has no effect"),
    "resurrected_unit": (409, "Unit was destroyed"),
    "seal_mismatch": (409, "Another seal is at that point"),
    "seal_reuse": (409, "Seal number used before"),
    "sealed_parent": (409, "Inside a sealed container"),
    "secrecy_wall": (409, "Beyond the secrecy wall"),
    "state": (409, "State does not allow it"),
    "verdict_mismatch": (409, "Verdict contradicts the rules"),
    "wrong_contest": (409, "Another contest"),
    "wrong_destination": (409, "Another destination"),
    "founders": (422, "Founders contradict themselves"),
    "ledger_key": (422, "Keys of checkpoints not usable"),
    "ledger_key_missing": (409, "Service does not hold that key"),
    "shard_checkpoint": (422, "Not that ledger's next checkpoint"),
    "no_checkpoint": (404, "No checkpoint of that size"),
    "no_commitment": (404, "Nothing committed to yet"),
    "unit_exists": (409, "There is such a unit"),
    "label_retired": (410, "Label was retired"),
    "enrolment_expired": (410, "Enrolment expired"),
    # -- too much, or of the wrong kind
    "too_large": (413, "Too large"),
    "json_too_large": (413, "JSON too large"),
    "leaf_too_large": (413, "Event and its verdict too large"),
    "payload_too_large": (413, "Payload too large"),
    "uri_too_long": (414, "Address too long"),
    "head_too_large": (431, "Head too large"),
    "media_type": (415, "Media type not accepted"),
    # -- the request contradicts itself, the policy or the plan
    "capacity_exceeded": (422, "Container does not hold that much"),
    "count": (422, "Count does not agree"),
    "document_missing": (422, "Document missing"),
    "due_before_release": (422, "Due before its release"),
    "exceptions": (422, "Exceptions not of the release"),
    "field": (422, "Field cannot be corrected"),
    "ids_mismatch": (422, "Ids do not agree with the event"),
    "ids_missing": (422, "List of ids missing"),
    "label_checksum": (422, "Unit id misread"),
    "label_text": (422, "Text does not fit into the code"),
    "no_labels": (422, "No labels to print"),
    "no_units": (422, "No units named"),
    "not_a_lot": (422, "Not a lot"),
    "plan_mismatch": (422, "Plan and opening differ"),
    "plan_tells": (422, "Plan is not hidden"),
    "png_scale": (422, "Scale not usable"),
    "policy_unmet": (422, "Policy not satisfied"),
    "possession": (422, "Possession of the key not proven"),
    "quantity": (422, "Quantity not usable"),
    "sample_mismatch": (422, "Sample and counts differ"),
    "scan_mismatch": (422, "Scan and release differ"),
    "sheet_format": (422, "Unknown sheet format"),
    "short_host": (422, "Short host not usable"),
    "signature_set": (422, "Set of signatures differs"),
    "size": (422, "Size not usable"),
    "target": (422, "Not a target of that"),
    "units_mismatch": (422, "Units and details differ"),
    "unknown_agency": (422, "Unknown agency"),
    "contest_missing": (422, "Contest missing"),
    "unknown_contest": (422, "Unknown contest"),
    "unknown_discrepancy": (422, "No such discrepancy"),
    "unknown_election": (422, "Unknown election"),
    "unknown_event": (422, "Unknown event"),
    "unknown_incident": (422, "No such incident"),
    "unknown_inspection": (422, "Unknown inspection"),
    "unknown_item": (422, "Unknown item"),
    "unknown_label": (422, "Unknown label"),
    "unknown_place": (422, "Unknown place"),
    "witnesses_missing": (422, "Witnesses missing"),
    "wrong_count": (422, "Count differs from the ledger's"),
    "hold": (423, "Under legal hold"),
    "missing": (423, "Reported missing"),
    "quarantine": (423, "In quarantine"),
    # -- not your fault
    "error": (500, "Internal error"),
    "internal": (500, "Internal error"),
    "tamper": (500, "Internal error"),
    "key_file_mode": (500, "Internal error"),
    "server_key": (500, "Internal error"),
    "busy": (503, "Busy"),
    "clock_behind": (503, "Clock runs back"),
    "document": (500, "Internal error"),
    "leaf_canonical": (500, "Internal error"),
    "leaf_missing": (500, "Internal error"),
    "leaf_shape": (500, "Internal error"),
    "leaf_version": (500, "Internal error"),
    "replay_differs": (500, "Internal error"),
    "rules_version": (500, "Internal error"),
    "unjudgeable": (500, "Internal error"),
    "ledger_frozen": (503, "Ledger frozen after an alarm"),
    "storage": (503, "Storage not available"),
    "timeout": (503, "Not committed in time"),
    # -- formats that travel in files, read by the command and by verifiers
    "bundle_document": (400, "Bundle holds a wrong document"),
    "bundle_entry": (400, "Bundle holds a wrong entry"),
    "bundle_manifest": (400, "Bundle has no usable manifest"),
    "bundle_names": (400, "Bundle holds other files than its manifest"),
    "bundle_readme": (400, "Bundle has another README"),
    "bundle_too_large": (413, "Bundle too large"),
    "bundle_zip": (400, "Not a zip"),
    "claim": (400, "Statement asked for in the wrong way"),
    "checkpoint": (400, "Not a checkpoint"),
    "checkpoint_origin": (401, "Checkpoint of another ledger"),
    "checkpoint_signature": (403, "Checkpoint not signed by its ledger"),
    "decimal": (400, "Not a decimal"),
    "entry_bundle": (400, "Not an entry bundle"),
    "file_differs": (500, "Internal error"),
    "fork": (500, "Internal error"),
    "genesis_mismatch": (401, "Ledger with another genesis"),
    "genesis_missing": (401, "Bundle without genesis"),
    "heads": (401, "Latest event not proven"),
    "inclusion_proof": (401, "Proof of another leaf"),
    "inconsistent": (422, "Not consistent with what was seen"),
    "ledger_edge": (400, "Not an edge of a tree"),
    "ledger_rollback": (409, "Ledger was rolled back"),
    "genesis": (400, "Pinned genesis not a hash"),
    "ledger_list": (400, "Not a list of ledgers"),
    "note": (400, "Not a signed note"),
    "note_signature": (401, "Note not signed by that key"),
    "quorum": (401, "Too few witnesses"),
    "signer_key": (400, "Not a signing key"),
    "stamp": (401, "Time stamp not proven"),
    "stamp_roots": (400, "Root certificates not usable"),
    "tile": (401, "Tile of another tree"),
    "submission": (400, "Not a request to a witness"),
    "tlog_policy": (400, "Not a trust policy"),
    "tlog_proof": (400, "Not a proof"),
    "verifier_key": (400, "Not a verifier key"),
    "witness_size": (409, "Witness has seen another size"),
    "witness_stopped": (503, "Witness has stopped"),
}
"""Status and title by code. Pending and held events are no problems: they answer 202 and have no row."""

WAITS = frozenset({"pending_predecessor", "cancel_waits", "key_revoked"})
"""Codes of verdicts `pending` and `held`, which answer 202."""

_BY_CLASS: tuple[tuple[type[ServiceError], int], ...] = (
    (MalformedError, 400), (UnprovenError, 401), (ForbiddenError, 403), (MissingError, 404), (ConflictError, 409),
    (RefusedError, 409), (TooLargeError, 413), (BusyError, 503), (TamperError, 500),
)  # fmt: skip
_BY_STATUS = {
    400: "bad_request", 401: "credentials", 403: "forbidden", 404: "not_found", 405: "method_not_allowed",
    408: "body_timeout", 413: "too_large", 414: "uri_too_long", 415: "media_type", 503: "busy",
}  # fmt: skip
_REFUSED_ANYWAY = frozenset({400, 401})


def status_of(error: ServiceError) -> int:
    """Return the status of an error: its code's row, else its class's."""
    row = PROBLEMS.get(error.code)
    if row is not None:
        return row[0]
    return next((status for kind, status in _BY_CLASS if isinstance(error, kind)), 500)


def status_of_refusal(code: str) -> int:
    """Return the status of a recorded refusal: never 400 or 401, for the event was well-formed and proven."""
    status = PROBLEMS.get(code, (409, ""))[0]
    return 422 if status in _REFUSED_ANYWAY else status


def body(status: int, code: str, detail: str, facts: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the members of a problem document; facts never replace the standard ones."""
    title = PROBLEMS.get(code, (status, "Refused"))[1]
    standard = {"type": TYPE_PREFIX + code, "title": title, "status": status, "detail": detail, "code": code}
    return {**(facts or {}), **standard}


def body_of(error: ServiceError) -> dict[str, Any]:
    """Return the problem document of an error; details of our own failures stay in the log."""
    status = status_of(error)
    if status < 500 or isinstance(error, BusyError):
        return body(status, error.code, error.detail, error.facts)
    return _withheld(error)


def _withheld(error: BaseException) -> dict[str, Any]:
    incident = secrets.token_hex(8)
    log.error("internal_error", incident=incident, error=type(error).__name__, exc_info=error)
    return body(500, "internal", "Something failed on our side; name this id when you ask.", {"incident": incident})


def answer(members: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    """Return a problem document as an answer."""
    return Response(encode(members), int(members["status"]), dict(headers or {}), media_type=MEDIA_TYPE)


def answer_to(error: ServiceError) -> Response:
    """Return the answer to an error, with the headers that its status asks for."""
    members = body_of(error)
    if isinstance(error, MissingError):  # what was asked for is not echoed, nor told apart from what is hidden
        members = body(members["status"], error.code, error.detail)
    headers: dict[str, str] = {}
    if isinstance(error, BusyError):
        headers["Retry-After"] = str(max(1, error.retry_after_seconds))
    if members["status"] == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="ballot-custody"'
    if members["status"] == 408:
        headers["Connection"] = "close"
    return answer(members, headers)


def answer_to_failure(error: Exception) -> Response:
    """Return the answer to an error that nobody raised on purpose: an incident id, and nothing else."""
    return answer(_withheld(error))


def install(app: FastAPI) -> None:
    """Let every error of the application leave in this shape."""
    app.add_exception_handler(ServiceError, _on_service_error)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(RequestValidationError, _on_parameter)


async def _on_service_error(_request: Request, error: Exception) -> Response:
    return answer_to(error if isinstance(error, ServiceError) else ServiceError("Something failed."))


async def _on_http(_request: Request, error: Exception) -> Response:
    """Reshape what the framework itself raises: no route, no such method, a body it cannot read."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    if headers.get("Allow") == "GET":  # the gate answers HEAD wherever GET is answered
        headers["Allow"] = "GET, HEAD"
    code = _BY_STATUS.get(status, "bad_request" if status < 500 else "error")
    return answer(body(status, code, PROBLEMS[code][1] + "."), headers)


async def _on_parameter(_request: Request, error: Exception) -> Response:
    """Name which parameter is wrong and how, never what it held."""
    found = error.errors() if isinstance(error, RequestValidationError) else []
    errors = [{"at": ".".join(str(part) for part in each["loc"])[:120], "type": each["type"]} for each in found[:16]]
    return answer(body(422, "parameter", "A parameter of the request is not usable.", {"errors": errors}))
