"""`custody client`: systems of agencies that read over HTTP with a secret."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from app.clock import SystemClock
from app.config import Settings
from app.custody.lookup import meta_of
from app.db import Database, ReadSession
from app.errors import MissingError, RefusedError
from app.keys.clients import add_client, all_clients, revoke_client
from app.keys.records import all_keys
from app.ledger.append import read_head
from app.units import records as unit_records
from app.units.documents import Policy


@contextmanager
def opened(settings: Settings) -> Iterator[Database]:
    """Open the database of the settings in force, and close it.

    Raises:
        MissingError: There is none; SQLite would make an empty one.
    """
    if not settings.database_url and not (settings.data_dir / "custody.db").exists():
        raise MissingError(f"There is no ledger in {settings.data_dir}; run `custody init` or `custody demo` first.")
    db = Database(settings.url())
    try:
        yield db
    finally:
        db.close()


def _refuse_unknown(session: ReadSession, ledger_id: int, agency: str) -> None:
    """Refuse an agency that neither the policy in force nor any enrolled key names: it is a slip of the pen."""
    known = {key.agency for key in all_keys(session, ledger_id)}
    meta = meta_of(session, ledger_id)
    data = unit_records.read_document(session, ledger_id, meta.policy) if meta is not None and meta.policy else None
    policy = unit_records.parsed(data) if data is not None else None
    if isinstance(policy, Policy):
        known |= {one.id for one in policy.agencies}
    if agency not in known:
        raise RefusedError(f"This ledger knows no agency {agency}; it knows {', '.join(sorted(known))}.")


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(help="API clients of other agencies.", no_args_is_help=True)
    app.add_typer(group, name="client")

    @group.command()
    def add(
        agency: Annotated[str, typer.Argument(help="Id of the agency.")],
        access: Annotated[list[str], typer.Option(help="Access role; may be given several times.")],
        place: Annotated[
            str | None, typer.Option(help="Root of the places it may see; everywhere when absent.")
        ] = None,
        as_json: Annotated[bool, typer.Option("--json", help="Print data.")] = False,
    ) -> None:
        """Add a client and print its secret, once."""
        settings = Settings()
        with opened(settings) as db:
            with db.read() as session:
                head = read_head(session, settings.ledger)
                _refuse_unknown(session, head.ledger_id, agency)
            with db.write() as writing:
                client, secret = add_client(writing, head.ledger_id, agency, access, place)
        told = {
            "client_id": client.client,
            "client_secret": secret,
            "agency": agency,
            "access": list(client.access),
            "place": place,
        }
        if as_json:
            print(json.dumps(told))
            return
        console = Console()
        for name, value in told.items():
            console.print(f"[bold]{name:14}[/] {value}", soft_wrap=True)
        console.print("\nThe secret is not kept here and is not shown again.")

    @group.command(name="list")
    def list_(as_json: Annotated[bool, typer.Option("--json", help="Print data.")] = False) -> None:
        """List the clients."""
        settings = Settings()
        with opened(settings) as db, db.read() as session:
            clients = all_clients(session, read_head(session, settings.ledger).ledger_id)
        if as_json:
            rows = [
                {
                    "client_id": c.client,
                    "agency": c.agency,
                    "access": list(c.access),
                    "place": c.place,
                    "revoked": c.revoked_ms is not None,
                }
                for c in clients
            ]
            print(json.dumps(rows))
            return
        table = Table("client", "agency", "access", "place", "revoked")
        for c in clients:
            table.add_row(
                c.client, c.agency, ", ".join(c.access), c.place or "everywhere", "yes" if c.revoked_ms else ""
            )
        Console().print(table)

    @group.command()
    def revoke(client: Annotated[str, typer.Argument(help="Id of the client.")]) -> None:
        """End a client and its tokens, at once."""
        settings = Settings()
        with opened(settings) as db, db.write() as session:
            revoke_client(session, read_head(session, settings.ledger).ledger_id, client, SystemClock().now_ms())
        Console().print(f"{client} is revoked.")
