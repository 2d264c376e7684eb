"""`custody founder`: what founders and agencies sign together, each with a key of his own on a machine of his own.

    key      make a key; its public part is printed
    genesis  draft the first leaf of a ledger, from the server's keys and the people who found it
    draft    draft any later event (ledger.rekey, agency.join, founders.change, policy.publish, …)
    sign     sign a draft; needs no network and no database
    join     put the signatures under the draft: an event
    send     hand an event to the ledger's service

A draft is the payload itself, the bytes that everybody signs. Files go from hand to hand in between; nothing in them is
secret but the key file, which never leaves its owner.
"""

import json
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, cast

import httpx
import typer

from app.canon import JsonValue, b64url_encode, jcs, parse_json, sha256
from app.cli.phone import EMPTY_ROOT, ZERO_HASH
from app.clock import SystemClock, rfc3339_ms
from app.custody.events import Event, parse_event
from app.custody.voice import NOWHERE
from app.errors import BusyError, MissingError, RefusedError, UnprovenError
from app.ids import new_event_id
from app.keys.files import make_jwk_file, read_jwk_file
from app.keys.signing import sign_jws
from app.keys.verify import PublicKey, parse_jws, prove

MAX_BYTES = 128 * 1024
SEND_SECONDS = 60
FIRST: dict[str, JsonValue] = {"seq": 1, "prev": ZERO_HASH}

Out = Annotated[Path, typer.Option(help="Where the result goes; never overwritten.")]
Draft = Annotated[Path, typer.Argument(metavar="DRAFT", help="What everybody signs.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print data.")]


def register(app: typer.Typer) -> None:
    """Add `custody founder` with its commands."""
    commands = typer.Typer(no_args_is_help=True, help="What founders and agencies sign together.")
    for act in (key, genesis, draft, sign, join, send):
        commands.command(act.__name__)(act)
    app.add_typer(commands, name="founder")


def key(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where the private key goes; never overwritten.")],
    as_json: AsJson = False,
) -> None:
    """Make a key, and print the public part that others need."""
    try:
        made = make_jwk_file(file)
    except FileExistsError:
        raise RefusedError(f"{file} exists; a key is never overwritten.") from None
    if as_json:
        sys.stdout.write(json.dumps({"kid": made.kid, "jwk": made.public.jwk()}) + "\n")
    else:
        sys.stdout.write(f"kid  {made.kid}\njwk  {json.dumps(made.public.jwk())}\n")


def genesis(
    server: Annotated[Path, typer.Argument(help="What `custody init --keys-only --json` printed.")],
    people: Annotated[Path, typer.Argument(help="JSON: administrators [{officer, agency, jwk}], agencies [{agency, "
                                                "name, kind, jwk}], policy_signers.")],
    author: Annotated[str, typer.Option(help="Key id of the founder who authors it.")],
    out: Out,
) -> None:  # fmt: skip
    """Draft the genesis of a ledger; every founder and every agency named in it signs it."""
    told, named = _object(server), _object(people)
    succeeds = {"succeeds": told["succeeds"]} if "succeeds" in told else {}
    try:
        keys = {name: told[name] for name in ("ledger_key", "service_key", "admission_key")}
        jwks = [one["jwk"] for one in (*named["administrators"], *named.get("agencies", ()))]
        origin = str(told["origin"])
    except (KeyError, TypeError) as error:
        raise RefusedError(f"{server} or {people} lacks {error}.") from None
    details = {"name": origin.rpartition("/")[2], **keys, **named, **succeeds}
    signers = [PublicKey.from_jwk(jwk).kid for jwk in jwks]
    if author not in signers:
        raise RefusedError("The author is none of the founders.")
    payload = _payload("ledger.genesis", details, origin, author, signers, FIRST, where="FOUNDING")
    _write(out, payload)
    _tell(out, parse_event(payload))


def draft(
    type_: Annotated[str, typer.Argument(metavar="TYPE", help="Such as ledger.rekey.")],
    details: Annotated[Path, typer.Argument(metavar="DETAILS", help="JSON: the details of that type.")],
    ledger: Annotated[str, typer.Option(help="Origin of the ledger.")],
    author: Annotated[str, typer.Option(help="Key id of the founder who authors it.")],
    out: Out,
    signer: Annotated[list[str] | None, typer.Option(help="Key id of another who signs; may be repeated.")] = None,
    previous: Annotated[
        Path | None, typer.Option(help="The author's previous event on this ledger, such as genesis.json.")
    ] = None,
    where: Annotated[str, typer.Option(help="Election and place that it is about.")] = NOWHERE,
) -> None:
    """Draft an event that several sign as approvers."""
    before = _previous(previous, ledger, author)
    payload = _payload(type_, _object(details), ledger, author, [author, *(signer or ())], before, where=where)
    event = parse_event(payload)
    _write(out, payload)
    _tell(out, event)


def sign(
    draft: Draft,
    key: Annotated[Path, typer.Option(metavar="FILE", help="Your private key.")],
    out: Out,
    yes: Annotated[bool, typer.Option("--yes", help="Sign without asking.")] = False,
) -> None:
    """Show a draft and sign it. Read it: your signature is on the ledger for ever."""
    payload, own = _read(draft), read_jwk_file(key)
    event = parse_event(payload)
    if own.kid not in event.body.signers:
        raise RefusedError(f"This draft does not name your key {own.kid}; it would not be taken.")
    sys.stdout.write(json.dumps(json.loads(payload), indent=2, ensure_ascii=False) + "\n")
    if not yes:
        typer.confirm(f"Sign {event.type.name} for {event.body.ledger}?", abort=True)
    _write(out, json.dumps({"jws": sign_jws(payload, [own]), "jwk": own.public.jwk()}).encode())
    sys.stdout.write(f"{out}: signed by {own.kid}\n")


def join(
    draft: Draft,
    signatures: Annotated[list[Path], typer.Argument(metavar="SIGNATURE...", help="What the others signed.")],
    out: Out,
) -> None:
    """Put the signatures under their draft, each verified; what is missing is named."""
    payload = _read(draft)
    event = parse_event(payload)
    lines: dict[str, JsonValue] = {}
    for path in signatures:
        kid, line = _signature(path, payload)
        lines[kid] = line
    missing = sorted(set(event.body.signers) - set(lines))
    if missing:
        raise RefusedError(f"Signatures are missing: {', '.join(missing)}.")
    joined = [lines[kid] for kid in event.body.signers]
    _write(out, jcs({"payload": b64url_encode(payload), "signatures": joined}))
    sys.stdout.write(f"{out}: {event.type.name}, {len(joined)} signatures, hash {event.hash}\n")


def send(
    event: Annotated[Path, typer.Argument(metavar="EVENT", help="What `join` made.")],
    url: Annotated[str, typer.Argument(metavar="URL", help="Address of the service, https://custody.example.")],
    as_json: AsJson = False,
) -> None:
    """Hand an event to the service and print what became of it. Exit code: 0 accepted, 1 not."""
    body = _read(event)
    parse_jws(parse_json(body, max_bytes=MAX_BYTES))
    try:
        answer = httpx.post(
            f"{url.rstrip('/')}/v1/events", content=body, timeout=SEND_SECONDS, follow_redirects=False,
            headers={"Content-Type": "application/json"},
        )  # fmt: skip
        told = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError, ValueError) as error:
        raise BusyError(f"{url} gives no answer that a ledger would: {type(error).__name__}.") from None
    accepted = answer.status_code in {200, 201} and told.get("result") == "accepted"
    if as_json:
        sys.stdout.write(json.dumps(told) + "\n")
    elif accepted:
        sys.stdout.write(f"accepted as leaf {told['index']}\n")
    else:
        sys.stderr.write(f"{answer.status_code} {told.get('code')}: {told.get('detail', told.get('result'))}\n")
    raise typer.Exit(0 if accepted else 1)


def _payload(
    type_: str, details: dict[str, Any], origin: str, author: str, signers: Sequence[str],
    device: dict[str, JsonValue], *, where: str,
) -> bytes:  # fmt: skip
    """Return the bytes that are to be signed: an event of now, every signer as approver."""
    now_ms = SystemClock().now_ms()
    return jcs(cast("JsonValue", {
        "v": 1, "event_id": new_event_id(now_ms, secrets.token_bytes(10)), "type": type_, "ledger": origin,
        "election": where, "place": where, "author": author, "signers": dict.fromkeys(signers, "approver"),
        "units": [], "after": [], "at": rfc3339_ms(now_ms), "checkpoint": {"size": 0, "root": EMPTY_ROOT},
        "device": device, "details": details, "private": {},
    }))  # fmt: skip


# -- files ---------------------------------------------------------------------------------------------------


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise MissingError(f"Cannot read {path}: {error.strerror}.") from None
    if len(data) > MAX_BYTES:
        raise RefusedError(f"{path} is larger than an event can be.")
    return data


def _object(path: Path) -> dict[str, Any]:
    found = parse_json(_read(path), max_bytes=MAX_BYTES)
    if not isinstance(found, dict):
        raise RefusedError(f"{path} holds no JSON object.")
    return found


def _write(path: Path, data: bytes) -> None:
    try:
        with path.open("xb") as file:
            file.write(data)
    except FileExistsError:
        raise RefusedError(f"{path} exists; nothing is overwritten.") from None
    except OSError as error:
        raise RefusedError(f"Cannot write {path}: {error.strerror}.") from None


def _tell(path: Path, event: Event) -> None:
    sys.stdout.write(f"{path}: {event.type.name}, hash {event.hash}, to be signed by\n")
    sys.stdout.write("".join(f"  {kid}\n" for kid in event.body.signers))


def _previous(path: Path | None, ledger: str, author: str) -> dict[str, JsonValue]:
    """Return the author's place in the sequence of his key: after his previous event, or at its beginning."""
    if path is None:
        return FIRST
    payload = parse_jws(parse_json(_read(path), max_bytes=MAX_BYTES)).payload
    body = parse_event(payload).body
    if (body.ledger, body.author) != (ledger, author):
        raise RefusedError(f"{path} is no event of that author on that ledger.")
    return {"seq": body.device.seq + 1, "prev": b64url_encode(sha256(payload))}


def _signature(path: Path, payload: bytes) -> tuple[str, JsonValue]:
    """Return key id and signature from a file that `sign` made for this very draft.

    Raises:
        UnprovenError: It is for another draft, or does not verify.
    """
    told = _object(path)
    value: JsonValue = told.get("jws")
    jws, public = parse_jws(value), PublicKey.from_jwk(told.get("jwk"))
    if jws.payload != payload:
        raise UnprovenError(f"{path} is a signature of another draft.")
    prove(jws, {public.kid: public}.get)
    lines = cast("dict[str, Any]", value)["signatures"]
    return jws.signatures[0].kid, lines[0]
