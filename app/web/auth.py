"""Who may come in: every route says which access roles it admits, and a test reads what it said.

`allow(...)` asks for a bearer token whose access roles meet those named; `public(...)` admits everybody and says
why. Both end up in the route's OpenAPI as `x-access`. The scope of what a caller then sees (agency, place) is the
use case's, by the `Viewer`.
"""

from dataclasses import dataclass

from starlette.requests import Request

from app.errors import ForbiddenError, UnprovenError
from app.keys.grants import ACCESS_ROLES, AccessRole, Viewer
from app.keys.tokens import find_viewer
from app.web.services import services_of

MAX_TOKEN_CHARACTERS = 128


@dataclass(frozen=True, slots=True)
class Access:
    """Which access roles a route admits; none with a reason for a public one."""

    roles: tuple[AccessRole, ...]
    why: str = ""

    def __call__(self, request: Request) -> None:
        """Prove the caller and keep the `Viewer` in the request; runs in a worker thread."""
        self.admit(request, viewer_of_header(request))

    def admit(self, request: Request, viewer: Viewer) -> None:
        """Keep a proven caller in the request, if the route is for him.

        Raises:
            ForbiddenError: None of his access roles opens it.
        """
        if viewer.access.isdisjoint(self.roles):
            raise ForbiddenError("None of the caller's access roles opens this.", needed=sorted(self.roles))
        request.state.viewer = viewer

    def declared(self) -> dict[str, object]:
        """Return what the route says of itself in OpenAPI."""
        return {"roles": list(self.roles)} if self.roles else {"public": self.why}


def allow(*roles: AccessRole) -> Access:
    """Admit callers who have at least one of these access roles."""
    if not roles or not set(roles) <= set(ACCESS_ROLES):
        raise RuntimeError("a route admits known access roles")
    return Access(roles)


def anybody_enrolled() -> Access:
    """Admit every caller with a token."""
    return Access(ACCESS_ROLES)


def public(why: str) -> Access:
    """Admit everybody, for a reason."""
    return Access((), why)


def viewer_of_header(request: Request) -> Viewer:
    """Prove the bearer token of a request.

    Raises:
        UnprovenError: `credentials`: none, or not accepted.
    """
    return viewer_of_token(request, token_of(request.headers.get("authorization", "")))


def viewer_of_token(request: Request, token: str | None) -> Viewer:
    """Prove a token, however it came.

    Raises:
        UnprovenError: As `viewer_of_header`.
    """
    if token is None:
        raise UnprovenError("This needs an access token; `POST /oauth/token` gives one.", code="credentials")
    services = services_of(request)
    with services.db.read_newest() as session:  # a token counts at once, and so does a revocation
        mandate_ms = services.mandate_ms(session)
        return find_viewer(session, services.ledger_id, token, services.now_ms(), mandate_ms)


def token_of(header: str) -> str | None:
    """Return the bearer token of an `Authorization` header, None when it holds none that could be ours."""
    scheme, _, rest = header.partition(" ")
    token = rest.strip()
    return token if scheme.lower() == "bearer" and 0 < len(token) <= MAX_TOKEN_CHARACTERS else None


def viewer_of(request: Request) -> Viewer:
    """Return the caller that the route's `Access` has proven."""
    viewer: Viewer = request.state.viewer
    return viewer
