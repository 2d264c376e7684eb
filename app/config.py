"""Every setting of the service, with its default and its unit; built once, passed down, never a global.

Each field is an environment variable with the prefix `CUSTODY_` (`CUSTODY_DATABASE_URL`). The README's table
of settings lists them all; a test fails when one is missing there. Secrets are files in `keys_dir`, never
settings.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """How one process of the service runs."""

    model_config = SettingsConfigDict(env_prefix="CUSTODY_", frozen=True, extra="ignore")

    data_dir: Path = Path("custody-data")
    """Folder of everything this installation keeps, unless a setting below says otherwise."""
    database_url: str = ""
    """SQLAlchemy URL (`postgresql+psycopg://…`); empty: SQLite at `<data_dir>/custody.db`."""
    read_database_url: str = ""
    """URL of the reading role or replica on PostgreSQL; empty: the same database, read only."""
    synchronous_standby: bool = False
    """Write only where a standby confirms each commit (PostgreSQL, `synchronous_standby_names`); on all hosts alike."""
    migration_url: str = ""
    """URL of the role that owns the tables, used by `custody migrate` only; empty: `database_url`."""
    keys_dir: Path | None = None
    """Folder of the three server keys, files of mode 0400; empty: `<data_dir>/keys`."""
    high_water_path: Path | None = None
    """File that remembers the largest tree ever signed; keep it on another disk. Empty: in `data_dir`."""
    ledger: str = ""
    """Name of the ledger to serve; empty: the only one in the database."""
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = Field(default=8000, ge=0, le=65535)
    """Port to listen on; 0 picks a free one."""
    public_url: str = ""
    """Address under which clients reach this service, `https://custody.example`; empty: `http://<host>:<port>`."""
    workers: int = Field(default=1, ge=1, le=64)
    """Processes that answer requests; they share the one process of this host that writes."""
    short_host: str = Field(default="CUSTODY.ID", max_length=19)
    """Host printed inside QR labels, at most 19 characters, so that a code stays version 3."""
    max_event_bytes: int = Field(default=65536, ge=1024)
    """Largest body of `POST /v1/events`, bytes."""
    max_batch_bytes: int = Field(default=8 * 1024 * 1024, ge=1024)
    """Largest body of `POST /v1/events/batch`, bytes."""
    max_batch_events: int = Field(default=1000, ge=1, le=1000)
    """Most events in one batch."""
    max_document_bytes: int = Field(default=8 * 1024 * 1024, ge=1024, le=8 * 1024 * 1024)
    """Largest document (policy, plan), bytes."""
    max_label_block: int = Field(default=10_000, ge=1, le=20_000)
    """Most labels in one block."""
    queue_events: int = Field(default=8192, ge=1)
    """Events that may wait for the writer before the door answers 503 with Retry-After."""
    large_bytes: int = Field(default=64 * 1024 * 1024, ge=1024)
    """Bytes of large requests (batches, plans, label lists) that may be under way at a time before 503."""
    group_events: int = Field(default=512, ge=1)
    """Most events that share one commit."""
    writer: Literal["process", "thread"] = "process"
    """Where the ledger is written: in a process of its own, or in a thread of the one that answers (half as fast)."""
    writer_wait_seconds: int = Field(default=30, ge=1)
    """Longest wait of a request for its commit before 503; the event may still be recorded: send it again."""
    access_token_seconds: int = Field(default=3600, ge=60, le=43200)
    """Life of an access token, seconds."""
    enrolment_seconds: int = Field(default=900, ge=60, le=3600)
    """Life of an enrolment token, seconds."""
    pending_alarm_hours: int = Field(default=72, ge=1)
    """Hours after which an event that still waits for another raises an alarm."""
    sweep_seconds: int = Field(default=5, ge=1)
    """Pause between two rounds of the clock's work (cancels that fall due, overdue goods), seconds."""
    heads_seconds: int = Field(default=60, ge=0)
    """Pause between two commitments to every unit's latest event (`heads.commit`), seconds; 0: none are made."""
    witness_policy: Path | None = None
    """Trust policy (c2sp.org/tlog-policy): the witnesses to ask, their URLs, and the quorum; empty: none are asked."""
    witness_seconds: float = Field(default=5, gt=0)
    """Pause between two rounds over the witnesses, seconds."""
    witness_timeout_seconds: float = Field(default=1.0, gt=0)
    """Longest wait for a witness, seconds; the ledger never waits for one."""
    recosign_seconds: int = Field(default=600, ge=1)
    """Age at which the cosignature of an unchanged ledger is asked for anew, seconds."""
    tsa_url: str = ""
    """URL of an authority that stamps witnessed checkpoints with the legal time (RFC 3161); empty: none is asked."""
    tsa_roots: Path | None = None
    """PEM file of the root certificates that the authority's stamps are verified against; needed with `tsa_url`."""
    tsa_seconds: int = Field(default=3600, ge=1)
    """Shortest time between two stamps, seconds."""
    ledgers: Path | None = None
    """The signed list of ledgers (`custody ledgers sign`), which `/v1/ledgers` hands out; empty: none."""
    ledgers_key: str = ""
    """Verifier key of that list; needed with `ledgers`."""
    shard_seconds: int = Field(default=0, ge=0)
    """Pause between two rounds in which a national ledger takes every listed ledger's checkpoint, seconds; 0: none."""
    log_format: str = Field(default="json", pattern="^(json|console)$")
    """`json` for machines, `console` for people."""
    log_level: str = Field(default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")
    """Least severity that is logged."""
    production: bool = False
    """Refuse demo ledgers and the pages of API documentation."""

    def url(self) -> str:
        """Return the database URL in force."""
        return self.database_url or f"sqlite:///{self.data_dir / 'custody.db'}"

    def read_url(self) -> str:
        """Return the URL that reading connections use."""
        return self.read_database_url or self.url()

    def base_url(self) -> str:
        """Return the address under which clients reach this service, without a slash at its end."""
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")

    def keys_folder(self) -> Path:
        """Return the folder of the server keys in force."""
        return self.keys_dir or self.data_dir / "keys"

    def high_water_file(self) -> Path:
        """Return the file of the high-water mark in force."""
        return self.high_water_path or self.data_dir / "high-water.json"
