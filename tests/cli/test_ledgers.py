"""The signed list by command, evidence under it, a ledger that goes on from another one, and who may found it."""

import json
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from app.audit.evidence import build_evidence
from app.canon import b64url_encode
from app.cli.main import app
from app.custody.closing import close_ledger
from app.custody.record import payload_of
from app.db import Database
from app.errors import RefusedError, ServiceError
from app.keys.grants import Viewer
from app.ledger.checkpoint import Checkpoint, sign
from app.ledger.directory import HEADER
from app.ledger.note import Note, SignatureType, SignerKey
from app.ledger.tiles import parse_bundle
from tests import small
from tests.house import House
from tests.tsa import Tsa

AUDITOR = Viewer("auditor", small.BWS, None, frozenset({"auditor"}))


def custody(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments])


def refused(*arguments: object) -> str:
    """Run a command that must fail with one sentence; return it."""
    done = custody(*arguments)
    assert isinstance(done.exception, ServiceError), (done.exit_code, done.output, done.exception)
    return done.exception.detail


def misused(*arguments: object) -> str:
    """Run a command that must end as wrongly called, with one sentence and no report; return the sentence."""
    done = custody(*arguments)
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1), (done.output, done.exception)
    return done.stderr


@pytest.fixture
def key(tmp_path: Path) -> tuple[Path, str]:
    """The key of a list: its file and its verifier key."""
    file = tmp_path / "list.key"
    made = custody("ledgers", "key", "kpu.example/ledgers", file)
    assert made.exit_code == 0, made.output
    assert file.stat().st_mode & 0o777 == 0o400
    return file, made.stdout.strip()


@pytest.fixture
def house(sqlite_url: str, tmp_path: Path) -> Iterator[House]:
    db = Database(sqlite_url)
    yield House(db, tmp_path / "house")
    db.close()


def facts(house: House) -> tuple[str, str]:
    """Return the ledger's genesis and verifier key."""
    with house.db.read() as session:
        genesis = session.exec_driver_sql("SELECT genesis FROM ledger_state").scalar()
    return str(genesis), house.recorder._keys.ledger.verifier().to_text()


def signed_list(key: tuple[Path, str], folder: Path, *lines: str) -> Path:
    text, out = folder / "list.txt", folder / "ledgers.note"
    text.write_text("".join(f"{line}\n" for line in (HEADER, *lines)))
    done = custody("ledgers", "sign", text, "--key", key[0], "--out", out)
    assert done.exit_code == 0, (done.output, done.exception)
    return out


def evidence(house: House, folder: Path) -> Path:
    phone = house.enrol("OFF-1", small.KPU, "LOGISTIK", small.CITY)
    (unit,) = house.labels(phone, 1)
    line = {"act": "bind", "unit": unit, "item": "BOX_TPS", "contest": "PILGUB"}
    house.ok(phone.sign("unit.commission", {"lines": [line]}, at_ms=house.tick(), units=[unit], place=small.WAREHOUSE))
    bundle = folder / "bundle.zip"
    with house.db.read() as session:
        bundle.write_bytes(build_evidence(session, house.recorder.ledger_id, AUDITOR, unit))
    return bundle


def test_a_list_is_signed_shown_and_replaced_whole(key, house, tmp_path):
    genesis, vkey = facts(house)
    out = signed_list(key, tmp_path, f"{house.origin} {genesis} {vkey} https://kpu.example/ledger/a")
    shown = json.loads(custody("ledgers", "show", out, "--vkey", key[1], "--json").stdout)
    assert shown == {
        "ledgers": [{"origin": house.origin, "genesis": genesis, "key": vkey, "url": "https://kpu.example/ledger/a"}]
    }
    words = custody("ledgers", "show", out, "--vkey", key[1]).stdout
    assert all(each in words for each in (house.origin, genesis, vkey))
    again = signed_list(key, tmp_path)
    assert json.loads(custody("ledgers", "show", again, "--vkey", key[1], "--json").stdout) == {"ledgers": []}
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")], "nothing half-written is left"


def test_what_is_wrong_with_a_list_is_said_in_one_sentence(key, house, tmp_path):
    genesis, vkey = facts(house)
    out = signed_list(key, tmp_path, f"{house.origin} {genesis} {vkey}")
    assert "exists" in refused("ledgers", "key", "kpu.example/ledgers", key[0])
    assert refused("ledgers", "key", "a name with spaces", tmp_path / "other")
    assert "Cannot read" in refused("ledgers", "show", tmp_path / "absent", "--vkey", key[1])
    assert refused("ledgers", "show", out, "--vkey", "nonsense")
    assert refused("ledgers", "show", out, "--vkey", vkey)
    out.write_bytes(out.read_bytes()[:-5])
    assert refused("ledgers", "show", out, "--vkey", key[1])
    (tmp_path / "noise").write_bytes(bytes(range(256)))
    assert refused("ledgers", "sign", tmp_path / "noise", "--key", key[0], "--out", tmp_path / "x")
    assert refused("ledgers", "sign", tmp_path / "list.txt", "--key", tmp_path / "noise", "--out", tmp_path / "x")
    assert refused("ledgers", "sign", tmp_path / "absent", "--key", key[0], "--out", tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_evidence_is_verified_under_the_list(key, house, tmp_path):
    genesis, vkey = facts(house)
    out = signed_list(key, tmp_path, f"{house.origin} {genesis} {vkey}")
    bundle = evidence(house, tmp_path)
    done = custody("verify", bundle, "--ledgers", out, "--ledgers-key", key[1])
    assert (done.exit_code, done.output.split()[0]) == (0, "PASS"), done.output
    empty = signed_list(key, tmp_path)
    done = custody("verify", bundle, "--ledgers", empty, "--ledgers-key", key[1], "--json")
    told = json.loads(done.stdout)
    assert (done.exit_code, told["result"], [r["code"] for r in told["reasons"]]) == (1, "FAIL", ["ledger_not_listed"])
    wrong = signed_list(key, tmp_path, f"{house.origin} {b64url_encode(bytes(32))} {vkey}")
    assert custody("verify", bundle, "--ledgers", wrong, "--ledgers-key", key[1]).exit_code == 1
    for pair in (("--ledgers", out), ("--ledgers-key", key[1]),
                 ("--ledgers", out, "--ledgers-key", key[1], "--genesis", genesis)):  # fmt: skip
        assert custody("verify", bundle, *pair).exit_code == 2
    (tmp_path / "junk.zip").write_bytes(b"PK junk")
    assert custody("verify", tmp_path / "junk.zip", "--ledgers", out, "--ledgers-key", key[1]).exit_code == 1


def test_a_list_that_cannot_be_used_is_no_word_about_the_bundle(key, house, tmp_path):
    genesis, vkey = facts(house)
    out, bundle = signed_list(key, tmp_path, f"{house.origin} {genesis} {vkey}"), tmp_path / "junk.zip"
    bundle.write_bytes(b"PK junk")
    assert "[note_signature]" in misused("verify", bundle, "--ledgers", out, "--ledgers-key", vkey)
    assert "[verifier_key]" in misused("verify", bundle, "--ledgers", out, "--ledgers-key", "nonsense")
    assert "Cannot read" in misused("verify", bundle, "--ledgers", tmp_path / "absent", "--ledgers-key", key[1])
    assert "Cannot read" in misused("verify", bundle, "--ledgers", tmp_path, "--ledgers-key", key[1])
    out.write_bytes(out.read_bytes()[:-5])
    assert "The list of ledgers: " in misused("verify", bundle, "--ledgers", out, "--ledgers-key", key[1])
    for pins in (("--ledgers", out, "--ledgers-key", key[1], "--genesis", ""), ("--ledgers-key", "")):
        assert "go together" in misused("verify", bundle, *pins)


def test_what_is_pinned_beside_the_genesis_is_read_by_the_command(house, tmp_path):
    genesis, _ = facts(house)
    bundle, policy = evidence(house, tmp_path), tmp_path / "policy"
    witness = SignerKey("w.example/w1", SignatureType.COSIGNATURE, b"\x07" * 32).verifier().to_text()
    policy.write_text(f"witness w {witness}\nquorum w\n")
    done = custody("verify", bundle, "--genesis", genesis, "--policy", policy, "--json")
    assert (done.exit_code, json.loads(done.stdout)["result"]) == (3, "INCOMPLETE"), done.output
    policy.write_text("quorum none\n")
    assert custody("verify", bundle, "--genesis", genesis, "--policy", policy).exit_code == 0
    policy.write_bytes(bytes(range(256)))
    assert "[tlog_policy]" in misused("verify", bundle, "--genesis", genesis, "--policy", policy)
    assert "Cannot read" in misused("verify", bundle, "--genesis", genesis, "--policy", tmp_path / "absent")
    assert "[stamp_roots]" in misused("verify", bundle, "--genesis", genesis, "--tsa-roots", policy)
    assert "Cannot read" in misused("verify", bundle, "--genesis", genesis, "--tsa-roots", tmp_path)
    roots = tmp_path / "roots.pem"
    roots.write_bytes(Tsa(tmp_path / "tsa").roots)
    done = custody("verify", bundle, "--genesis", genesis, "--tsa-roots", roots, "--json")
    codes = [reason["code"] for reason in json.loads(done.stdout)["reasons"] if reason["level"] == "incomplete"]
    assert (done.exit_code, codes) == (3, ["stamp_missing"]), "who pins roots wants a stamp"
    for garbled in ("", genesis[:-1], f"{genesis}=", "k" * 44):
        assert "[genesis]" in misused("verify", bundle, "--genesis", garbled)


# -- a successor -----------------------------------------------------------------------------------------


@pytest.fixture
def closed(house: House, tmp_path: Path) -> tuple[House, Path]:
    """A ledger that was closed, and its final checkpoint."""
    final = tmp_path / "final.checkpoint"
    final.write_bytes(close_ledger(house.recorder, "FORK", house.tick()))
    return house, final


def init(monkeypatch: pytest.MonkeyPatch, folder: Path, *more: object) -> Result:
    monkeypatch.setenv("CUSTODY_DATA_DIR", str(folder))
    return custody("init", "--name", "pilkada2024-64b", "--host", "test.example", "--json", *more)


def test_a_successor_cites_the_final_checkpoint(closed, tmp_path, monkeypatch):
    house, final = closed
    genesis, vkey = facts(house)
    told = Checkpoint.parse(Note.parse(final.read_bytes()).text)
    cited = {"origin": house.origin, "genesis": genesis, "size": told.size, "root": b64url_encode(told.root)}
    named = ("--succeeds", final, "--succeeds-genesis", genesis)
    done = init(monkeypatch, tmp_path / "new", *named, "--succeeds-key", vkey)
    assert (done.exit_code, json.loads(done.stdout)["succeeds"]) == (0, cited), (done.output, done.exception)
    leaf = tmp_path / "tree"
    assert custody("ledger", "export", leaf).exit_code == 0
    first = (leaf / "tile/entries/000.p/1").read_bytes()
    assert json.loads(payload_of(parse_bundle(first)[0]))["details"]["succeeds"] == cited
    without = init(monkeypatch, tmp_path / "unverified", *named)
    assert isinstance(without.exception, RefusedError), "nobody would have verified the signature"
    assert "--succeeds-key" in without.exception.detail
    assert not (tmp_path / "unverified").exists()


def test_a_successor_cites_nothing_that_its_predecessor_did_not_sign(closed, tmp_path, monkeypatch):
    house, final = closed
    genesis, vkey = facts(house)
    other = SignerKey(house.origin, SignatureType.NOTE, b"\x07" * 32)
    foreign = SignerKey("else.example/ledger/x", SignatureType.NOTE, b"\x07" * 32)
    text = Note.parse(final.read_bytes()).text
    forged, unsigned, own = tmp_path / "forged", tmp_path / "unsigned", tmp_path / "own"
    forged.write_bytes(sign(Checkpoint.parse(text), other))
    unsigned.write_bytes(Note(text, (foreign.sign(text),)).to_bytes())
    origin = "test.example/ledger/pilkada2024-64b"
    own.write_bytes(sign(Checkpoint(origin, 3, bytes(32)), SignerKey(origin, SignatureType.NOTE, b"\x07" * 32)))
    (tmp_path / "noise").write_bytes(bytes(range(256)))
    for number, (file, hash_, more) in enumerate((
        (forged, genesis, vkey),
        (unsigned, genesis, foreign.verifier().to_text()),
        (own, genesis, SignerKey(origin, SignatureType.NOTE, b"\x07" * 32).verifier().to_text()),
        (tmp_path / "noise", genesis, vkey),
        (final, "A" * 42, vkey),
        (final, genesis, "nonsense"),
    )):  # fmt: skip
        folder = tmp_path / f"n{number}"
        named = ("--succeeds", file, "--succeeds-genesis", hash_, "--succeeds-key", more)
        done = init(monkeypatch, folder, *named)
        assert isinstance(done.exception, ServiceError), (number, done.output, done.exception)
        assert not folder.exists(), "nothing was made"
    whole = (("--succeeds", final), ("--succeeds-genesis", genesis), ("--succeeds-key", vkey))
    for half in (*((one,) for one in whole), *combinations(whole, 2)):
        done = init(monkeypatch, tmp_path / "half", *(word for pair in half for word in pair))
        assert isinstance(done.exception, RefusedError), half
        assert not (tmp_path / "half").exists()


def test_two_ledgers_of_one_database_are_told_apart(tmp_path, monkeypatch):
    monkeypatch.setenv("CUSTODY_DATABASE_URL", f"sqlite:///{tmp_path / 'both.db'}")

    def found(name: str, folder: str, **more: str) -> Any:
        monkeypatch.setenv("CUSTODY_DATA_DIR", str(tmp_path / folder))
        return custody("init", "--name", name, "--host", "kpu.example", "--json")

    assert found("prov-64", "a").exit_code == 0
    assert isinstance(found("prov-64", "b").exception, RefusedError), "the name is taken"
    assert not (tmp_path / "b").exists()
    assert found("prov-65", "c").exit_code == 0
    unnamed = custody("ledger", "export", tmp_path / "tree")
    assert (unnamed.exit_code, "name one" in unnamed.stderr) == (2, True), unnamed.output
    assert custody("ledger", "export", tmp_path / "tree", "--ledger", "prov-65").exit_code == 0
    marks = [tmp_path / folder / "high-water.json" for folder in ("a", "c")]
    done = custody("fsck", "--mark", marks[0], "--json")
    assert done.exit_code == 0, done.output
    monkeypatch.setenv("CUSTODY_LEDGER", "prov-64")
    assert isinstance(custody("init", "--name", "prov-66").exception, RefusedError)


def test_lists_come_from_files_of_bounded_size(key, tmp_path):
    (tmp_path / "huge").write_bytes(b"a" * 2_000_000)
    assert refused("ledgers", "show", tmp_path / "huge", "--vkey", key[1])


def test_a_tree_is_exported_into_a_folder_of_its_own(house, tmp_path, monkeypatch):
    monkeypatch.setenv("CUSTODY_DATA_DIR", str(house.settings.data_dir))
    monkeypatch.setenv("CUSTODY_DATABASE_URL", house.db.url.render_as_string(hide_password=False))
    other = tmp_path / "other"
    other.mkdir()
    (other / "letter.txt").write_text("mine")
    done = custody("ledger", "export", other)
    assert (done.exit_code, "of its own" in done.stderr) == (1, True), done.output
    assert [path.name for path in other.iterdir()] == ["letter.txt"]
    assert custody("ledger", "export", tmp_path / "tree").exit_code == 0
    assert custody("ledger", "export", tmp_path / "tree").exit_code == 0, "again, over what is there"
