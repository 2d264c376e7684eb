"""`custody ledger mirror` and `custody ledger verify`: somebody else's ledger, copied and examined."""

import gc
import json
import os
import sys
import time
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from typing import Annotated, Any, NoReturn

import orjson
import typer

from app.audit.exported import TreeReport, verify_tree
from app.audit.following import Following
from app.audit.readers import Readers
from app.canon import b64url_encode
from app.cli.pace import Pace
from app.errors import BusyError, ForbiddenError, MalformedError, MissingError, ServiceError
from app.exchange.mirror import Mirror, Round, Wanted
from app.exchange.remote import ClientSecret, FixedToken, Login, RemoteLedger
from app.ledger.folder import TileFolder
from app.ledger.note import VerifierKey
from app.ledger.policy import TrustPolicy
from app.ledger.trust import Trust

WRONG, USAGE, INCOMPLETE, BEHIND = 1, 2, 3, 4
MAX_SECRET_BYTES = 16 * 1024
MOST_THAT_GAIN = 4
WORTH_A_PROCESS = 8192
"""Leaves; fewer are verified before another process has started."""
GC_THRESHOLDS = (50_000, 20, 1000)
EXIT_CODES = {"PASS": 0, "FAIL": WRONG, "INCOMPLETE": INCOMPLETE}

Vkey = Annotated[list[str] | None, typer.Option("--vkey", help="Verifier key of the ledger; several while it rotates.")]
Policy = Annotated[Path | None, typer.Option("--policy", help="Trust policy (c2sp.org/tlog-policy): whose keys count.")]
Genesis = Annotated[str | None, typer.Option(help="Pinned hash of the genesis event.")]
Processes = Annotated[
    int | None,
    typer.Option(help="How many processes verify; by default as many as there are cores, up to 4.", min=1, max=64),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")]


def register(commands: typer.Typer) -> None:
    """Add the commands to `custody ledger`."""
    commands.command("mirror")(mirror)
    commands.command("verify")(verify)


def mirror(
    url: Annotated[str, typer.Argument(metavar="URL", help="Address of the ledger, https://host/ledger/name.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the copy is; made when it is not there.")],
    vkey: Vkey = None,
    policy: Policy = None,
    genesis: Genesis = None,
    every: Annotated[float, typer.Option(help="Keep following: seconds between rounds. 0 for one round.", min=0)] = 0,
    token_file: Annotated[Path | None, typer.Option(help="File with a bearer token for restricted entries.")] = None,
    client_file: Annotated[
        Path | None, typer.Option(help="JSON file with client_id and client_secret, to earn tokens with.")
    ] = None,
    hashes_only: Annotated[bool, typer.Option(help="Copy hash tiles alone; needs no credentials.")] = False,
    rules: Annotated[bool, typer.Option(help="Judge every event again; needs the documents.")] = True,
    as_json: AsJson = False,
) -> None:
    """Follow a ledger, verify every leaf, and keep a copy.

    Exit code: 0 all of it verified, 1 something is wrong (a fork is kept under DIR/evidence), 2 usage, 3 not reachable
    or not all of it could be verified, 4 the ledger shows an older tree than was kept.
    """
    try:
        trust = trusted(vkey, policy)
        if hashes_only and genesis is not None:
            raise MalformedError("The genesis is a leaf: hashes alone cannot show it.")
        source = RemoteLedger(url, _login(token_file, client_file))
    except (ServiceError, OSError, ValueError) as error:
        _usage(error)
    wanted = Wanted(entries=not hashes_only, rules=rules and not hashes_only, genesis=genesis)
    _collect_seldom()
    files = TileFolder(folder)
    with closing(source), Pace(quiet=as_json) as pace:
        try:
            with files.locked():
                code = _follow(Mirror(source, files, trust, wanted, pace.tick), trust.origin, every, as_json=as_json)
        except (ServiceError, OSError) as error:
            typer.echo(_sentence(error), err=True)
            code = _code_of(error)
    raise typer.Exit(code)


def verify(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A tree that was exported or mirrored.")],
    vkey: Vkey = None,
    policy: Policy = None,
    genesis: Genesis = None,
    signatures: Annotated[bool, typer.Option(help="Verify every signature, too.")] = True,
    processes: Processes = None,
    as_json: AsJson = False,
) -> None:
    """Verify a tree of static files offline. Exit code: 0 PASS, 1 FAIL, 2 usage, 3 INCOMPLETE.

    The answer is the same with any number of processes. One applies the rules, the others read leaves and verify
    signatures ahead of it; more than four gain nothing.
    """
    try:
        trust = trusted(vkey, policy)
        if not folder.is_dir():
            raise MissingError(f"There is no folder {folder}.")
    except (ServiceError, OSError, ValueError) as error:
        _usage(error)
    _collect_seldom()
    with Pace(quiet=as_json) as pace, readers_for(processes) as readers:
        report = verify_tree(
            TileFolder(folder), trust, genesis=genesis, signatures=signatures, readers=readers, progress=pace.tick
        )
    sys.stdout.write(json.dumps(report.as_json(), indent=2) + "\n" if as_json else _as_text(report))
    raise typer.Exit(EXIT_CODES[report.result])


def readers_for(processes: int | None) -> AbstractContextManager[Readers | None]:
    """Return the processes that read ahead of this one, or none for one process alone.

    Args:
        processes: How many there shall be in all; None for what gains something here, on a ledger large enough.
    """
    wanted = min(usable_cores(), MOST_THAT_GAIN) if processes is None else processes
    if wanted == 1:
        return nullcontext()
    return Readers(wanted - 1, least_leaves=WORTH_A_PROCESS if processes is None else 0)


def usable_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def trusted(vkeys: list[str] | None, policy: Path | None) -> Trust:
    """Read what the caller pins.

    Raises:
        MalformedError: A key or the policy is malformed, or nothing is pinned.
        OSError: The policy file cannot be read.
    """
    keys = tuple(VerifierKey.parse(text) for text in vkeys or ())
    if not keys and policy is None:
        raise MalformedError("Pin the ledger's key with --vkey, or a policy with --policy; /v1/ledger shows the key.")
    return Trust(keys, TrustPolicy.parse(policy.read_bytes()) if policy is not None else None)


# -- following ---------------------------------------------------------------------------------------------


def _follow(mirror_: Mirror, origin: str, every: float, *, as_json: bool) -> int:
    """Do rounds until one was enough, or the ledger is not to be followed any further.

    It may be killed anywhere, so it catches no signal: the next run proves and completes what this one left.
    """
    shown: object = None
    while True:
        started = time.monotonic()
        try:
            done = mirror_.once()
        except (BusyError, MissingError) as error:
            if not every:
                raise
            typer.echo(error.detail, err=True)
        else:
            told = _summary(origin, done, mirror_.told, time.monotonic() - started)
            news = (told["root"], told["state"], told["not_checked"], len(told["findings"]))
            if news != shown:
                sys.stdout.write(json.dumps(told) + "\n" if as_json else _round_as_text(told))
                sys.stdout.flush()
            shown = news
            if not every:
                return _code(done, mirror_.told)
        time.sleep(every)


def _code(done: Round, told: Following) -> int:
    if not told.clean:
        return WRONG
    if done.state == "behind":
        return BEHIND
    return 0 if told.complete else INCOMPLETE


def _summary(origin: str, done: Round, told: Following, seconds: float) -> dict[str, Any]:
    return {
        "origin": origin, "state": done.state, "size": done.size, "root": b64url_encode(done.root),
        "offered": done.offered, "written": done.written, "genesis": told.genesis,
        "findings": [finding.as_json() for finding in told.findings], "findings_dropped": told.dropped,
        "not_checked": told.not_checked.as_json() if told.not_checked else None, "milliseconds": round(seconds * 1000),
    }  # fmt: skip


def _round_as_text(told: dict[str, Any]) -> str:
    words = {
        "grown": "copied and verified", "same": "nothing new, all verified",
        "behind": f"the ledger shows only {told['offered']} of these leaves; ask its operator why",
    }  # fmt: skip
    lines = [f"{told['origin']}: {told['size']} leaves, root {told['root']}: {words[told['state']]}"]
    lines += [f"leaf {found['index']}: {found['code']}: {found['detail']}" for found in told["findings"]]
    if told["not_checked"]:
        lines.append(f"not judged from leaf {told['not_checked']['index']} on: {told['not_checked']['detail']}")
    return "\n".join(lines) + "\n"


# -- small things ------------------------------------------------------------------------------------------


def _collect_seldom() -> None:
    """Let the collector rest: what is remembered of a million events makes no cycles, and looking takes a quarter."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def _login(token_file: Path | None, client_file: Path | None) -> Login | None:
    if token_file is not None and client_file is not None:
        raise MalformedError("Either a token or a client, not both.")
    if token_file is not None:
        return FixedToken(_secret(token_file).decode("ascii").strip())
    if client_file is not None:
        told = orjson.loads(_secret(client_file))  # a json.loads of many brackets is a RecursionError
        if not isinstance(told, dict) or not {"client_id", "client_secret"} <= set(told):
            raise MalformedError(
                f"{client_file} has no client_id and client_secret; `custody client add --json` prints both."
            )
        return ClientSecret(str(told["client_id"]), str(told["client_secret"]))
    return None


def _secret(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_SECRET_BYTES)


def _usage(error: Exception) -> NoReturn:
    typer.echo(_sentence(error), err=True)
    raise typer.Exit(USAGE) from None


def _sentence(error: Exception) -> str:
    return error.detail if isinstance(error, ServiceError) else str(error)


def _code_of(error: Exception) -> int:
    return INCOMPLETE if isinstance(error, BusyError | MissingError | ForbiddenError | OSError) else WRONG


def _as_text(report: TreeReport) -> str:
    lines = [f"{report.result}: {report.origin}, {report.size} leaves, root {report.root}"]
    lines += [f"leaf {found.index}: {found.code}: {found.detail}" for found in report.findings]
    if report.findings_dropped:
        lines.append(f"and {report.findings_dropped} more")
    lines += [f"not checked: {what}" for what in report.not_checked]
    if report.genesis and report.seconds:
        lines.append(f"{report.size / report.seconds:,.0f} leaves a second")
    return "\n".join(lines) + "\n"
