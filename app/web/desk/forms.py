"""What a browser posts: a small form, read strictly."""

from urllib.parse import parse_qsl

from starlette.requests import Request

from app.errors import MalformedError
from app.web.answers import read_body

FORM = "application/x-www-form-urlencoded"
MAX_FIELDS = 8
MAX_CHARACTERS = 2000


async def read_form(request: Request) -> dict[str, str]:
    """Return the fields of a form.

    Raises:
        MalformedError: `media_type`; `bad_request`, it cannot be read, names a field twice or has too many.
    """
    data = await read_body(request, FORM)
    try:
        pairs = parse_qsl(
            data.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )  # fmt: skip
    except ValueError:
        raise MalformedError("The form cannot be read.", code="bad_request") from None
    fields = dict(pairs)
    if len(fields) != len(pairs) or any(len(value) > MAX_CHARACTERS for value in fields.values()):
        raise MalformedError("The form cannot be read.", code="bad_request")
    return fields
