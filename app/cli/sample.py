"""`custody sample`: draw the sample of an inspection again, from its inventory and its seed. Needs no database.

With files it needs no network either. With `--url` it asks the service what it drew from, draws anew, and says whether
both come to the same.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import httpx
import orjson
import typer
from pydantic import BaseModel, ConfigDict, ValidationError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.audit.inventory import commitment
from app.audit.sampling import draw, sample_size, seed_of
from app.audit.verify import read_limited
from app.canon import b64url_encode
from app.cli.mirror import Policy, Vkey, trusted
from app.custody.details import UnitId
from app.custody.inspections import Confidence, Rate
from app.errors import ConflictError, MalformedError, ServiceError
from app.exchange.remote import FixedToken
from app.ids import is_unit_id

DONE, DIFFERS, USAGE, NOT_DRAWN = 0, 1, 2, 3
MAX_ANSWER_BYTES = 64 * 1024 * 1024
SECONDS = 60.0


class _Part(BaseModel):
    """What this command needs of an answer; other members are nobody's business here."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)


class _Seed(_Part):
    value: str
    checkpoint: str


class _Set(_Part):
    n: int
    hash: str
    units: tuple[UnitId, ...]


class _Told(_Part):
    """What `/v1/inspections/{hash}/sample` answers."""

    kind: str
    confidence: Confidence
    rate: Rate
    complete: bool
    seed: _Seed
    inventory: _Set
    sample: _Set


@dataclass(frozen=True, slots=True)
class Question:
    """What a sample is drawn from; `told` is what the service says it drew, where it was asked."""

    units: list[str]
    note: bytes
    confidence: int
    rate: int
    full: bool
    told: dict[str, Any] | None = None


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("sample")(command)


def command(
    ids: Annotated[Path | None, typer.Option(help="File with the frozen unit ids, one a line.")] = None,
    seed_note: Annotated[Path | None, typer.Option(help="File with the checkpoint that gives the seed.")] = None,
    confidence: Annotated[int, typer.Option(help="In per cent.", min=1, max=99)] = 95,
    rate: Annotated[int, typer.Option(help="Share of bad units to be noticed, in per mille.", min=1, max=1000)] = 10,
    full: Annotated[bool, typer.Option("--full", help="A full inspection: every unit.")] = False,
    url: Annotated[
        str | None, typer.Option(help="Address of the sample: https://host/v1/inspections/<hash>/sample.")
    ] = None,
    token_file: Annotated[Path | None, typer.Option(help="File with a bearer token for it.")] = None,
    vkey: Vkey = None,
    policy: Policy = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print data.")] = False,
) -> None:
    """Draw the sample of an inspection. Exit code: 0 drawn, 1 the service told another, 2 usage, 3 no seed yet.

    With --vkey or --policy the checkpoint's signatures are verified, too; without, its word is taken for it.
    """
    try:
        asked = _asked(url, token_file) if url is not None else _read(ids, seed_note, confidence, rate, full=full)
        if vkey or policy is not None:
            trusted(vkey, policy).open(asked.note)
        answer = drawn(asked)
    except ConflictError as error:
        typer.echo(error.detail, err=True)
        raise typer.Exit(NOT_DRAWN) from None
    except (ServiceError, OSError, ValueError, httpx.HTTPError) as error:
        typer.echo(error.detail if isinstance(error, ServiceError) else str(error), err=True)
        raise typer.Exit(USAGE) from None
    answer["verified"] = bool(vkey or policy is not None)
    if as_json:
        print(json.dumps(answer))
    else:
        _show(answer)
    raise typer.Exit(DIFFERS if answer["agrees"] is False else DONE)


def drawn(asked: Question) -> dict[str, Any]:
    """Draw, and compare with what the service told; everything JSON-ready, `agrees` None where it told nothing.

    Raises:
        MalformedError: The inventory is empty or names a unit twice, or the note is none.
    """
    seed, population = seed_of(asked.note), len(asked.units)
    size = population if asked.full else sample_size(population, asked.confidence, asked.rate)
    units = sorted(draw(asked.units, size, seed))
    answer = {
        "seed": b64url_encode(seed), "inventory": commitment(asked.units), "confidence": asked.confidence,
        "rate": asked.rate, "sample": {**commitment(units), "units": units},
    }  # fmt: skip
    told = asked.told
    same = None if told is None else _same(told["seed"]["value"], told["inventory"], told["sample"], answer)
    return {**answer, "agrees": same}


def _same(seed: str, inventory: dict[str, Any], sample: dict[str, Any], answer: dict[str, Any]) -> bool:
    mine = (answer["seed"], *(answer[part][name] for part in ("inventory", "sample") for name in ("n", "hash")))
    return mine == (seed, *(part[name] for part in (inventory, sample) for name in ("n", "hash")))


def _read(ids: Path | None, note: Path | None, confidence: int, rate: int, *, full: bool) -> Question:
    if ids is None or note is None:
        raise MalformedError("Name --ids and --seed-note, or --url.")
    units = ids.read_text(encoding="ascii").split()
    wrong = next((unit for unit in units if not is_unit_id(unit)), None)
    if wrong is not None:
        raise MalformedError(f"{ids} holds something that is no unit id.", code="unit_id")
    return Question(units, read_limited(note), confidence, rate, full)


def _asked(url: str, token_file: Path | None) -> Question:
    """Ask the service; what it answers is drawn anew, not believed."""
    headers = {}
    if token_file is not None:
        headers["Authorization"] = f"Bearer {FixedToken(token_file.read_text(encoding='ascii').strip()).bearer}"
    data = bytearray()
    with httpx.stream("GET", url, headers=headers, timeout=SECONDS, follow_redirects=False, trust_env=False) as answer:
        for piece in answer.iter_bytes():
            data += piece
            if len(data) > MAX_ANSWER_BYTES:
                raise MalformedError("The answer is larger than any inventory.")
    told = orjson.loads(bytes(data))
    if answer.status_code != httpx.codes.OK:
        raise _refusal(url, answer.status_code, told if isinstance(told, dict) else {})
    try:
        asked = _Told.model_validate_json(bytes(data))
    except ValidationError:
        raise MalformedError(f"{url} does not answer what an inspection's sample is drawn from.") from None
    if not asked.complete:
        raise MalformedError("You do not see every unit of that inventory, so you cannot draw from it.")
    units, note, full = list(asked.inventory.units), asked.seed.checkpoint.encode(), asked.kind == "full"
    return Question(units, note, asked.confidence, asked.rate, full, told)


def _refusal(url: str, status: int, told: dict[str, Any]) -> ServiceError:
    """Return what the service's refusal means here; a service may say anything, and only its words are shown."""
    if status == httpx.codes.CONFLICT and told.get("code") == "not_drawn":
        try:
            return ConflictError(str(told["awaits"]["text"]["en"]), code="not_drawn")
        except (KeyError, TypeError):
            return ConflictError(str(told.get("detail")), code="not_drawn")
    return MalformedError(f"{url} answers {status}: {told.get('detail')}")


def _show(answer: dict[str, Any]) -> None:
    console = Console()
    sample, inventory = answer["sample"], answer["inventory"]
    terms = f"{answer['confidence']} %, {answer['rate']} per mille"
    console.print(f"{sample['n']} of {inventory['n']} units ({terms})", highlight=False)
    table = Table("number", "unit")
    for number, unit in enumerate(sample["units"], 1):
        table.add_row(str(number), Text("-".join(unit[at : at + 4] for at in range(0, len(unit), 4))))
    console.print(table)
    for name, value in (("seed", answer["seed"]), ("inventory", inventory["hash"]), ("sample", sample["hash"])):
        console.print(f"{name:10} {value}", soft_wrap=True, highlight=False, markup=False)
    if not answer["verified"]:
        console.print("The checkpoint's signatures were not verified; pin --vkey or --policy.", soft_wrap=True)
    if answer["agrees"] is not None:
        told = "The service drew the same." if answer["agrees"] else "THE SERVICE TELLS ANOTHER SAMPLE."
        console.print(told, style="green" if answer["agrees"] else "bold red")
