"""One demonstration from an empty folder to its ending, as data; `show` prints it, `--json` dumps it."""

import time
from typing import Any

from app.cli.demo import ending
from app.cli.demo.cast import Cast
from app.cli.demo.figures import load_figures
from app.cli.demo.founding import Founding
from app.cli.demo.plan import stations
from app.cli.demo.play import Audience, Played, perform
from app.cli.demo.prove import prove
from app.cli.demo.service import running
from app.cli.demo.stage import Stage
from app.cli.demo.troupe import Troupe
from app.cli.demo.wire import Door, KeyLogin
from app.cli.init import FOUNDER_FILE
from app.config import Settings


def run(founding: Founding, audience: Audience) -> dict[str, Any]:
    """Start the service, play every chapter over HTTP, ask the questions of the ending, stop the service.

    Args:
        founding: A freshly founded demo ledger.
        audience: Who watches.

    Returns:
        What `custody demo --json` prints.

    Raises:
        DemoError: The service did not start, or answered otherwise than the story expects.
    """
    start = time.monotonic()
    with running(founding.settings) as url:
        first = founding.founders[0]
        door = Door(url, KeyLogin(first.key, first.origin))
        stage = Stage(door, audience.hears, checkpoint=founding.checkpoint)
        troupe = Troupe(stage, Cast(first.origin, founding.founders), load_figures(), [])
        troupe.stations = stations(troupe.figures)
        played = perform(troupe, audience)
        door.close()
        told = _ask(founding, troupe, Door(url, founding.auditor))
    return {**_about(founding, troupe, played, time.monotonic() - start), **told}


def _about(founding: Founding, troupe: Troupe, played: list[Played], seconds: float) -> dict[str, Any]:
    return {
        "synthetic": troupe.figures["election_nov_2024"]["synthetic_split"]["why"],
        "sources": troupe.figures["sources"], "licence": troupe.figures["licence"],
        "data_dir": str(founding.settings.data_dir), "moved_to": str(founding.moved_to) if founding.moved_to else None,
        "events": troupe.stage.recorded, "seconds": round(seconds, 1), "remarks": troupe.stage.remarks,
        "chapters": [
            {"when": p.chapter.when, "title": p.chapter.title, "events": p.events, "seconds": round(p.seconds, 2)}
            for p in played
        ],
    }  # fmt: skip


def _ask(founding: Founding, troupe: Troupe, door: Door) -> dict[str, Any]:
    """Ask what an auditor would ask, with an auditor's credentials."""
    names = troupe.stage.names
    rows, differences = ending.discrepancies(door, names)
    unit, what = ending.box_of_the_story(troupe)
    bundle = ending.evidence(door, unit, founding.settings.data_dir)
    ledger = door.get("/v1/ledger")
    box: dict[str, Any] = {
        "unit": unit,
        "what": what,
        "history": ending.story(door, unit),
        "rows": [row for row in rows if row["unit"] == unit],
        "proof": prove(bundle, founding.genesis),
    }
    balance = ending.balance(door, troupe.figures)
    door.close()
    return {
        "ledger": {"origin": troupe.cast.origin, "genesis": founding.genesis, "size": ledger["size"]},
        "balance": balance, "discrepancies": rows, "expected": ending.expected(names),
        "as_expected": not differences, "differences": differences,
        "packings": troupe.stage.packings, "box": box, "look_around": look_around(founding, box["proof"]["file"]),
        "good": not differences and all(c["equal"] for c in balance) and box["proof"]["result"] == "PASS",
    }  # fmt: skip


def look_around(founding: Founding, bundle: str) -> list[tuple[str, str]]:
    """Return commands for the curious, with what each is for; the environment they need is spelled out."""
    settings, plain = founding.settings, Settings.model_fields
    env = f"CUSTODY_DATA_DIR={settings.data_dir} " if settings.data_dir != plain["data_dir"].default else ""
    env += "CUSTODY_DATABASE_URL=... " if settings.database_url else ""
    keys = settings.keys_folder()
    return [
        ("serve this ledger", f"{env}custody serve"),
        ("re-verify every leaf", f"{env}custody fsck"),
        ("verify that bundle", f"custody verify {bundle} --genesis {founding.genesis}"),
        ("an auditor's secret", str(keys / founding.client_file.name)),
        ("a founder's key", str(keys / FOUNDER_FILE)),
    ]
