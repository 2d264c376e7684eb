"""The only way in which the demonstration reaches the service: HTTP, as any client would.

It knows addresses, tokens and bodies. It knows no rule and no database: what an event means is said in the
chapters, what became of it is read from the answers.
"""

import secrets
import time
from dataclasses import dataclass
from typing import Any

import httpx
import orjson

from app.canon import JsonValue, b64url_encode, jcs
from app.clock import rfc3339_ms
from app.keys.signing import PrivateKey

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_SECONDS = 120
SCENARIO_TIME = "Custody-Scenario-Time"
TIMEOUT_SECONDS = 120


class DemoError(RuntimeError):
    """The service answered something that the story does not expect; the text names event and answer."""


@dataclass(frozen=True, slots=True)
class KeyLogin:
    """Earns tokens with a signed assertion by an enrolled key, for one audience (RFC 7523)."""

    key: PrivateKey
    origin: str

    def ask(self, client: httpx.Client) -> httpx.Response:
        """Ask for a token."""
        return client.post("/oauth/token", data=token_request(self.key, self.origin))


@dataclass(frozen=True, slots=True)
class SecretLogin:
    """Earns tokens with a client's secret."""

    client_id: str
    client_secret: str

    def ask(self, client: httpx.Client) -> httpx.Response:
        """Ask for a token."""
        named = (self.client_id, self.client_secret)
        return client.post("/oauth/token", data={"grant_type": "client_credentials"}, auth=named)


class Door:
    """The service, seen by one client."""

    def __init__(self, url: str, login: "KeyLogin | SecretLogin") -> None:
        """Take the address of a running service and what earns a token there.

        Args:
            url: Base address, `http://127.0.0.1:8000`.
            login: A key, or a client's secret.
        """
        self._url = url
        self._login = login
        self._client = httpx.Client(base_url=url, timeout=TIMEOUT_SECONDS, trust_env=False)
        self._token = ""
        self._renew_at = 0.0

    def as_(self, login: "KeyLogin | SecretLogin") -> "Door":
        """Return the same service as somebody else sees it."""
        return Door(self._url, login)

    def close(self) -> None:
        """Hang up."""
        self._client.close()

    def request(self, method: str, path: str, *, anonymous: bool = False, **how: Any) -> httpx.Response:
        """Send one request, with a fresh enough token unless `anonymous`, and return a good answer.

        Raises:
            DemoError: The status is 400 or more.
        """
        headers = how.pop("headers", {})
        if not anonymous:
            headers = {"Authorization": f"Bearer {self._bearer()}", **headers}
        answer = self._client.request(method, path, headers=headers, **how)
        if answer.status_code >= httpx.codes.BAD_REQUEST:
            raise DemoError(f"{method} {path} answered {answer.status_code}: {answer.text[:600]}")
        return answer

    def _bearer(self) -> str:
        if time.monotonic() >= self._renew_at:
            answer = self._login.ask(self._client)
            if answer.status_code != httpx.codes.OK:
                raise DemoError(f"No token: {answer.status_code} {answer.text[:600]}")
            granted = answer.json()
            self._token = granted["access_token"]
            self._renew_at = time.monotonic() + granted["expires_in"] / 2
        return self._token

    def get(self, path: str, **query: Any) -> Any:
        """Return a JSON answer."""
        return self.request("GET", path, params=query).json()

    def post(self, path: str, body: dict[str, Any], *, at_ms: int | None = None, anonymous: bool = False) -> Any:
        """Send a JSON body, in scenario time if it records an event, and return the JSON answer."""
        content = orjson.dumps(body)
        return self.request("POST", path, content=content, headers=_json(at_ms), anonymous=anonymous).json()

    def pages(self, path: str, **query: Any) -> list[dict[str, Any]]:
        """Return every item of a paged list, following its `Link: rel="next"`."""
        found: list[dict[str, Any]] = []
        answer = self.request("GET", path, params=query)
        while True:
            found.extend(answer.json()["items"])
            following = answer.links.get("next")
            if following is None:
                return found
            answer = self.request("GET", following["url"])

    def download(self, path: str) -> bytes:
        """Return the bytes of an answer."""
        return self.request("GET", path).content

    def put_document(self, document: dict[str, Any]) -> str:
        """Upload a policy or plan and return its content address."""
        return str(self.post("/v1/documents", document)["hash"])

    def issue_labels(self, ids: list[str], event: JsonValue, at_ms: int) -> dict[str, Any]:
        """Reserve a block of labels with its signed event; return the receipt."""
        receipt: dict[str, Any] = self.post("/v1/labels", {"ids": ids, "event": event}, at_ms=at_ms)
        return receipt

    def batch(self, events: list[JsonValue], at_ms: int) -> dict[str, Any]:
        """Send events in one batch; return `results`, in order, and the `checkpoint`."""
        body = orjson.dumps({"events": events})
        headers = {**_json(at_ms), "Prefer": "return=minimal"}
        answer = self.request("POST", "/v1/events/batch", content=body, headers=headers)
        told: dict[str, Any] = orjson.loads(answer.content)
        return told


def _json(at_ms: int | None = None) -> dict[str, str]:
    headers = {"Content-Type": "application/json"}
    if at_ms is not None:
        headers[SCENARIO_TIME] = rfc3339_ms(at_ms)
    return headers


def token_request(key: PrivateKey, origin: str) -> dict[str, str]:
    """Return the form that asks for a token with a signed assertion (RFC 7523)."""
    now = int(time.time())
    claims: JsonValue = {
        "iss": key.kid, "sub": key.kid, "aud": origin, "iat": now, "exp": now + ASSERTION_SECONDS,
        "jti": secrets.token_urlsafe(16),
    }  # fmt: skip
    head: JsonValue = {"alg": key.alg, "kid": key.kid, "typ": "JWT"}
    signed = f"{b64url_encode(jcs(head))}.{b64url_encode(jcs(claims))}"
    return {
        "grant_type": "client_credentials",
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": f"{signed}.{b64url_encode(key.sign(signed.encode()))}",
    }
