"""Every text of the desk that people read, found in the source: what a catalogue must have, and what escaped one."""

import re
from collections.abc import Iterator

from jinja2 import nodes
from jinja2.lexer import Lexer

from app.web.desk.paper import PAGES
from app.web.desk.roles import MENU
from app.web.desk.route import BY_STATUS, OTHERWISE, SENTENCES
from app.web.desk.sign_in import FORM_TOO_OLD, NOT_ACCEPTED
from app.web.desk.terms import VOCABULARY

SAME_EVERYWHERE = {"Indonesia", "English", "CSV", "JSON"}
"""Names of languages and formats, which no language translates."""
_SPOKEN = re.compile(r"(?:aria-label|title|placeholder|alt|summary)=\"([^\"]*)\"")
_TAG = re.compile(r"<[^>]*>", re.DOTALL)
_ENTITY = re.compile(r"&[a-z]+;")
_MARK = "\x00"


def wanted() -> set[str]:
    """Return every text that is asked of a catalogue."""
    found = {text for name in PAGES.list_templates() for text in in_template(source_of(name))}
    found |= {word for words in VOCABULARY.values() for word in words.values()}
    found |= {word for _, word, _ in MENU} | set(SENTENCES.values()) | set(BY_STATUS.values())
    return found | {OTHERWISE, FORM_TOO_OLD, NOT_ACCEPTED, "ya", "tidak"}


def source_of(name: str) -> str:
    assert PAGES.loader is not None
    return PAGES.loader.get_source(PAGES, name)[0]


def in_template(source: str) -> Iterator[str]:
    """Yield the texts that a template hands to `_`."""
    for call in PAGES.parse(source).find_all(nodes.Call):
        if isinstance(call.node, nodes.Name) and call.node.name == "_" and isinstance(call.args[0], nodes.Const):
            yield str(call.args[0].value)


def bare(source: str) -> list[str]:
    """Return what a template says without asking a catalogue: text between tags, and attributes that are read aloud."""
    plain = "".join(value if kind == "data" else _MARK for _, kind, value in Lexer(PAGES).tokeniter(source, None))
    spoken = _SPOKEN.findall(plain)
    between = _ENTITY.sub(" ", _TAG.sub(_MARK, plain)).split(_MARK)
    words = [text.strip() for text in (*spoken, *between)]
    return [text for text in words if re.search(r"[^\W\d_]", text) and text not in SAME_EVERYWHERE]
