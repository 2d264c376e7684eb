"""Who sits at the desk: a bearer token in a cookie that scripts cannot read, and marks that only our forms carry.

The token is the very one that `POST /oauth/token` gives, kept as a hash, looked up with every request and ended by
signing out; the cookie only carries it for a browser, which can set no header by itself. Whoever sends an
`Authorization` header is taken by that alone: a program needs no cookie.

A form that changes something carries a mark: an HMAC over what the browser's cookie holds. Another site can make a
browser send a form, and can read neither the cookie nor the mark. `SameSite=Strict` and `Sec-Fetch-Site` say the same
twice more; browsers that lack one have another.
"""

import hmac
import secrets
from dataclasses import dataclass
from hashlib import sha256

from starlette.requests import Request
from starlette.responses import Response

from app.canon import b64url_encode
from app.keys.grants import AccessRole
from app.web.auth import MAX_TOKEN_CHARACTERS, Access, allow, token_of, viewer_of_token
from app.web.services import Services, services_of

HOME = "/desk"
MAX_SESSION_SECONDS = 3600
FORM_SECONDS = 3600
_SESSION, _FORM = "custody-desk", "custody-form"
_OUR_OWN = frozenset({"", "same-origin", "none"})


@dataclass(frozen=True, slots=True)
class DeskAccess(Access):
    """Which access roles a page admits: by header, like every door, else by the session's cookie."""

    def __call__(self, request: Request) -> None:
        """Prove the caller and keep the `Viewer` in the request; runs in a worker thread."""
        header = request.headers.get("authorization")
        token = token_of(header) if header is not None else session_token(request)
        self.admit(request, viewer_of_token(request, token))


def admit(*roles: AccessRole) -> DeskAccess:
    """Admit who has at least one of these access roles."""
    return DeskAccess(allow(*roles).roles)


def is_https(request: Request) -> bool:
    """Say whether the browser speaks https to us, or to the proxy before us."""
    return services_of(request).settings.base_url().startswith("https://") or request.url.scheme == "https"


def session_token(request: Request) -> str | None:
    """Return the token of the session's cookie, None when there is none that could be ours."""
    token = request.cookies.get(_name(request, _SESSION), "")
    return token if 0 < len(token) <= MAX_TOKEN_CHARACTERS else None


def seconds_of(services: Services) -> int:
    """Return how long a session lasts: an hour, or less where tokens live shorter."""
    return min(services.settings.access_token_seconds, MAX_SESSION_SECONDS)


def open_session(request: Request, response: Response, token: str) -> None:
    """Let an answer bring the browser its session."""
    _set(request, response, _SESSION, token, seconds_of(services_of(request)))


def close_session(request: Request, response: Response) -> None:
    """Let an answer take the browser's session away."""
    _set(request, response, _SESSION, "", 0)


def form_seed(request: Request) -> str:
    """Return what the mark of a sign-in form is made of: the cookie's, or a fresh one."""
    kept = request.cookies.get(_name(request, _FORM), "")
    return kept if len(kept) == 22 and kept.isascii() else b64url_encode(secrets.token_bytes(16))


def keep_seed(request: Request, response: Response, seed: str) -> None:
    """Let an answer bring the browser the seed of its sign-in form."""
    _set(request, response, _FORM, seed, FORM_SECONDS)


def mark(request: Request, seed: str) -> str:
    """Return the mark that a form carries for a browser whose cookie holds the seed."""
    key = hmac.new(services_of(request).paging_key, b"custody-desk-form", sha256).digest()
    return b64url_encode(hmac.new(key, seed.encode("utf-8", "replace"), sha256).digest())


def is_ours(request: Request, given: str, *, signed_in: bool) -> bool:
    """Say whether a form came from a page of ours in this browser.

    Args:
        request: The request that brought the form.
        given: The mark that it carries.
        signed_in: Whether the mark belongs to the session, not to the sign-in form.
    """
    held = session_token(request) if signed_in else request.cookies.get(_name(request, _FORM))
    wanted = mark(request, held) if held else ""
    same = hmac.compare_digest(wanted.encode(), given.encode("utf-8", "replace"))
    return same and bool(held) and request.headers.get("sec-fetch-site", "") in _OUR_OWN


def _name(request: Request, name: str) -> str:
    """Return a cookie's name: over https one that no other host can set (RFC 6265bis section 4.1.3.2)."""
    return f"__Host-{name}" if is_https(request) else name


def _set(request: Request, response: Response, name: str, value: str, seconds: int) -> None:
    """Set a cookie; the prefix `__Host-` wants the path `/`, without it the desk alone gets it."""
    https = is_https(request)
    response.set_cookie(
        _name(request, name), value, max_age=seconds, path="/" if https else HOME, secure=https, httponly=True,
        samesite="strict",
    )  # fmt: skip
