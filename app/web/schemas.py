"""Shapes that several routes share, for `/openapi.json`; the rooms' own models and specifications rule."""

from typing import Any

from app.web.problems import PROBLEMS

Schema = dict[str, Any]
_HASH: Schema = {"type": "string", "pattern": "^[A-Za-z0-9_-]{43}$", "description": "32 bytes, base64url."}
_TEXT: Schema = {"type": "string"}
_NUMBER: Schema = {"type": "integer", "minimum": 0}
_TIME: Schema = {"type": "string", "format": "date-time"}
_NULLABLE: Schema = {"type": ["string", "null"]}


def _object(required: str, *, more: bool = True, **properties: Schema) -> Schema:
    return {
        "type": "object", "required": required.split(), "properties": properties, "additionalProperties": more,
    }  # fmt: skip


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _page_of(items: Schema) -> Schema:
    return _object("items next", items=_list(items), next=_NULLABLE)


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


_JWS: Schema = {
    "type": "object",
    "description": "JWS General JSON Serialization (RFC 7515 section 7.2.1), typ `custody-event+json`.",
    "required": ["payload", "signatures"],
    "additionalProperties": False,
    "properties": {
        "payload": {"type": "string", "description": "base64url of the event, I-JSON of at most 16 KiB."},
        "signatures": {
            "type": "array",
            "minItems": 1,
            "maxItems": 16,
            "items": _object("protected signature", more=False, protected=_TEXT, signature=_TEXT),
        },
    },
}
_PRIVATE: Schema = {
    "type": "object",
    "description": "Contents that open the event's commitments, by name.",
    "additionalProperties": _object("salt body", more=False, salt=_TEXT, body=_TEXT),
}
_PROOF = _object("tree_size path", tree_size=_NUMBER, path=_list(_HASH), checkpoint=_TEXT)

SCHEMAS: dict[str, Schema] = {
    "Problem": _object(
        "type title status detail code", type=_TEXT, title=_TEXT, status={"type": "integer"}, detail=_TEXT,
        code={"type": "string", "examples": sorted(PROBLEMS)[:5]}, receipt=_ref("Receipt"),
    ),
    "SignedEvent": {"oneOf": [_JWS, _object("event", more=False, event=_JWS, private=_PRIVATE)]},
    "Batch": {
        "oneOf": [
            {"type": "array", "maxItems": 1000, "items": _ref("SignedEvent")},
            _object("events", more=False, events={"type": "array", "maxItems": 1000, "items": _ref("SignedEvent")}),
        ]
    },
    "Receipt": _object(
        "state ledger event event_id index leaf_hash result code received_at links",
        state={"enum": ["accepted", "included", "witnessed"]}, ledger=_TEXT, event=_HASH, event_id=_TEXT, index=_NUMBER,
        leaf_hash=_HASH, result={"enum": ["accepted", "refused", "pending", "held"]}, code=_TEXT, received_at=_TIME,
        links=_list(_object("unit seq prev", unit=_TEXT, seq=_NUMBER, prev=_HASH)), detail=_TEXT,
        facts={"type": "object"}, outcome=_TEXT, outcome_index=_NUMBER, proof=_PROOF, admission=_TEXT,
    ),
    "BatchAnswer": _object(
        "results checkpoint", checkpoint=_TEXT,
        results=_list(_object(
            "status", status={"type": "integer"}, receipt=_ref("Receipt"), problem=_ref("Problem"),
        )),
    ),
    "Kept": _object("hash bytes", hash=_HASH, bytes=_NUMBER),
    "LabelsIssue": _object(
        "ids event", more=False, ids={"type": "array", "maxItems": 20_000, "items": _TEXT}, event=_ref("SignedEvent"),
    ),
    "FreshIds": _object("ids ids_hash count", ids=_list(_TEXT), ids_hash=_HASH, count=_NUMBER),
    "LabelPage": _page_of(_object("label status unit", label=_TEXT, status=_TEXT, unit=_NULLABLE)),
    "EnrolmentOpened": _object("enrolment token challenge link expires_at", enrolment=_TEXT, token=_TEXT),
    "Enrolment": _object("enrolment status officer agency match_code", enrolment=_TEXT, status=_TEXT),
    "Claimed": _object("officer match_code ledger_key origin genesis", officer=_TEXT, match_code=_TEXT),
    "Approval": _object("event", more=False, event=_JWS),
    "KeyPage": _page_of(_object("kid jwk kind officer agency")),
    "OfficerPage": _page_of(_object("officer agency name keys")),
    "AgencyList": _page_of(_object("agency name kind")),
    "Ledger": _object(
        "origin name demo genesis ledger_key ledger_keys size witnesses", size=_NUMBER, demo={"type": "boolean"},
        ledger_keys=_list(_TEXT), witnesses=_list(_object("name key size cosigned_at")),
    ),
    "Shards": _object(
        "items",
        items=_list(_object("origin size root index event taken_at", size=_NUMBER, index=_NUMBER, event=_HASH)),
    ),
    "Health": _object("status", status=_TEXT, failing=_list(_TEXT)),
    "Token": _object(
        "access_token token_type expires_in scope", access_token=_TEXT, token_type={"const": "Bearer"},
        expires_in=_NUMBER, scope=_TEXT,
    ),
    "TokenRequest": _object(
        "grant_type", grant_type={"const": "client_credentials"}, scope=_TEXT, client_id=_TEXT,
        client_assertion_type={"const": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
        client_assertion=_TEXT,
    ),
    "OAuthError": _object("error error_description", error=_TEXT, error_description=_TEXT),
    "Unit": _object("unit item lifecycle custody condition flags chain next", unit=_TEXT),
    "HistoryPage": _object("unit items next open_gaps", unit=_TEXT, items=_list({"type": "object"}), next=_NULLABLE),
    "Event": _object("event index type result receipt", event=_HASH, index=_NUMBER, receipt=_ref("Receipt")),
    "EventPage": _page_of(_object("event index type result")),
    "Page": _page_of({"type": "object"}),
    "Incident": _object("incident category severity status events", incident=_HASH, events=_list({"type": "object"})),
    "Claim": {
        "oneOf": [
            _object("claims", claims=_list(_object("claim needs may text"))),
            _object("claim holds text size checkpoint statement", holds={"type": "boolean"}, size=_NUMBER),
        ]
    },
    "Inspection": _object(
        "inspection kind status place freeze sample progress statement close events", inspection=_HASH,
        place=_NULLABLE, events=_list({"type": "object"}),
    ),
    "InspectionSample": _object(
        "inspection kind confidence rate seed inventory sample complete", inspection=_HASH, confidence=_NUMBER,
        rate=_NUMBER, seed=_object("value size checkpoint witnessed", value=_HASH, size=_NUMBER, checkpoint=_TEXT),
        inventory=_object("n hash units", n=_NUMBER, hash=_HASH, units=_list(_TEXT)),
        sample=_object("n hash units", n=_NUMBER, hash=_HASH, units=_list(_TEXT)), complete={"type": "boolean"},
    ),
    "Inventory": _object("place inventory units size", place=_TEXT, units=_list(_TEXT), size=_NUMBER),
    "PlanPage": _page_of(_object(
        "election event index document title in_force", election=_TEXT, event=_HASH, index=_NUMBER, document=_HASH,
        title=_TEXT, stations=_NUMBER, published_at=_TIME, in_force={"type": "boolean"},
    )),
    "PlanDifference": _object(
        "from to counts plan items next",
        counts=_object("added removed changed", added=_NUMBER, removed=_NUMBER, changed=_NUMBER),
        plan=_list(_object("member before after", member=_TEXT)),
        items=_list(_object("place change members", change={"enum": ["added", "removed", "changed"]})), next=_NULLABLE,
    ),
    "Place": _object("place name kind", place=_TEXT),
    "Stock": _object("place lines", place=_TEXT, lines=_list({"type": "object"})),
    "Reconciliation": _object("election contests", contests=_list({"type": "object"})),
    "FigureEvents": _object(
        "contest figure quantity count events next", contest=_TEXT, figure=_TEXT, quantity={"type": "integer"},
        count=_NUMBER, events=_list(_object("index event quantity figure", index=_NUMBER, event=_HASH)), next=_NULLABLE,
    ),
}  # fmt: skip

SECURITY: Schema = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "A token of `POST /oauth/token`; `x-access` of each operation names the access roles it admits.",
    }
}
