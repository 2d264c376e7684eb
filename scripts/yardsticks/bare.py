"""The bare pipeline: what must be done to a signed event at the very least, with nothing around it.

Parse the JWS (general JSON), verify each signature, hash the payload, link each unit's chain, grow the Merkle
frontier, insert the rows: 1,000 a commit, with the durability that the service has too. One process, one thread,
no HTTP, no rules, no access control. SQLite's log is moved into the file at the end, and that counts. It imports
nothing of the service, whose settings of SQLite are repeated here; a test holds them against each other. `custody
bench` runs it beside the service.

    YARDSTICK_DATABASE=sqlite:////path/bare.db python scripts/yardsticks/bare.py --keys keys.json --events events.jsonl

`keys.json` gives each key id's public JWK, `events.jsonl` has one JWS a line. The answer is one line of JSON.
"""

import argparse
import base64
import hashlib
import json
import os
import sqlite3
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import orjson
import psycopg
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

GROUP = 1000
PRAGMAS = (
    *("page_size=8192", "journal_mode=WAL", "synchronous=FULL", "cell_size_check=ON", "foreign_keys=ON"),
    *("wal_autocheckpoint=40000", "cache_size=-65536"),
)
"""Of the service's writer; the page size comes first, since only an empty file takes one."""
ZERO = bytes(32)
Verify = Callable[[bytes, bytes], None]
EventRow = tuple[int, bytes, str, str, str, bytes, bytes]
UnitRow = tuple[str, int, int, bytes]


def decode(text: str) -> bytes:
    """Decode base64url without padding."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def verifier(jwk: dict[str, str]) -> Verify:
    """Return a function that raises unless a signature over a message is this key's."""
    if jwk["kty"] == "OKP":
        key = VerifyKey(decode(jwk["x"]))
        return lambda message, signature: _ed25519(key, message, signature)
    point = b"\x04" + decode(jwk["x"]) + decode(jwk["y"])
    public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    algorithm = ec.ECDSA(SHA256())
    return lambda message, signature: public.verify(_der(signature), message, algorithm)


def _ed25519(key: VerifyKey, message: bytes, signature: bytes) -> None:
    key.verify(message, signature)


def _der(signature: bytes) -> bytes:
    return encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))


class Frontier:
    """The right edge of a Merkle tree of RFC 6962."""

    def __init__(self) -> None:
        """Start with no leaf."""
        self.size = 0
        self._roots: list[bytes] = []

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash."""
        self._roots.append(leaf)
        merges = self.size
        while merges & 1:
            right = self._roots.pop()
            self._roots.append(hashlib.sha256(b"\x01" + self._roots.pop() + right).digest())
            merges >>= 1
        self.size += 1

    def root(self) -> bytes:
        """Return the root over all leaves."""
        if not self._roots:
            return hashlib.sha256(b"").digest()
        root = self._roots[-1]
        for left in reversed(self._roots[:-1]):
            root = hashlib.sha256(b"\x01" + left + root).digest()
        return root


class Store(Protocol):
    """Where the rows go."""

    durability: str

    def write(self, events: Sequence[EventRow], units: Sequence[UnitRow], head: tuple[int, bytes]) -> None:
        """Insert a group and commit it durably."""
        ...

    def tidy(self) -> None:
        """Move the log that the commits left into the database."""
        ...

    def count(self) -> int:
        """Return how many event rows there are."""
        ...


class SqliteStore:
    """SQLite: WAL, synchronous=FULL."""

    durability = "sqlite WAL synchronous=FULL"

    def __init__(self, path: str) -> None:
        """Make the file and its tables."""
        self._connection = sqlite3.connect(path, isolation_level=None)
        for pragma in PRAGMAS:
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.executescript(
            "CREATE TABLE event (leaf_index INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, event_id TEXT NOT NULL,"
            " type TEXT NOT NULL, author TEXT NOT NULL, leaf_hash BLOB NOT NULL, body BLOB NOT NULL) STRICT;"
            "CREATE TABLE event_unit (unit TEXT NOT NULL, seq INTEGER NOT NULL, leaf_index INTEGER NOT NULL,"
            " prev BLOB NOT NULL, PRIMARY KEY (unit, seq)) STRICT, WITHOUT ROWID;"
            "CREATE TABLE head (id INTEGER PRIMARY KEY, size INTEGER NOT NULL, root BLOB NOT NULL) STRICT;"
        )

    def write(self, events: Sequence[EventRow], units: Sequence[UnitRow], head: tuple[int, bytes]) -> None:
        """Insert a group and commit it durably."""
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.executemany("INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?)", events)
        self._connection.executemany("INSERT INTO event_unit VALUES (?, ?, ?, ?)", units)
        self._connection.execute("INSERT OR REPLACE INTO head VALUES (1, ?, ?)", head)
        self._connection.execute("COMMIT")

    def tidy(self) -> None:
        """Move the log that the commits left into the file."""
        self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def count(self) -> int:
        """Return how many event rows there are."""
        return int(self._connection.execute("SELECT count(*) FROM event").fetchone()[0])


class PostgresStore:
    """PostgreSQL: binary COPY, synchronous_commit as the server has it."""

    def __init__(self, url: str) -> None:
        """Connect and make the tables anew."""
        self._connection = psycopg.connect(url)
        self._connection.execute("DROP TABLE IF EXISTS bare_event, bare_event_unit, bare_head")
        self._connection.execute(
            "CREATE TABLE bare_event (leaf_index bigint PRIMARY KEY, hash bytea NOT NULL UNIQUE,"
            " event_id text NOT NULL, type text NOT NULL, author text NOT NULL, leaf_hash bytea NOT NULL,"
            " body bytea NOT NULL)"
        )
        self._connection.execute(
            "CREATE TABLE bare_event_unit (unit text NOT NULL, seq bigint NOT NULL, leaf_index bigint NOT NULL,"
            " prev bytea NOT NULL, PRIMARY KEY (unit, seq))"
        )
        self._connection.execute("CREATE TABLE bare_head (id int PRIMARY KEY, size bigint, root bytea)")
        self._connection.commit()
        shown = self._connection.execute("SHOW synchronous_commit").fetchone()
        self.durability = f"postgresql synchronous_commit={shown[0] if shown else '?'}"

    def write(self, events: Sequence[EventRow], units: Sequence[UnitRow], head: tuple[int, bytes]) -> None:
        """Insert a group and commit it durably."""
        self._copy("bare_event", ["int8", "bytea", "text", "text", "text", "bytea", "bytea"], events)
        self._copy("bare_event_unit", ["text", "int8", "int8", "bytea"], units)
        self._connection.execute(
            "INSERT INTO bare_head VALUES (1, %s, %s) ON CONFLICT (id) DO UPDATE SET size = excluded.size,"
            " root = excluded.root",
            head,
        )
        self._connection.commit()

    def _copy(self, table: str, types: list[str], rows: Sequence[Sequence[Any]]) -> None:
        with self._connection.cursor().copy(f"COPY {table} FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(types)
            for row in rows:
                copy.write_row(row)

    def tidy(self) -> None:
        """Do nothing: its log is the server's own affair."""

    def count(self) -> int:
        """Return how many event rows there are."""
        row = self._connection.execute("SELECT count(*) FROM bare_event").fetchone()
        return int(row[0]) if row else 0


def open_store(url: str) -> Store:
    """Open the store that a SQLAlchemy URL names."""
    if url.startswith("sqlite:///"):
        return SqliteStore(url.removeprefix("sqlite:///"))
    return PostgresStore(url.replace("postgresql+psycopg://", "postgresql://"))


class Pipeline:
    """Takes signed events in groups; remembers the newest hash of each unit and the edge of the tree."""

    def __init__(self, jwks: dict[str, dict[str, str]], store: Store) -> None:
        """Load the keys once."""
        self._verifiers = {kid: verifier(jwk) for kid, jwk in jwks.items()}
        self._headers: dict[str, Verify] = {}
        self._store = store
        self._units: dict[str, tuple[int, bytes]] = {}
        self.frontier = Frontier()

    def take(self, group: Iterable[bytes]) -> int:
        """Verify, chain and store a group; nothing of it is stored when one signature is wrong."""
        events: list[EventRow] = []
        units: list[UnitRow] = []
        for raw in group:
            self._one(raw, events, units)
        self._store.write(events, units, (self.frontier.size, self.frontier.root()))
        return len(events)

    def _one(self, raw: bytes, events: list[EventRow], units: list[UnitRow]) -> None:
        jws = orjson.loads(raw)
        payload_b64: str = jws["payload"]
        for signature in jws["signatures"]:
            message = f"{signature['protected']}.{payload_b64}".encode()
            self._verifier(signature["protected"])(message, decode(signature["signature"]))
        payload = decode(payload_b64)
        body = orjson.loads(payload)
        index = self.frontier.size
        links = [(unit, *self._units.get(unit, (0, ZERO))) for unit in body["units"]]
        chained = b"".join(prev for _, _, prev in links)
        leaf = hashlib.sha256(b"\x00" + raw + chained).digest()
        for unit, seq, prev in links:
            units.append((unit, seq + 1, index, prev))
            self._units[unit] = (seq + 1, leaf)
        digest = hashlib.sha256(payload).digest()
        events.append((index, digest, body["event_id"], body["type"], body["author"], leaf, raw))
        self.frontier.append(leaf)

    def _verifier(self, protected: str) -> Verify:
        known = self._headers.get(protected)
        if known is None:
            known = self._headers[protected] = self._verifiers[orjson.loads(decode(protected))["kid"]]
        return known


def verify_only(lines: Sequence[bytes], jwks: dict[str, dict[str, str]]) -> float:
    """Return the CPU seconds that the signatures alone take."""
    checks: list[tuple[Verify, bytes, bytes]] = []
    verifiers = {kid: verifier(jwk) for kid, jwk in jwks.items()}
    for raw in lines:
        jws = orjson.loads(raw)
        for signature in jws["signatures"]:
            message = f"{signature['protected']}.{jws['payload']}".encode()
            kid = orjson.loads(decode(signature["protected"]))["kid"]
            checks.append((verifiers[kid], message, decode(signature["signature"])))
    started = time.process_time()
    for check, message, signature in checks:
        check(message, signature)
    return time.process_time() - started


def measure(lines: Sequence[bytes], jwks: dict[str, dict[str, str]], url: str) -> dict[str, Any]:
    """Run the pipeline over all events and tell what it took."""
    store = open_store(url)
    pipeline = Pipeline(jwks, store)
    wall, cpu = time.perf_counter(), time.process_time()
    for start in range(0, len(lines), GROUP):
        pipeline.take(lines[start : start + GROUP])
    store.tidy()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    if store.count() != len(lines):
        raise SystemExit("the bare pipeline lost rows")
    return {
        "events": len(lines), "wall_seconds": wall, "cpu_seconds": cpu, "verify_cpu_seconds": verify_only(lines, jwks),
        "root": pipeline.frontier.root().hex(), "durability": store.durability,
    }  # fmt: skip


def main() -> None:
    """Read the arguments, run, print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=Path, required=True)
    parser.add_argument("--events", type=Path, required=True)
    told = parser.parse_args()
    lines = told.events.read_bytes().splitlines()
    try:
        print(json.dumps(measure(lines, json.loads(told.keys.read_bytes()), os.environ["YARDSTICK_DATABASE"])))
    except (InvalidSignature, BadSignatureError):
        sys.exit("a signature does not verify")


if __name__ == "__main__":
    main()
