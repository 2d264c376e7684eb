"""Write the README's tables of error codes and settings from the code they describe.

`python scripts/readme_tables.py` rewrites them in place; the test `tests/test_docs.py` fails when they are not
what this would write.
"""

import ast
import inspect
import re
import sys
from itertools import pairwise
from pathlib import Path

README = Path(__file__).resolve().parent.parent / "README.md"
sys.path.insert(0, str(README.parent))

from app.config import Settings  # noqa: E402 - the project is found first
from app.web.problems import PROBLEMS  # noqa: E402


def codes() -> str:
    """Return the table of error codes, by status and code."""
    rows = sorted((status, code, title) for code, (status, title) in PROBLEMS.items())
    return "\n".join(["| status | code | meaning |", "|---|---|---|", *(f"| {s} | `{c}` | {t} |" for s, c, t in rows)])


def settings() -> str:
    """Return the table of settings: variable, default, and the attribute's own words."""
    tree = ast.parse(inspect.getsource(Settings))
    body = next(node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)).body
    words: dict[str, str] = {}
    for field, text in pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr):
            words[field.target.id] = " ".join(str(ast.literal_eval(text.value)).split())
    rows = [f"| `CUSTODY_{name.upper()}` | {_default(name)} | {words[name]} |" for name in Settings.model_fields]
    return "\n".join(["| variable | default | meaning |", "|---|---|---|", *rows])


def _default(name: str) -> str:
    default = Settings.model_fields[name].default
    return "" if default in {None, ""} else f"`{default}`"


def filled(text: str) -> str:
    """Return the README's text with both tables as they should be."""
    for name, table in (("codes", codes()), ("settings", settings())):
        pattern = rf"(<!-- {name}:begin -->\n).*?(<!-- {name}:end -->)"
        text = re.sub(pattern, lambda found, table=table: f"{found[1]}{table}\n{found[2]}", text, flags=re.DOTALL)  # type: ignore[misc]
    return text


if __name__ == "__main__":
    README.write_text(filled(README.read_text(encoding="utf-8")), encoding="utf-8")
