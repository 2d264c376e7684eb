"""The service's own words: verdicts, commitments and closings, signed by its service key (design section 6).

They go on the ledger like everybody's events, judged by the same rules. Nobody waits for them at a door.
"""

import secrets
from collections.abc import Sequence
from typing import Any

from app.canon import JsonValue, b64url_encode, jcs, sha256
from app.clock import rfc3339_ms
from app.custody.events import ZERO_HASH, Event, parse_event
from app.custody.walk import Walk
from app.ids import new_event_id
from app.keys.signing import PrivateKey, sign_jws
from app.keys.state import Device

NOWHERE = "LEDGER"
"""Election and place of what is about the ledger itself."""


class Voice:
    """Makes events of the service."""

    def __init__(self, key: PrivateKey) -> None:
        """Speak by this key, which the genesis names."""
        self._key = key

    def event(
        self, walk: Walk, origin: str, name: str, details: dict[str, JsonValue], at_ms: int, *,
        election: str = NOWHERE, place: str = NOWHERE, units: Sequence[str] = (), after: Sequence[str] = (),
    ) -> tuple[Event, JsonValue]:  # fmt: skip
        """Make and sign an event of the service's own types.

        Args:
            walk: Knows the last of these events, since they are numbered like a device's.
            origin: The ledger's.
            name: Type of event.
            details: By type.
            at_ms: Now, UTC milliseconds.
            election: Whose; none for what is about the ledger itself.
            place: See there.
            units: Units that it concerns.
            after: Events that it rests on.

        Returns:
            The event and its JWS.
        """
        key = self._key
        device: Device | None = walk.facts.get(Device, key.kid)
        payload: Any = {
            "v": 1,
            "event_id": new_event_id(at_ms, secrets.token_bytes(10)),
            "type": name,
            "ledger": origin,
            "election": election,
            "place": place,
            "author": key.kid,
            "signers": {key.kid: "witness"},
            "units": list(units),
            "after": list(after),
            "at": rfc3339_ms(at_ms),
            "checkpoint": {"size": 0, "root": b64url_encode(sha256(b""))},
            "device": {"seq": device.seq + 1 if device else 1, "prev": device.hash if device else ZERO_HASH},
            "details": details,
            "private": {},
        }
        data = jcs(payload, check=False)
        return parse_event(data), sign_jws(data, [key])
