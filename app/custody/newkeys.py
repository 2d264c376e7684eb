"""Keys that an event brings in and that sign this very event: founders, agencies (pure).

Everybody else's key is enrolled by an earlier leaf. What stands here counts for signatures only: whether the key
comes in is for the rules. Its author is never among them, or a stranger could write on the ledger by naming himself; a
genesis, of which there is one, is proven apart.
"""

from collections.abc import Iterable
from contextlib import suppress

from app.custody.details import AgencyJoin, FoundersChange, Jwk, LedgerGenesis
from app.custody.events import Event
from app.errors import MalformedError
from app.keys.verify import PublicKey


def introduced(event: Event) -> dict[str, PublicKey]:
    """Return the keys that an event brings in, by key id; unsound ones are the rule's to refuse and left out."""
    told = event.details
    jwks: Iterable[Jwk]
    if isinstance(told, AgencyJoin):
        jwks = (told.jwk,)
    elif isinstance(told, FoundersChange):
        jwks = (founder.jwk for founder in told.add)
    else:  # nearly every event
        return {}
    return {kid: key for kid, key in keys_of(jwks).items() if kid != event.body.author}


def genesis_keys(told: LedgerGenesis) -> dict[str, PublicKey]:
    """Return the keys that a genesis is signed with, by key id."""
    return keys_of([*(founder.jwk for founder in told.administrators), *(agency.jwk for agency in told.agencies)])


def keys_of(jwks: Iterable[Jwk]) -> dict[str, PublicKey]:
    """Return public keys by key id; unsound ones are left out."""
    keys = {}
    for jwk in jwks:
        with suppress(MalformedError):
            key = PublicKey.from_jwk(jwk.model_dump(exclude_none=True))
            keys[key.kid] = key
    return keys
