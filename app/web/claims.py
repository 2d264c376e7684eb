"""`GET /v1/public/claims`: signed statements for whoever has heard a rumour, as of a checkpoint.

Public, and cheap to refuse; an answer is signed by the service's own key, so that it can be shown to others and proven
to be ours, and carries the checkpoint that it is told of.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from app.audit.claims import CLAIMS, Asked, Kind, state
from app.canon import JsonValue, jcs
from app.clock import rfc3339_ms
from app.errors import MalformedError
from app.ids import parse_unit_id
from app.keys.signing import sign_compact
from app.web.answers import Json
from app.web.auth import public
from app.web.declare import Says, declare, ref
from app.web.query import Named, Word
from app.web.services import services_of

router = APIRouter()
CLAIM_TYP = "custody-claim+json"
_PUBLIC = public("A rumour is answered to everybody.")


@router.get(
    "/v1/public/claims",
    **declare(
        _PUBLIC,
        {200: Says("The statement, signed; without `claim`, what may be asked.", ref("Claim"))},
        problems=(400, 404, 422),
        tag="public",
    ),
)
def get_claims(
    request: Request, claim: Annotated[Kind | None, Query()] = None, item: Named = None, contest: Named = None,
    place: Named = None, label: Word = None,
) -> Response:  # fmt: skip
    """Say whether a statement is so; its words stand in Indonesian and English.

    What is asked for stands in the words that we sign: so it is a code or the number of a label, never free text.
    """
    services = services_of(request)
    asked = Asked(item, contest, place, parse_unit_id(label) if label is not None else None)
    _check(claim, asked)
    if claim is None:
        return Json({"claims": [_offered(kind) for kind in CLAIMS]})
    with services.db.read() as session:
        told = state(session, services.ledger_id, claim, asked)
    signed: dict[str, JsonValue] = {**told, "ledger": services.origin, "stated_at": rfc3339_ms(services.now_ms())}
    statement = sign_compact(jcs(signed), services.keys.service, CLAIM_TYP)
    return Json({**signed, "statement": statement}, headers={"Cache-Control": "public, max-age=10"})


def _offered(kind: Kind) -> dict[str, Any]:
    claim = CLAIMS[kind]
    return {"claim": kind, "needs": list(claim.needs), "may": list(claim.may), "text": dict(claim.words)}


def _check(kind: Kind | None, asked: Asked) -> None:
    """Refuse what a statement needs and has not, and what it has and does not take; the list of them takes nothing.

    Raises:
        MalformedError: `claim`, with the members that are missing or too many.
    """
    needs, may = (CLAIMS[kind].needs, CLAIMS[kind].may) if kind is not None else ((), ())
    given = {name for name in ("item", "contest", "place", "label") if getattr(asked, name) is not None}
    missing, unknown = set(needs) - given, given - {*needs, *may}
    if missing or unknown:
        raise MalformedError(
            "That statement needs other parameters; ask without `claim` which.", code="claim",
            missing=sorted(missing), unknown=sorted(unknown),
        )  # fmt: skip
