"""Logs keep what failed and never what a local variable held."""

import logging

import pytest

from app.config import Settings
from app.logs import configure_logging


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
