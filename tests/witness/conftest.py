"""A witness that trusts the ledger of the worked vectors, as an object and over real HTTP."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
import uvicorn

from app.clock import FixedClock
from app.ledger.note import SignatureType
from app.web.http import BoundedHttp
from app.web.witness import create_app
from app.witness.cosign import Witness
from app.witness.folder import Folder, make
from tests.ledger.vectors import LEDGER_KEY, ORIGIN

NAME = "bawaslu.example/w9"
NOW = 1_800_000_000
BOTH = (SignatureType.COSIGNATURE, SignatureType.MLDSA_COSIGNATURE)
START_SECONDS = 20


@pytest.fixture
def folder(tmp_path) -> Folder:
    """A fresh witness on the disk that trusts one ledger."""
    made = make(tmp_path / "w", NAME, BOTH)
    witness = Witness(made)
    witness.add_ledger(ORIGIN, LEDGER_KEY.verifier())
    witness.close()
    return made


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NOW * 1000)


@pytest.fixture
def witness(folder, clock) -> Iterator[Witness]:
    """The same, open."""
    opened = Witness(folder, clock)
    yield opened
    opened.close()


@contextmanager
def serving(app) -> Iterator[str]:
    """Run an application on a free port in a thread of this process; yields its address."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        config = uvicorn.Config(
            app, http=BoundedHttp, ws="none", log_config=None, access_log=False, server_header=False
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        deadline = time.monotonic() + START_SECONDS
        while not server.started and thread.is_alive() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert server.started
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(START_SECONDS)


@pytest.fixture
def http(witness) -> Iterator[httpx.Client]:
    """A client of the witness behind a real socket."""
    with serving(create_app(witness)) as address, httpx.Client(base_url=address, timeout=30, trust_env=False) as client:
        yield client
