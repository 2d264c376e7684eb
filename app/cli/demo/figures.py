"""The public figures of Bontang 2024, as packaged beside this module, with their sources and licences."""

import json
from importlib.resources import files
from typing import Any, cast

FILE = "bontang-2024.json"
ELECTION = "PILKADA-2024"


def load_figures() -> dict[str, Any]:
    """Return the packaged file, whole and in its own words."""
    text = files("app.cli.demo").joinpath("data", FILE).read_text(encoding="utf-8")
    return cast("dict[str, Any]", json.loads(text))
