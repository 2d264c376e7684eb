"""`custody ledger freeze`, `thaw`, `alarms`, `close`, `remark`: what an operator does in an emergency.

And `new-key`, `keep-key` when a key rotates. Each is one act on the database, the keys folder or the high-water mark of
this installation.
"""

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.cli.fsck import open_database
from app.clock import SystemClock
from app.config import Settings
from app.custody.closing import close_ledger
from app.custody.lookup import meta_of, newest_ms
from app.custody.record import Recorder
from app.custody.serverkeys import LEDGER_FILE, NEXT_LEDGER_FILE, ServerKeys
from app.custody.state import Meta
from app.db import Database, ReadSession
from app.errors import MissingError, RefusedError
from app.ledger import freezing
from app.ledger.append import Head, read_head
from app.ledger.fencing import take
from app.ledger.highwater import HighWater

Json = Annotated[bool, typer.Option("--json", help="Print data.")]
_REASON = re.compile("[A-Z][A-Z0-9_]{0,39}")

Name = Annotated[str, typer.Option("--ledger", help="Name of the ledger; the only one when absent.")]


def register(commands: typer.Typer) -> None:
    """Add the commands to `custody ledger`."""
    for act in (freeze, thaw, alarms, close, remark, new_key, keep_key):
        commands.command(act.__name__.replace("_", "-"))(act)


@contextmanager
def _opened(ledger: str) -> Iterator[tuple[Settings, Database, Head]]:
    settings = Settings()
    settings = settings.model_copy(update={"ledger": ledger or settings.ledger})
    db = open_database(settings)
    try:
        with db.read() as session:
            head = read_head(session, settings.ledger)
        yield settings, db, head
    finally:
        db.close()


def freeze(
    reason: Annotated[str, typer.Option(help="Why, in a sentence; clients are told that there is an alarm, not this.")],
    ledger: Name = "",
) -> None:
    """Stop recording at once, also in a running service; everything can still be read and verified."""
    with _opened(ledger) as (_, db, head), db.write() as session:
        now_ms = SystemClock().now_ms()
        freezing.raise_alarm(session, head.ledger_id, now_ms, kind="operator", source="operator", detail=reason)
        if head.frozen is None:  # the first reason stays; what came later stands among the alarms
            freezing.freeze(session, head.ledger_id, reason)
        print(f"{head.origin} is frozen at {head.size} leaves. `custody ledger thaw` lets it go on.")


def thaw(
    reason: Annotated[str, typer.Option(help="What was found, in a sentence; it is kept beside the alarms.")],
    ledger: Name = "",
) -> None:
    """Let a frozen ledger go on, once a person has looked into the alarm."""
    with _opened(ledger) as (_, db, head), db.write() as session:
        if head.frozen is None:
            raise RefusedError("This ledger is not frozen.")
        now_ms = SystemClock().now_ms()
        freezing.raise_alarm(session, head.ledger_id, now_ms, kind="thawed", source="operator", detail=reason)
        freezing.thaw(session, head.ledger_id)
        print(f"{head.origin} goes on.")


def alarms(ledger: Name = "", as_json: Json = False) -> None:
    """List every alarm over the ledger; evidence that witnesses gave is printed with --json."""
    with _opened(ledger) as (_, db, head), db.read() as session:
        found = freezing.alarms(session, head.ledger_id)
    if as_json:
        print(json.dumps({"frozen": head.frozen, "alarms": [_told(alarm) for alarm in found]}))
        return
    table = Table("number", "time", "kind", "source", "what")
    for alarm in found:
        table.add_row(str(alarm.number), _time(alarm.at_ms), *map(Text, (alarm.kind, alarm.source, alarm.detail)))
    console = Console()
    console.print(table if found else "No alarm was ever raised.")
    if head.frozen is not None:
        console.print(Text.assemble(("frozen:", "bold red"), " ", head.frozen), soft_wrap=True)


def close(
    reason: Annotated[str, typer.Option(help="A code on the ledger, such as ELECTION_OVER or FORK.")],
    ledger: Name = "",
    yes: Annotated[bool, typer.Option("--yes", help="Close without asking.")] = False,
) -> None:
    """End the ledger: commit to every unit's latest event, write the last leaf, print the final checkpoint.

    Stop the service first. Its successor cites that checkpoint: `custody init --succeeds FILE`. Of a ledger that is
    closed already the same checkpoint is printed again.
    """
    if not _REASON.fullmatch(reason):
        raise RefusedError("A reason on the ledger is a code of at most 40 capitals, digits and _: ELECTION_OVER.")
    with _opened(ledger) as (settings, db, head):
        keys = ServerKeys.load(settings.keys_folder())
        recorder = Recorder(db, settings, keys, HighWater(settings.high_water_file(), head.origin))
        with db.read() as session:
            meta = meta_of(session, head.ledger_id)
            now_ms = _present(session, head, demo=meta is not None and meta.demo)
        if meta is not None and meta.closed_index is not None:
            print("This ledger was closed before; this is its final checkpoint.", file=sys.stderr)
            print(recorder.published[1].decode(), end="")
            return
        if not yes:
            typer.confirm(f"Close {head.origin} for ever?", abort=True, err=True)
        print(close_ledger(recorder, reason, now_ms).decode(), end="")


def remark(
    reason: Annotated[str, typer.Option(help="How the mark was lost, in a sentence; it is kept beside the alarms.")],
    ledger: Name = "",
) -> None:
    """Make a high-water mark that is lost for good anew, from the tree that this database has now.

    The service refuses to start without its mark. First look whether the other disk is mounted, and compare every
    witness: one that has seen more, or another tree, shows that this database is not the newest.
    """
    with _opened(ledger) as (settings, db, head):
        path = settings.high_water_file()
        if not head.size:
            raise RefusedError("This ledger has no leaf yet; found it first.")
        if path.exists() or path.is_symlink():
            raise RefusedError(f"There is a file {path}: the mark is not lost. Nothing was done.")
        if not path.parent.is_dir():
            raise MissingError(f"There is no folder {path.parent}: mount the other disk first. Nothing was done.")
        # The alarm first: a crash in between leaves a reason without a mark, and the command can be repeated.
        with db.write() as session:
            now = read_head(session, head.name, lock=True)
            now_ms = SystemClock().now_ms()
            freezing.raise_alarm(session, now.ledger_id, now_ms, kind="remarked", source="operator", detail=reason)
            take(session, now)  # who decides that this database is the newest decides that it may be written
        HighWater.make(path, now.origin, now.size, now.root).close()
        print(f"{now.origin} is marked anew at {now.size} leaves in {path}.")
        print(
            "Before you start the service, compare every witness and mirror with that size: whoever has seen more, or"
        )
        print("another tree, shows that this database is old. Then remove the mark and bring back the newest database.")


def new_key(ledger: Name = "", as_json: Json = False) -> None:
    """Make the key that is to sign checkpoints next; founders then sign a `ledger.rekey` that names both.

    While they have not, the same key is shown again.
    """
    with _opened(ledger) as (settings, db, head), db.read() as session:
        keys = ServerKeys.load(settings.keys_folder())
        meta = meta_of(session, head.ledger_id)
    under_way = keys.next_ledger is not None and keys.next_ledger.verifier().to_text() not in _in_force(meta)
    coming = keys.next_ledger if under_way and keys.next_ledger else keys.make_next(settings.keys_folder())
    made = coming.verifier().to_text()
    told = {"keys": [*(meta.ledger_keys if meta is not None else ()), made]}
    if as_json:
        print(json.dumps(told))
        return
    print("Restart the service, let witnesses add the last key, then record a ledger.rekey, signed by founders, with")
    print(json.dumps(told, indent=2))
    print("Later record one with the new key alone, then `custody ledger keep-key`.")


def keep_key(ledger: Name = "") -> None:
    """End a rotation: the new key, now alone in force, becomes the key; the old file is kept beside it."""
    with _opened(ledger) as (settings, db, head), db.read() as session:
        folder = settings.keys_folder()
        keys, meta = ServerKeys.load(folder), meta_of(session, head.ledger_id)
    if keys.next_ledger is None or meta is None:
        raise MissingError("No rotation is under way: there is no next key.")
    if meta.ledger_keys != (keys.next_ledger.verifier().to_text(),):
        raise RefusedError("The new key is not alone in force yet; record a ledger.rekey that names it alone first.")
    # Two renames: a crash between them leaves the old key under its archive name, and this command can be repeated
    # by hand (docs/ledger.md, "Rotate the key").
    old = folder / f"ledger-{keys.ledger.verifier().key_id.hex()}.key"
    (folder / LEDGER_FILE).rename(old)
    (folder / NEXT_LEDGER_FILE).rename(folder / LEDGER_FILE)
    print(f"The old key is kept as {old.name}; destroy it when nothing can be asked of it any more.")


def _in_force(meta: Meta | None) -> tuple[str, ...]:
    return meta.ledger_keys if meta is not None else ()


def _present(session: ReadSession, head: Head, *, demo: bool) -> int:
    if not demo:
        return SystemClock().now_ms()
    return newest_ms(session, head.ledger_id)


def _told(alarm: freezing.Alarm) -> dict[str, Any]:
    body = alarm.body.decode("utf-8", "replace") if alarm.body is not None else None
    return {
        "number": alarm.number, "at": _time(alarm.at_ms), "kind": alarm.kind, "source": alarm.source,
        "detail": alarm.detail, "evidence": body,
    }  # fmt: skip


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
