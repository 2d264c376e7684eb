"""`custody serve` and `custody up`: run the HTTP service over the data folder."""

import gc
import socket
from pkgutil import resolve_name
from typing import Annotated

import typer
import uvicorn
from rich.console import Console

from app.cli.demo.command import play_demo
from app.cli.workers import Workers
from app.config import Settings
from app.errors import MissingError
from app.logs import configure_logging

APPLICATION, HTTP = "app.main", "app.web.http:BoundedHttp"
"""Named, not imported: entrances do not see each other."""
KEEP_ALIVE_SECONDS = 5
GRACE_SECONDS = 20
MAX_CONNECTIONS = 512
BACKLOG = 2048
GC_THRESHOLDS = (50_000, 20, 100)


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then drain: answer what is under way, write what is queued, end.

    Raises:
        MissingError: There is no ledger in the data folder.
        TamperError: The tree is smaller than what was signed before; or a key file may be read by others.
        RuntimeError: The database may lose commits, the keys are another ledger's, the port is taken; or several
            processes are to answer, and each would write in a thread of its own.
    """
    if settings.workers > 1 and settings.writer == "thread":
        raise RuntimeError("Several workers share a writer in a process of its own: leave CUSTODY_WRITER=process.")
    if not has_ledger(settings):
        raise MissingError(f"There is no ledger in {settings.data_dir}; run `custody init` or `custody demo` first.")
    configure_logging(settings)
    resolve_name(f"{APPLICATION}:check")(settings)
    listening = listen(settings)
    settings = settings.model_copy(update={"port": listening.getsockname()[1]})
    Console(stderr=True).print(f"Serving {settings.data_dir} on {settings.base_url()}", soft_wrap=True)
    with listening:
        if settings.workers > 1:
            Workers(settings, listening).run()
        else:
            server(settings).run(sockets=[listening])


def server(settings: Settings, writer: socket.socket | None = None) -> uvicorn.Server:
    """Return the HTTP server of one process that answers.

    Args:
        settings: How to run.
        writer: Leads to the writer that several processes share; the server starts its own when absent.
    """
    config = uvicorn.Config(
        resolve_name(f"{APPLICATION}:create_app")(settings, writer=writer),
        http=resolve_name(HTTP),
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        server_header=False,
        proxy_headers=False,
        ws="none",
        log_config=None,
        access_log=False,
    )
    # Records make no cycles: the collector's frequent rounds find nothing and cost a quarter of the hot path.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    return uvicorn.Server(config)


def has_ledger(settings: Settings) -> bool:
    """Say whether there is a database to serve; one that is configured is taken at its word."""
    return bool(settings.database_url) or (settings.data_dir / "custody.db").exists()


def listen(settings: Settings) -> socket.socket:
    """Return a socket that listens on the host and port of the settings.

    Raises:
        RuntimeError: The address is taken, or not this machine's.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.host, settings.port))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise RuntimeError(f"Cannot listen on {settings.host}:{settings.port}: {error.strerror}.") from None
    return listening


def chosen(host: str | None, port: int | None, workers: int | None) -> Settings:
    """Return the settings with what the command line overrides."""
    told = {"host": host, "port": port, "workers": workers}
    return Settings(**{name: value for name, value in told.items() if value is not None})  # type: ignore[arg-type]


Host = Annotated[str | None, typer.Option(help="Address to listen on; CUSTODY_HOST, else 127.0.0.1.")]
Port = Annotated[int | None, typer.Option(help="Port to listen on, 0 for a free one; CUSTODY_PORT, else 8000.")]

WorkerCount = Annotated[
    int | None, typer.Option("--workers", help="Processes that answer, over one that writes; CUSTODY_WORKERS, else 1.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""

    @app.command()
    def serve(host: Host = None, port: Port = None, workers: WorkerCount = None) -> None:
        """Serve the ledger in the data folder."""
        run(chosen(host, port, workers))

    @app.command()
    def up(host: Host = None, port: Port = None, workers: WorkerCount = None) -> None:
        """Serve the ledger in the data folder; when there is none, play the demonstration into it first."""
        settings = chosen(host, port, workers)
        if not has_ledger(settings):
            play_demo(settings)
        run(settings)
