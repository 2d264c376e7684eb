"""Parameters that several lists share, bounded once; what is out of bounds is 422 `parameter`."""

from typing import Annotated

from fastapi import Query

from app.clock import parse_rfc3339
from app.units.terms import Code

MAX_NUMBER = 2**53 - 1

Cursor = Annotated[str | None, Query(max_length=400, description="The `next` of the page before.")]
Limit = Annotated[int, Query(ge=1, le=200, description="Most items of a page.")]
Size = Annotated[int | None, Query(ge=1, le=MAX_NUMBER, description="As known at this tree size.")]
Moment = Annotated[str | None, Query(max_length=40, description="RFC 3339 with an offset.")]
Word = Annotated[str | None, Query(max_length=120)]
Named = Annotated[Code | None, Query(description="A code, as documents have them: what can be no sentence.")]


def moment_ms(text: str | None) -> int | None:
    """Return a moment as UTC milliseconds.

    Raises:
        MalformedError: `time`.
    """
    return parse_rfc3339(text.replace(" ", "+")) if text is not None else None
