"""A mirror of the service itself: credentials, documents, verdicts judged again, kills from outside, the commands."""

import base64
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.audit.exported import verify_tree
from app.canon import jcs, parse_json
from app.cli.main import app
from app.errors import ForbiddenError, TamperError
from app.exchange.mirror import Mirror, Wanted
from app.exchange.remote import ClientSecret, FixedToken, RemoteLedger
from app.keys.clients import add_client
from app.ledger.folder import TileFolder
from app.ledger.tiles import parse_bundle
from app.ledger.trust import Trust
from tests import small
from tests.exchange.shelf import files_of, put, shelving, write_tree
from tests.web.live import living

ROOT = Path(__file__).resolve().parents[2]
KILLS, SEED = 4, 20241127


@pytest.fixture(scope="module")
def live(sqlite_template, tmp_path_factory):
    """A service with people, goods and more than one tile of events."""
    folder = tmp_path_factory.mktemp("mirrored")
    shutil.copyfile(sqlite_template, folder / "custody.db")
    with living(f"sqlite:///{folder / 'custody.db'}", folder / "data") as found:
        store = found.house.enrol("OFF-STORE", small.KPU, "LOGISTIK", small.CITY, access=("field", "operator"))
        boxes = found.boxes(store, [small.TPS1, small.TPS2, small.TPS3])
        for _ in range(3):
            found.batch([found.sighting(store, box).jws for box in boxes * 32]).raise_for_status()
        yield found


@pytest.fixture(scope="module")
def secret(live):
    with live.db.write() as session:
        client, text = add_client(session, live.services.ledger_id, small.BWS, ["auditor"])
    return client.client, text


@pytest.fixture
def trust(live):
    return Trust((live.services.keys.ledger.verifier(),))


def url_of(live):
    return f"{str(live.http.base_url).rstrip('/')}/ledger/{live.services.view.name}"


def once(live, copy, trust, login=None, **wanted):
    with closing(RemoteLedger(url_of(live), login, pause=lambda _: None)) as source:
        mirror = Mirror(source, TileFolder(copy), trust, Wanted(**wanted))
        return mirror.once(), mirror.told


def test_every_leaf_is_judged_again_and_the_copy_proves_itself(live, secret, trust, tmp_path):
    done, told = once(live, tmp_path, trust, ClientSecret(*secret), genesis=live.services.genesis)
    assert (done.state, done.size) == ("grown", live.services.view.published[0])
    assert told.clean
    assert told.complete
    assert done.size > 256
    documents = sorted((tmp_path / "documents").iterdir())
    assert len(documents) == 3, "policy, plan, and the list of ids"
    report = verify_tree(TileFolder(tmp_path), trust, genesis=live.services.genesis)
    assert report.result == "PASS", report.as_json()
    assert verify_tree(TileFolder(tmp_path), trust).result == "INCOMPLETE", "no genesis was pinned"
    assert verify_tree(TileFolder(tmp_path), trust, genesis="A" * 43).result == "FAIL"
    documents[0].unlink()
    assert verify_tree(TileFolder(tmp_path), trust, genesis=live.services.genesis).result == "INCOMPLETE"


def test_entries_need_an_auditor_and_hashes_nobody(live, trust, tmp_path):
    for login in (None, FixedToken("A" * 43), FixedToken(live.token("operator")), ClientSecret("client-0", "x")):
        with pytest.raises(ForbiddenError):
            once(live, tmp_path / "none", trust, login)
        assert not (tmp_path / "none/checkpoint").exists()
    done, _ = once(live, tmp_path / "hashes", trust, entries=False, rules=False)
    assert done.size == live.services.view.published[0]
    assert {name.partition("/")[0] for name in files_of(tmp_path / "hashes")} == {"checkpoint", "tile"}
    done, told = once(live, tmp_path / "all", trust, FixedToken(live.token("auditor")))
    assert told.complete


def test_a_token_that_ended_is_renewed(live, secret, trust, tmp_path):
    login = ClientSecret(*secret)
    login._bearer, login._until = "B" * 43, time.monotonic() + 3600
    assert once(live, tmp_path, trust, login)[1].complete


def test_what_cannot_be_judged_is_said(live, trust, tmp_path):
    """An auditor of one village gets no list of ids: the tree is copied, the rules stop there."""
    token = live.token("auditor", place="64.74.01.A")
    done, told = once(live, tmp_path, trust, FixedToken(token), genesis=live.services.genesis)
    assert done.size == live.services.view.published[0]
    assert told.clean
    assert told.not_checked is not None
    assert told.not_checked.code == "document_missing"
    _, again = once(live, tmp_path, trust, FixedToken(live.token("auditor")))
    assert again.complete, "with the document the same copy is judged to its end"


def test_a_document_that_is_not_its_hash_is_not_kept(live, secret, trust, tmp_path):
    """The rules hash it again, so they are not misled; a copy that kept it could not take the right one later."""
    once(live, tmp_path / "honest", trust, ClientSecret(*secret))
    served = tmp_path / "shelf"
    for name, data in files_of(tmp_path / "honest").items():
        put(served / (f"v1/{name}" if name.startswith("documents/") else f"ledger/kota/{name}"), data)
    documents = sorted((served / "v1/documents").iterdir())
    with shelving(served) as shelf:
        for document in documents:
            shelf.say(f"/v1/documents/{document.name}", 200, document.read_bytes() + b" ", times=3)
        with closing(RemoteLedger(shelf.url)) as source:
            files = TileFolder(tmp_path / "copy")
            mirror = Mirror(source, files, trust, Wanted(genesis=live.services.genesis))
            mirror.once()
            assert mirror.told.clean
            assert mirror.told.not_checked.code == "document_missing"
            assert not (tmp_path / "copy/documents").exists()
            shelf.instead.clear()
            again = Mirror(source, files, trust, Wanted(genesis=live.services.genesis))
            again.once()
            assert again.told.complete, "control: with the right bytes it goes to its end"
    flipped = tmp_path / "copy/documents" / documents[0].name
    flipped.write_bytes(flipped.read_bytes() + b" ")
    with pytest.raises(TamperError, match="other bytes"):
        once(live, tmp_path / "copy", trust, ClientSecret(*secret))


# -- a dishonest operator, who holds the ledger's key ------------------------------------------------------


def wrong_signature(leaf):
    signature = bytearray(base64.urlsafe_b64decode(leaf["event"]["signatures"][0]["signature"] + "=="))
    signature[3] ^= 1
    leaf["event"]["signatures"][0]["signature"] = base64.urlsafe_b64encode(bytes(signature)).decode().rstrip("=")


def wrong_verdict(leaf):
    leaf["verdict"]["code"] = "not_holder"
    leaf["verdict"]["result"], leaf["links"] = "refused", []


def wrong_time(leaf):
    leaf["received_at"] = "2019-01-01T00:00:00.000Z"


@pytest.mark.parametrize(
    ("change", "codes"),
    [(wrong_signature, {"signature"}), (wrong_verdict, {"verdict", "links"}), (wrong_time, {"time"}), (None, set())],
)
def test_a_leaf_that_its_ledger_signed_for_wrongly_is_found(live, secret, trust, tmp_path, change, codes):
    once(live, tmp_path / "honest", trust, ClientSecret(*secret))
    held = []
    for path in ("000", f"001.p/{live.services.view.published[0] - 256}"):
        held += parse_bundle((tmp_path / "honest/tile/entries" / path).read_bytes())
    index = len(held) - 20
    if change is not None:
        leaf = parse_json(held[index], max_bytes=65_535)
        change(leaf)
        held[index] = jcs(leaf)
    with shelving(tmp_path / "shelf") as shelf:
        write_tree(shelf.folder / "ledger/kota", held, live.services.keys.ledger)
        for document in (tmp_path / "honest/documents").iterdir():
            put(shelf.folder / "v1/documents" / document.name, document.read_bytes())
        with closing(RemoteLedger(shelf.url)) as source:
            mirror = Mirror(source, TileFolder(tmp_path / "copy"), trust, Wanted(genesis=live.services.genesis))
            mirror.once()
    assert codes <= {finding.code for finding in mirror.told.findings if finding.index == index}
    assert mirror.told.clean is not bool(codes)
    assert verify_tree(TileFolder(tmp_path / "copy"), trust, genesis=live.services.genesis).result == (
        "FAIL" if codes else "PASS"
    )


# -- as commands -------------------------------------------------------------------------------------------


def arguments(live, folder, *more):
    vkey = live.services.keys.ledger.verifier().to_text()
    return ["ledger", "mirror", url_of(live), str(folder), "--vkey", vkey, *more]


@pytest.mark.slow
def test_a_mirror_killed_again_and_again_ends_as_the_whole_ledger(live, secret, trust, tmp_path):
    client, random_ = tmp_path / "client.json", random.Random(SEED)
    client.write_text(json.dumps({"client_id": secret[0], "client_secret": secret[1]}))
    more = ("--client-file", str(client), "--genesis", live.services.genesis, "--json")
    command = [sys.executable, "-m", "app.cli", *arguments(live, tmp_path / "copy", *more)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    for _ in range(KILLS):
        with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            deadline = time.monotonic() + 60
            while not (tmp_path / "copy").exists() and process.poll() is None and time.monotonic() < deadline:
                threading.Event().wait(0.01)
            threading.Event().wait(random_.uniform(0, 0.6))
            process.send_signal(signal.SIGKILL)
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["findings"], told["not_checked"]) == ([], None)
    assert told["size"] == live.services.view.published[0]
    assert verify_tree(TileFolder(tmp_path / "copy"), trust, genesis=live.services.genesis).result == "PASS"


def test_the_commands_say_by_their_exit_code_how_it_went(live, secret, tmp_path):
    def custody(*told):
        return CliRunner().invoke(app, list(told))

    folder, token = tmp_path / "copy", tmp_path / "token"
    token.write_text(live.token("auditor") + "\n")
    genesis = live.services.genesis
    vkey = live.services.keys.ledger.verifier().to_text()
    assert custody("ledger", "mirror", url_of(live), str(folder)).exit_code == 2, "nothing is pinned"
    assert custody("ledger", "mirror", url_of(live), str(folder), "--vkey", "x").exit_code == 2
    assert custody(*arguments(live, folder, "--hashes-only", "--genesis", genesis)).exit_code == 2
    assert custody(*arguments(live, folder, "--token-file", str(tmp_path / "none"))).exit_code == 2
    assert custody(*arguments(live, folder)).exit_code == 3, "entries are not for everybody"
    done = custody(*arguments(live, folder, "--token-file", str(token), "--genesis", genesis))
    assert done.exit_code == 0, done.output
    assert "copied and verified" in done.stdout
    assert custody(*arguments(live, folder, "--token-file", str(token), "--genesis", "A" * 43)).exit_code == 1
    checked = ["ledger", "verify", str(folder), "--vkey", vkey]
    assert custody(*checked, "--genesis", genesis).exit_code == 0
    assert custody(*checked).exit_code == 3
    assert custody("ledger", "verify", str(folder)).exit_code == 2
    assert custody("ledger", "verify", str(tmp_path / "none"), "--vkey", vkey).exit_code == 2
    leaf = folder / "tile/entries/000"
    leaf.write_bytes(leaf.read_bytes().replace(b"accepted", b"refused!", 1))
    failed = custody(*checked, "--genesis", genesis, "--json")
    assert failed.exit_code == 1
    assert json.loads(failed.stdout)["findings"][0]["code"] == "tile"
    assert custody(*arguments(live, folder, "--token-file", str(token))).exit_code == 1


def test_an_export_with_its_documents_is_verified_offline(live, trust, tmp_path, monkeypatch):
    monkeypatch.setenv("CUSTODY_DATA_DIR", str(live.settings.data_dir))
    monkeypatch.setenv("CUSTODY_DATABASE_URL", live.settings.database_url)
    done = CliRunner().invoke(app, ["ledger", "export", str(tmp_path / "tree"), "--documents", "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["size"] == live.services.view.published[0]
    report = verify_tree(TileFolder(tmp_path / "tree"), trust, genesis=live.services.genesis)
    assert (report.result, report.root) == ("PASS", told["root"])
    again = CliRunner().invoke(app, ["ledger", "export", str(tmp_path / "tree"), "--documents", "--json"])
    assert json.loads(again.stdout)["written"] == 0
