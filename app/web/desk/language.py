"""Indonesian, and English for who asks for it: gettext catalogues, read once from text.

A page's own words are the Indonesian ones; `locale/<language>/LC_MESSAGES/desk.po` has them in another language. The
catalogue is read as it is written, so that nothing has to be compiled before the service starts, and what a reviewer
reads is what people see.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from babel.messages.pofile import read_po
from starlette.requests import Request
from starlette.responses import Response

from app.web.desk.session import HOME, is_https

FOLDER = Path(__file__).resolve().parent.parent / "locale"
COOKIE = "custody-language"
COOKIE_SECONDS = 365 * 86_400
Code = Literal["id", "en"]
CODES: tuple[Code, ...] = ("id", "en")
Translate = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Language:
    """One of the languages: its code, and what it calls a text."""

    code: Code
    words: dict[str, str]

    def __call__(self, text: str) -> str:
        """Return a text in this language; one without translation stays Indonesian rather than vanish."""
        return self.words.get(text, text)


@cache
def language(code: Code) -> Language:
    """Return a language; its catalogue is read the first time."""
    return Language(code, {} if code == "id" else catalogue(code))


def catalogue(code: str) -> dict[str, str]:
    """Read the catalogue of a language: its texts by the Indonesian ones, those without a translation left out."""
    with (FOLDER / code / "LC_MESSAGES" / "desk.po").open("rb") as file:
        found = read_po(file, locale=code)
    return {str(one.id): str(one.string) for one in found if one.id and one.string and not one.fuzzy}


def language_of(request: Request) -> Language:
    """Return the language that the browser's cookie asks for; Indonesian for everybody else."""
    return language(code_of(request.cookies.get(COOKIE)) or "id")


def code_of(text: str | None) -> Code | None:
    """Return a language's code, None for what is none of ours."""
    return next((code for code in CODES if code == text), None)


def keep_language(request: Request, response: Response, code: Code) -> None:
    """Let an answer bring the browser its language."""
    response.set_cookie(
        COOKIE, code, max_age=COOKIE_SECONDS, path=HOME, secure=is_https(request), httponly=True, samesite="strict"
    )
