"""The `custody` command: every topic is one module that registers itself here."""

import sys

import typer
from rich.console import Console

from app.cli import client, init, migrate, serve
from app.errors import ServiceError

app = typer.Typer(
    name="custody",
    help="Signed custody of election materials on a ledger that no single agency can rewrite.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
for topic in (init, serve, migrate, client):
    topic.register(app)


def main() -> None:
    """Run a command; what goes wrong is one clear line on the error output and exit code 1."""
    try:
        app()
    except ServiceError as error:
        Console(stderr=True).print(f"[bold red]custody:[/] {error.detail}", highlight=False, soft_wrap=True)
        sys.exit(1)
    except RuntimeError as error:
        Console(stderr=True).print(f"[bold red]custody:[/] {error}", highlight=False, soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
