"""A plugin of pytest: write down every statement that our own code sends to PostgreSQL while other tests run.

`python -m pytest -p tests.citus.recording ...` with RECORDED_STATEMENTS naming the file. A statement is ours when the
nearest caller outside the libraries is in `app/`: what tests send themselves, to look or to tamper, is not.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

ROOT = Path(__file__).resolve().parents[2]
OURS = (str(ROOT / "app") + os.sep, str(ROOT / "tests") + os.sep, str(ROOT / "migrations") + os.sep)
_seen: dict[str, str] = {}


@event.listens_for(Engine, "before_cursor_execute")
def _note(connection: Any, _cursor: Any, statement: str, *_rest: object) -> None:
    if connection.dialect.name == "postgresql" and statement not in _seen:
        _seen[statement] = _caller()


def _caller() -> str:
    """Return the file, under the project, that asked for the statement."""
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith(OURS) and not name.endswith(("app/db.py", "app/rows.py", "citus/recording.py")):
            return name.removeprefix(str(ROOT) + os.sep)
        frame = frame.f_back  # type: ignore[assignment]
    return ""


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write what was seen; the file of each worker has its number."""
    del session
    Path(os.environ["RECORDED_STATEMENTS"]).write_text(json.dumps(_seen), encoding="utf-8")
