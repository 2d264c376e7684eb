"""Founders and agencies sign together, each with a key file of his own: a ledger is founded, and its key rotates."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from app.audit.fsck import fsck
from app.cli.main import app
from app.config import Settings
from app.db import Database
from app.errors import ServiceError
from tests.web.live import serving

ORIGIN = "kpu.example/ledger/prov-64"


def custody(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments])


def said(*arguments: object) -> str:
    done = custody(*arguments)
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


def refused(*arguments: object) -> str:
    done = custody(*arguments)
    assert isinstance(done.exception, ServiceError), (done.exit_code, done.output, done.exception)
    return done.exception.detail


class Table:
    """Two founders and two agencies around a table, with their key files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made = {name: json.loads(said("founder", "key", folder / f"{name}.jwk", "--json"))
                     for name in ("ani", "budi", "kpu", "bawaslu", "stranger")}  # fmt: skip

    def kid(self, name: str) -> str:
        return str(self.made[name]["kid"])

    def file(self, name: str, content: Any) -> Path:
        path = self.folder / name
        path.write_text(json.dumps(content))
        return path

    def signed(self, draft: Path, *names: str) -> list[Path]:
        """Let each of them sign a draft; give the files."""
        out = []
        for name in names:
            path = self.folder / f"{draft.name}.{name}"
            said("founder", "sign", draft, "--key", self.folder / f"{name}.jwk", "--out", path, "--yes")
            out.append(path)
        return out

    def genesis(self) -> Path:
        """Make the server's keys, draft the genesis, sign it by all four and join it."""
        server = self.folder / "server.json"
        server.write_text(said("init", "--keys-only", "--json", "--name", "prov-64", "--host", "kpu.example"))
        people = self.file("people.json", {
            "administrators": [{"officer": f"ADM-{n}", "agency": "KPU-64", "jwk": self.made[name]["jwk"]}
                               for n, name in enumerate(("ani", "budi"), 1)],
            "agencies": [{"agency": "KPU-64", "name": "KPU", "kind": "commission", "jwk": self.made["kpu"]["jwk"]},
                         {"agency": "BWS-64", "name": "Bawaslu", "kind": "supervisor",
                          "jwk": self.made["bawaslu"]["jwk"]}],
            "policy_signers": 2,
        })  # fmt: skip
        draft = self.folder / "genesis.draft"
        said("founder", "genesis", server, people, "--author", self.kid("ani"), "--out", draft)
        signatures = self.signed(draft, "ani", "budi", "kpu", "bawaslu")
        said("founder", "join", draft, *signatures, "--out", self.folder / "genesis.json")
        return self.folder / "genesis.json"


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Table:
    monkeypatch.setenv("CUSTODY_DATA_DIR", str(tmp_path / "data"))
    return Table(tmp_path)


def test_a_ledger_is_founded_and_its_key_rotates_by_files_that_go_round(table: Table, tmp_path: Path):
    genesis = table.genesis()
    told = json.loads(said("init", "--genesis", genesis, "--json"))
    assert told["origin"] == ORIGIN
    keys = json.loads(said("ledger", "new-key", "--json"))
    details, draft, event = table.file("rekey.json", keys), tmp_path / "rekey.draft", tmp_path / "rekey.event"
    said("founder", "draft", "ledger.rekey", details, "--ledger", ORIGIN, "--author", table.kid("ani"),
         "--signer", table.kid("budi"), "--previous", genesis, "--out", draft)  # fmt: skip
    said("founder", "join", draft, *table.signed(draft, "ani", "budi"), "--out", event)
    with serving(Settings(data_dir=tmp_path / "data", heads_seconds=0)) as (_, url):
        assert "accepted as leaf 1" in said("founder", "send", event, url)
        again = json.loads(said("founder", "send", event, url, "--json").splitlines()[-1])  # the server logs here, too
        assert (again["result"], again["index"]) == ("accepted", 1)
        lonely = tmp_path / "lonely.draft"
        said("founder", "draft", "ledger.rekey", details, "--ledger", ORIGIN, "--author", table.kid("ani"),
             "--previous", event, "--out", lonely)  # fmt: skip
        one = tmp_path / "lonely.event"
        said("founder", "join", lonely, *table.signed(lonely, "ani"), "--out", one)
        done = custody("founder", "send", one, url)
        assert (done.exit_code, "policy_unmet" in done.stderr) == (1, True), done.output
    db = Database(f"sqlite:///{tmp_path / 'data' / 'custody.db'}")
    assert fsck(db).clean
    with db.read() as session:
        rules = session.exec_driver_sql("SELECT rule FROM discrepancy").fetchall()
        assert rules == [], "the author's sequence has no gap"
    db.close()


def test_a_signature_is_for_one_draft_by_a_key_that_it_names(table: Table, tmp_path: Path):
    genesis = table.genesis()
    draft, other = tmp_path / "a.draft", tmp_path / "b.draft"
    details = table.file("d.json", {"keys": ["x"]})
    for path, keys in ((draft, 1), (other, 2)):
        rekey = table.file(
            f"{keys}.json", {"keys": [f"{ORIGIN}+86f87816+AcqTrBcFGHBx1nuDx/8O/oEI6OxFMFdddyaHkzPb2r58"] * keys}
        )
        said("founder", "draft", "ledger.rekey", rekey, "--ledger", ORIGIN, "--author", table.kid("ani"),
             "--signer", table.kid("budi"), "--previous", genesis, "--out", path)  # fmt: skip
    (mine,) = table.signed(draft, "ani")
    (others,) = table.signed(other, "budi")
    out = ("--out", tmp_path / "never")
    assert "another draft" in refused("founder", "join", draft, mine, others, *out)
    assert table.kid("budi") in refused("founder", "join", draft, mine, *out)
    told = json.loads(mine.read_text())
    told["jws"]["signatures"][0]["signature"] = "A" * 86
    forged = table.file("forged", told)
    refused("founder", "join", draft, forged, others, *out)
    swapped = table.file("swapped", {**json.loads(mine.read_text()), "jwk": table.made["budi"]["jwk"]})
    refused("founder", "join", draft, swapped, others, *out)
    stranger = ("founder", "sign", draft, "--key", tmp_path / "stranger.jwk", "--out", tmp_path / "x", "--yes")
    assert "does not name your key" in refused(*stranger)
    assert "overwritten" in refused("founder", "sign", draft, "--key", tmp_path / "ani.jwk", "--out", mine, "--yes")
    done = custody("founder", "sign", draft, "--key", tmp_path / "budi.jwk", "--out", tmp_path / "y")
    assert done.exit_code != 0, "without --yes it asks, and nobody answered"
    assert not (tmp_path / "y").exists()
    assert not (tmp_path / "never").exists()
    unknown = ("founder", "draft", "no.such", details, "--ledger", ORIGIN, "--author", table.kid("ani"), *out)
    refused(*unknown)


def test_bad_files_are_one_sentence(table: Table, tmp_path: Path):
    noise, huge, absent = tmp_path / "noise", tmp_path / "huge", tmp_path / "absent"
    noise.write_bytes(bytes(range(256)))
    huge.write_bytes(b"a" * 200_000)
    who = ("--ledger", ORIGIN, "--author", table.kid("ani"), "--out", tmp_path / "out")
    for file in (noise, huge, absent, tmp_path):
        refused("founder", "draft", "ledger.rekey", file, *who)
        refused("founder", "genesis", file, file, "--author", table.kid("ani"), "--out", tmp_path / "out")
        refused("founder", "join", file, file, "--out", tmp_path / "out")
        refused("founder", "send", file, "http://127.0.0.1:9")
        refused("founder", "sign", file, "--key", tmp_path / "ani.jwk", "--out", tmp_path / "out", "--yes")
    empty = table.file("empty.json", {})
    refused("founder", "genesis", empty, empty, "--author", table.kid("ani"), "--out", tmp_path / "out")
    assert "exists" in refused("founder", "key", tmp_path / "ani.jwk")
    event = table.file("event", {"payload": "e30", "signatures": [
        {"protected": "e30", "signature": "A" * 86}]})  # fmt: skip
    refused("founder", "send", event, "http://127.0.0.1:9")
    assert not (tmp_path / "out").exists()
