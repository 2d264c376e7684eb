"""The `custody` command: every topic is one module that registers itself here."""

import sys
from typing import NoReturn

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from sqlalchemy.exc import DBAPIError

from app.cli import client, export, founder, fsck, init, ledger, ledgers, migrate, plan, sample, serve, verify, witness
from app.cli.bench import command as bench
from app.cli.demo import command as demo
from app.cli.simulate import command as simulate
from app.errors import ServiceError

app = typer.Typer(
    name="custody",
    help="Signed custody of election materials on a ledger that no single agency can rewrite.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
for topic in (
    demo, serve, init, founder, migrate, plan, client, verify, fsck, ledger, ledgers, export, witness, sample, bench,
    simulate,
):  # fmt: skip
    topic.register(app)


def main() -> None:
    """Run a command; what goes wrong is one clear line on the error output, and exit code 1."""
    try:
        app(prog_name="custody")
    except ServiceError as error:
        _fail(error.detail)
    except (RuntimeError, OSError, DBAPIError, ValidationError) as error:
        _fail(_first_line(error))


def _first_line(error: Exception) -> str:
    """Say what happened in one line; a setting that does not fit is named, never shown."""
    if isinstance(error, ValidationError):
        first = error.errors(include_input=False, include_url=False)[0]
        return f"The setting {'.'.join(map(str, first['loc']))} is not usable: {first['msg']}."
    told = error.orig if isinstance(error, DBAPIError) else error
    return str(told).partition("\n")[0] or type(error).__name__


def _fail(sentence: str) -> NoReturn:
    Console(stderr=True).print(f"[bold red]custody:[/] {escape(sentence)}", highlight=False, soft_wrap=True)
    sys.exit(1)


if __name__ == "__main__":
    main()
