"""The one tree of errors that this service raises on purpose, free of HTTP.

    ServiceError            code, detail, facts
    ├─ MalformedError       bytes or shape wrong, before any trust; nothing is recorded
    ├─ UnprovenError        signature, key or credential not accepted; nothing is recorded
    ├─ ForbiddenError       a proven caller may not do or see this
    ├─ RefusedError         a rule says no to a request that is not an event
    │  └─ ConflictError     the state says no: the id holds other bytes, the head moved
    ├─ MissingError         no such unit, key, leaf or document (or none that the caller may see)
    ├─ TooLargeError        a body, batch or document over its limit
    ├─ BusyError            try again: carries retry_after_seconds
    └─ TamperError          our own records fail verification: alarm, detail withheld

`code` is the contract with clients (design section 5): stable, lower case, words joined by `_`.
`facts` are what a phone needs to go on. Statuses live in `app/web/problems.py` and nowhere else.
An event that a rule of custody refuses is not an error: it is recorded with its verdict.
"""

from typing import ClassVar


class ServiceError(Exception):
    """Base of everything that is raised on purpose and answered as a problem document."""

    default_code: ClassVar[str] = "error"

    def __init__(self, detail: str, *, code: str | None = None, **facts: object) -> None:
        """Keep a code, a sentence for people, and facts for machines.

        Args:
            detail: One sentence that says what is wrong and what to do; never echoes input bytes.
            code: Stable code; the class default when absent.
            **facts: JSON-ready values that become members of the problem document.
        """
        super().__init__(detail)
        self.code = code or self.default_code
        self.detail = detail
        self.facts: dict[str, object] = facts


class MalformedError(ServiceError):
    """Bytes or shape are wrong; raised before anything is trusted or stored."""

    default_code = "malformed"


class UnprovenError(ServiceError):
    """A signature, key or credential was not accepted."""

    default_code = "unproven"


class ForbiddenError(ServiceError):
    """A proven caller lacks the role, agency or jurisdiction."""

    default_code = "forbidden"


class RefusedError(ServiceError):
    """A rule says no to a well-formed request that is not an event."""

    default_code = "refused"


class ConflictError(RefusedError):
    """The present state contradicts the request."""

    default_code = "conflict"


class MissingError(ServiceError):
    """Nothing of that name exists for this caller; absent and forbidden look the same."""

    default_code = "not_found"


class TooLargeError(ServiceError):
    """A body, batch or document exceeds its limit."""

    default_code = "too_large"


class BusyError(ServiceError):
    """The service cannot take this now; the same request may pass later."""

    default_code = "busy"

    def __init__(self, detail: str, *, retry_after_seconds: int = 1, code: str | None = None) -> None:
        """Say how long to wait.

        Args:
            detail: One sentence for people.
            retry_after_seconds: Whole seconds until another try makes sense; at least 1.
            code: Stable code; `busy` when absent.
        """
        super().__init__(detail, code=code, retry_after_seconds=retry_after_seconds)
        self.retry_after_seconds = retry_after_seconds


class TamperError(ServiceError):
    """Our own records fail verification: an alarm, not an answer."""

    default_code = "tamper"
