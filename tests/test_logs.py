"""Logs keep what failed and never what a local variable held."""

import json
import logging
from datetime import datetime

import pytest
import structlog

from app.config import Settings
from app.logs import configure_logging, log_request


@pytest.fixture
def quiet_afterwards():
    """Give the handlers of the test runner back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


@pytest.mark.parametrize("form", ["console", "json"])
def test_a_traceback_shows_no_local_variable(form, capsys, quiet_afterwards):
    configure_logging(Settings(log_format=form, _env_file=None))

    def broken():
        token = f"{form}-{len(form)}"
        raise ZeroDivisionError(len(token))

    try:
        broken()
    except ZeroDivisionError:
        logging.getLogger("app").exception("it broke")
    said = capsys.readouterr().err
    assert "ZeroDivisionError: " in said
    assert "in broken" in said
    assert f"{form}-{len(form)}" not in said


def test_the_quick_line_of_a_request_says_what_the_libraries_would(capsys, quiet_afterwards):
    configure_logging(Settings(log_format="json", _env_file=None))
    structlog.get_logger("app.request").info("request", method="GET", route="/x", status=200, ms=1.5)
    log_request("GET", "/x", 200, 1.5)
    theirs, ours = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    moments = [datetime.fromisoformat(told.pop("timestamp")) for told in (theirs, ours)]
    assert ours == theirs
    assert moments[0] <= moments[1]


def test_a_request_is_told_to_people_too_and_to_nobody_who_asks_for_less(capsys, quiet_afterwards):
    configure_logging(Settings(log_format="console", _env_file=None))
    log_request("GET", "/x", 200, 1.5)
    assert "route=/x" in capsys.readouterr().err
    for form in ("json", "console"):
        configure_logging(Settings(log_format=form, log_level="WARNING", _env_file=None))
        log_request("GET", "/x", 200, 1.5)
    assert not capsys.readouterr().err
