"""When the elections of a ledger are published: what officers signed is then everybody's.

The moment is evidence like everything else: `published_from` of each election in the policy in force, which founders
signed and the ledger holds. Never, while one election of the policy names none.
"""

from dataclasses import dataclass

from starlette.requests import Request

from app.web.auth import Access
from app.web.services import Services, services_of


def is_published(services: Services) -> bool:
    """Say whether it is later than that; on a demo ledger now is its newest event."""
    with services.db.read() as session:
        policy = services.policy(session)
        from_ms = policy.published_from_ms if policy is not None else None
        return from_ms is not None and services.mandate_ms(session) >= from_ms


@dataclass(frozen=True, slots=True)
class UntilPublished(Access):
    """Admits its access roles, and everybody from the publication on; `request.state.published` says which it is."""

    def __call__(self, request: Request) -> None:
        """Prove the caller, unless nobody has to be proven any more."""
        request.state.published = is_published(services_of(request))
        if not request.state.published:
            Access.__call__(self, request)

    def declared(self) -> dict[str, object]:
        """Return what the route says of itself in OpenAPI."""
        return {**Access.declared(self), "until": "`published_from` of every election of the policy in force"}
