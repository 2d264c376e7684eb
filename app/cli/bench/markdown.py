"""Tables as they stand in a document, written between two marks, so that the document says what was measured (pure)."""

from collections.abc import Iterable, Sequence

from app.cli.bench.report import Table


def markdown(found: Sequence[Table]) -> str:
    """Return tables as they stand in a document."""
    return "\n".join(
        f"**{one.title}**\n\n{_line(one.heads)}{_line('---' for _ in one.heads)}{''.join(map(_line, one.rows))}"
        + (f"\n{one.note}\n" if one.note else "")
        for one in found
    )


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(text.replace('|', '/') for text in cells)} |\n"


def marks(name: str) -> tuple[str, str]:
    """Return the marks of a place in a document; without a name the plain ones."""
    middle = f":{name}" if name else ""
    return f"<!-- bench{middle}:begin -->", f"<!-- bench{middle}:end -->"


def between(document: str, name: str, text: str) -> str:
    """Return a document with other text between its marks, and everything else as it was.

    Raises:
        ValueError: The document does not have both marks, once and in order.
    """
    begin, end = marks(name)
    if document.count(begin) != 1 or document.count(end) != 1 or document.index(begin) > document.index(end):
        raise ValueError(f"The document does not have the marks {begin} and {end}, once each and in this order.")
    before, _, rest = document.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{text.strip()}\n{end}{after}"


PRIVATE = {
    "--database-url": "URL", "--keep-world": "FOLDER", "--profile": "FOLDER", "--folder": "FOLDER", "--plot": "FILE",
    "--markdown": "FILE",
}  # fmt: skip
"""Options whose values are of one machine, or hold a password, and what stands for them in a document."""


def shown(words: Sequence[str]) -> list[str]:
    """Return the words of a command as a document may show them."""
    told: list[str] = []
    for word in words:
        name, has_value, _ = word.partition("=")
        if told and told[-1] in PRIVATE:
            told.append(PRIVATE[told[-1]])
        elif name in PRIVATE and has_value:
            told.append(f"{name}={PRIVATE[name]}")
        else:
            told.append(word)
    return told
