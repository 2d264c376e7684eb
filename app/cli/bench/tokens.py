"""Access tokens, as a phone asks for one, and anew before they are old: a run may take longer than a token lives."""

import secrets
import time
from collections.abc import Callable

import httpx

from app.canon import JsonValue, jcs
from app.cli.bench.processes import HOST, Server
from app.cli.phone import Phone
from app.keys.signing import sign_compact

TIMEOUT_SECONDS = 60
Granted = tuple[str, float]
"""A token and its life in seconds."""


class Pass:
    """An access token that is asked for anew when it has lived half of its life."""

    def __init__(self, ask: Callable[[], Granted], clock: Callable[[], float] = time.monotonic) -> None:
        """Take who asks; nothing is asked before the token is used."""
        self._ask, self._clock = ask, clock
        self._text, self._renew_at = "", 0.0

    @property
    def text(self) -> str:
        """The token, young enough for a load."""
        if not self._text or self._clock() >= self._renew_at:
            self._text, life = self._ask()
            self._renew_at = self._clock() + life / 2
        return self._text


def pass_of(server: Server, phone: Phone) -> Pass:
    """Return the pass of a phone at a server."""
    return Pass(lambda: granted(server, phone))


def granted(server: Server, phone: Phone) -> Granted:
    """Ask for a token by a signed assertion (RFC 7523), for the ledger that the phone is on.

    Raises:
        RuntimeError: The service gives none.
    """
    claims: JsonValue = {
        "iss": phone.kid, "sub": phone.kid, "aud": phone.origin, "exp": int(time.time()) + 240,
        "jti": secrets.token_hex(16),
    }  # fmt: skip
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": sign_compact(jcs(claims), phone.key, "JWT"),
    }
    # No proxy of the environment: the server is on this machine.
    with httpx.Client(timeout=TIMEOUT_SECONDS, trust_env=False) as client:
        answer = client.post(f"http://{HOST}:{server.port}/oauth/token", data=form)
    if answer.status_code != httpx.codes.OK:
        raise RuntimeError(f"the service gives no token: {answer.text[:500]}")
    told = answer.json()
    return str(told["access_token"]), float(told["expires_in"])
