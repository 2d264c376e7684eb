"""Found a ledger: the operator's one act, after which everything is signed events.

The genesis names the origin, the three server keys, the founders and the agencies' root keys, and is signed
by every founder and every agency (design section 6). Nothing of a refused genesis stays.
"""

from collections.abc import Sequence
from typing import Any

from app.canon import JsonValue, b64url_encode, jcs, sha256
from app.clock import rfc3339_ms
from app.config import Settings
from app.custody.events import ZERO_HASH, Event, parse_event
from app.custody.prove import offered_keys
from app.custody.receipts import Receipt
from app.custody.record import Recorder
from app.custody.serverkeys import ServerKeys
from app.custody.state import Facts
from app.custody.walk import Walk
from app.db import Database
from app.errors import RefusedError, ServiceError
from app.keys.signing import PrivateKey
from app.keys.verify import PublicKey, parse_jws
from app.ledger.append import create_ledger
from app.ledger.highwater import HighWater

EMPTY_TREE: dict[str, JsonValue] = {"size": 0, "root": b64url_encode(sha256(b""))}


def genesis_payload(
    keys: ServerKeys, name: str, founders: Sequence[dict[str, Any]], agencies: Sequence[dict[str, Any]], *,
    author: str, event_id: str, at_ms: int, demo: bool = False, policy_signers: int = 1,
    succeeds: dict[str, JsonValue] | None = None,
) -> bytes:  # fmt: skip
    """Return the payload that founders and agencies sign.

    Args:
        keys: The fresh server keys; only their public parts go in.
        name: Name of the ledger.
        founders: `{officer, agency, jwk}` each.
        agencies: `{agency, name, kind, jwk}` each; the jwk is the agency's root key.
        author: Key id of the founder who authors it.
        event_id: A UUIDv7.
        at_ms: The author's time, UTC milliseconds.
        demo: Allow injected scenario time on this ledger, for ever.
        policy_signers: How many founders sign a policy.
        succeeds: Origin, genesis, size and root of the ledger that this one goes on from, if any.
    """
    following: dict[str, JsonValue] = {"succeeds": succeeds} if succeeds is not None else {}
    signers: dict[str, JsonValue] = {
        PublicKey.from_jwk(named["jwk"]).kid: "approver" for named in (*founders, *agencies)
    }
    return jcs({
        "v": 1, "event_id": event_id, "type": "ledger.genesis", "ledger": keys.ledger.name, "election": "FOUNDING",
        "place": "FOUNDING", "author": author, "signers": signers, "units": [], "after": [], "at": rfc3339_ms(at_ms),
        "checkpoint": EMPTY_TREE, "device": {"seq": 1, "prev": ZERO_HASH}, "private": {},
        "details": {
            "name": name, "demo": demo, "ledger_key": keys.ledger.verifier().to_text(),
            "service_key": public_jwk(keys.service), "admission_key": public_jwk(keys.admission),
            "administrators": list(founders), "agencies": list(agencies), "policy_signers": policy_signers,
            **following,
        },
    })  # fmt: skip


def public_jwk(key: PrivateKey) -> dict[str, JsonValue]:
    """Return the public JWK of a private key."""
    return key.public.jwk()


def found(
    db: Database, settings: Settings, keys: ServerKeys, genesis: JsonValue, now_ms: int
) -> tuple[Recorder, Receipt]:
    """Create the ledger of a signed genesis and record it as leaf 0.

    The high-water mark comes before the genesis and says 0 until then: a crash in between leaves a ledger that starts.

    Raises:
        RefusedError: The rules refuse the genesis; `code` says why. Or the file of the mark tells of a ledger already.
        MalformedError: The genesis is not a well-formed event.
        UnprovenError: A founder's or agency's signature does not verify.
    """
    event = parse_event(parse_jws(genesis).payload)
    _rehearse(event, genesis, now_ms)
    mark = HighWater.found(settings.high_water_file(), event.body.ledger)
    with db.write() as session:
        head = create_ledger(session, event.details.name, event.body.ledger)
    settings = settings.model_copy(update={"ledger": head.name})
    recorder = Recorder(db, settings, keys, mark)
    proven = recorder.prover.prove(genesis, now_ms, offered=offered_keys([event]))
    answer = recorder.record([proven])[0]
    if isinstance(answer, ServiceError):
        raise answer
    return recorder, answer


def _rehearse(event: Event, genesis: JsonValue, now_ms: int) -> None:
    """Judge the genesis over nothing first: a refused one must not become leaf 0 of anything."""
    empty = b64url_encode(sha256(b""))
    walk = Walk(Facts(complete=True), 0, lambda size: (empty if size == 0 else None, 0), lambda _: None)
    judgement = walk.take(event, genesis, now_ms).judgement
    if judgement.result != "accepted":
        raise RefusedError(f"The genesis is refused: {judgement.detail}", code=judgement.code, **judgement.facts)
