"""`custody serve` and `custody up`: run the HTTP service over the data folder."""

from typing import Annotated

import typer
import uvicorn
from rich.console import Console

from app.config import Settings
from app.errors import MissingError
from app.main import create_app

KEEP_ALIVE_SECONDS = 5
GRACE_SECONDS = 20
MAX_CONNECTIONS = 512
MAX_HEADER_BYTES = 16_384


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then drain: answer what is under way, write what is queued, end.

    Raises:
        MissingError: There is no ledger in the data folder.
    """
    if not settings.database_url and not (settings.data_dir / "custody.db").exists():
        raise MissingError(f"There is no ledger in {settings.data_dir}; run `custody init` or `custody demo` first.")
    uvicorn.run(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        http="h11",
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        server_header=False,
        proxy_headers=False,
        log_config=None,
        access_log=False,
    )


def chosen(host: str | None, port: int | None) -> Settings:
    """Return the settings with what the command line overrides."""
    told = {"host": host, "port": port}
    return Settings(**{name: value for name, value in told.items() if value is not None})  # type: ignore[arg-type]


def register(app: typer.Typer) -> None:
    """Add the commands."""

    @app.command()
    def serve(
        host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
        port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
    ) -> None:
        """Serve the ledger in the data folder."""
        settings = chosen(host, port)
        Console(stderr=True).print(f"Serving {settings.data_dir} on http://{settings.host}:{settings.port}")
        run(settings)
