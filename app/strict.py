"""The one base of every model that outside bytes become, and how they are refused (pure).

Ground floor. `Strict` has no unknown members, no coercion, and does not change; `read_strict` turns bytes, which
`canon.parse_json` let pass already, into such a model or into one `MalformedError`. The error says which of our
members is wrong and repeats no word of the sender's: no value, no name of a member that is not ours.
"""

from collections.abc import Iterator
from functools import cache
from typing import Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from app.errors import MalformedError

MAX_PLACE_CHARACTERS = 120


class Strict(BaseModel):
    """Base of every document, payload and body model: no unknown members, no coercion, immutable."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


M = TypeVar("M")


def read_strict(model: TypeAdapter[M], data: bytes, code: str) -> M:
    """Read bytes as a model.

    Args:
        model: What the bytes must be.
        data: JSON that `parse_json` let pass: strict, of bounded size and depth.
        code: The code of the error, when it is one.

    Raises:
        MalformedError: `code`, with `at`: the first wrong member, names that are not ours left out; `unit_id`
            when that member is one.
    """
    try:
        return model.validate_json(data)
    except ValidationError as error:
        raise malformed(error, code) from None


def malformed(error: ValidationError, code: str) -> MalformedError:
    """Return the error that says what is wrong first, in our words only."""
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    ours = our_words()
    at = ".".join(str(part) if isinstance(part, int) or part in ours else "*" for part in first["loc"])
    at = at[:MAX_PLACE_CHARACTERS]
    if first["loc"] and "unit" in at.rpartition(".")[2]:
        code = "unit_id"
    return MalformedError(f"What was sent is wrong at {at or 'its top'}: {first['type']}.", code=code, at=at)


@cache
def our_words() -> frozenset[str]:
    """Return the names of our members and the tags of our unions."""
    return frozenset(word for model in _models(Strict) for word in _words(model))


def _models(base: type[Strict]) -> Iterator[type[Strict]]:
    for model in base.__subclasses__():
        yield model
        yield from _models(model)


def _words(model: type[Strict]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield name
        if get_origin(field.annotation) is Literal:
            yield from (word for word in get_args(field.annotation) if isinstance(word, str))
