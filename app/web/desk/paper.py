"""How a page of the desk is made: templates that escape by default, words in the reader's language, no script.

Whatever people or machines wrote (names of places, reasons, codes) goes through the escaping of the templates; the
only ready HTML is made in `app.web.desk.clocks`, of times alone. No page holds a token.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import Response

from app.clock import rfc3339_ms
from app.ids import group4
from app.keys.grants import Viewer
from app.web.desk.clocks import lasting, moment, of_ms
from app.web.desk.language import CODES, Language, language_of
from app.web.desk.roles import MENU, opens
from app.web.desk.session import HOME, mark, session_token
from app.web.desk.terms import term
from app.web.services import services_of

PAGES = Environment(
    loader=FileSystemLoader(Path(__file__).resolve().parent.parent / "pages" / "desk"), autoescape=True,
    undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
)  # fmt: skip
HTML = "text/html; charset=utf-8"


def number(value: object, language: str) -> str:
    """Write a whole number with the language's separator of thousands."""
    text = f"{value:,}" if isinstance(value, int) else str(value)
    return text.replace(",", ".") if language == "id" else text


def fact(name: str, value: object, like: str | None, *, language: Language) -> object:
    """Return a fact of a discrepancy as people read it: instants on the wall of its place, yes and no in words."""
    if name.endswith("_ms") and isinstance(value, int):
        return of_ms(value, like, language.code)
    return language("ya" if value else "tidak") if isinstance(value, bool) else value


def address(path: str, query: Mapping[str, object]) -> str:
    """Return a local address with those of the parameters that say something."""
    told = [(name, _plain(value)) for name, value in query.items() if value not in {None, ""}]
    return f"{path}?{urlencode(told)}" if told else path


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def show(
    request: Request, template: str, status: int = 200, headers: Mapping[str, str] | None = None, **words: object
) -> Response:
    """Return a page.

    Args:
        request: Who asks, and in which language.
        template: A file of `pages/desk`.
        status: Status code.
        headers: More headers.
        words: What the template tells.
    """
    text = PAGES.get_template(template).render(**_everywhere(request), **words)
    return Response(text, status, dict(headers or {}), media_type=HTML)


def _everywhere(request: Request) -> dict[str, object]:
    """Return what every page has."""
    services, language, token = services_of(request), language_of(request), session_token(request)
    viewer: Viewer | None = getattr(request.state, "viewer", None)
    return {
        "_": language, "lang": language.code, "term": partial(_term, language),
        "moment": lambda utc, local=None: moment(utc, local, language.code),
        "number": partial(number, language=language.code), "lasting": partial(lasting, language=language.code),
        "fact": partial(fact, language=language), "group4": group4, "address": address, "origin": services.origin,
        "demo": services.demo, "viewer": viewer, "known": services.view.published[0],
        "made_at": rfc3339_ms(services.now_ms()),
        "home": HOME, "menu": _menu(request, viewer), "languages": _languages(request),
        "sign_out": mark(request, token) if token else "",
    }  # fmt: skip


def _term(language: Language, vocabulary: str, code: object) -> str:
    return language(term(vocabulary, code))


def _menu(request: Request, viewer: Viewer | None) -> list[tuple[str, str, bool]]:
    """Return the pages that are open to the viewer, each with whether it is the one that he reads."""
    if viewer is None:
        return []
    here = request.url.path
    return [
        (path, word, here == path or (path != HOME and here.startswith(f"{path}/")))
        for path, word, access in MENU
        if opens(viewer, access)
    ]


def _languages(request: Request) -> list[tuple[str, str]]:
    """Return each language with the address that asks for this page in it."""
    pairs = [(name, value) for name, value in request.query_params.multi_items() if name != "lang"]
    return [(code, f"{request.url.path}?{urlencode([*pairs, ('lang', code)])}") for code in CODES]
