"""`custody witness`: what its operator types, by tables and by data, with exit codes that scripts can use."""

import json

import pytest
from typer.testing import CliRunner

from app.cli.main import app
from app.errors import ConflictError, MalformedError, MissingError, ServiceError, TamperError
from app.ledger.note import SignatureType, SignerKey, VerifierKey
from app.witness.cosign import Witness
from app.witness.folder import Folder
from tests.ledger.vectors import LEDGER_KEY, ORIGIN, WITNESS_KEY
from tests.witness.logs import NEXT_KEY, Log, fork, honest
from tests.witness.remote import remote

VKEY = LEDGER_KEY.verifier().to_text()


@pytest.fixture
def custody(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    def run(*arguments):
        return CliRunner().invoke(app, ["witness", *arguments], env={"COLUMNS": "200"})

    return run


@pytest.fixture
def made(custody):
    done = custody("init", "w", "--name", "bawaslu.example/w3", "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_init_tells_the_keys_to_give_away(custody, made, tmp_path):
    keys = [VerifierKey.parse(text) for text in made["vkeys"]]
    assert [(key.name, key.type) for key in keys] == [("bawaslu.example/w3", 4), ("bawaslu.example/w3", 6)]
    assert made["mark"] == str(tmp_path / "w.mark")
    assert isinstance(custody("init", "w", "--name", "other").exception, ConflictError)
    one = custody("init", "v", "--name", "v.example", "--no-mldsa")
    assert one.stdout.count("v.example+") == 1
    assert "Never restore" in one.stdout
    assert isinstance(custody("init", "u", "--name", "u", "--no-mldsa", "--no-ed25519").exception, MalformedError)


def test_ledgers_are_added_listed_and_removed(custody, made):
    assert custody("add-ledger", "w", VKEY, "--url", "https://log.example/ledger/x").exit_code == 0
    assert "2 trusted keys" in custody("add-ledger", "w", NEXT_KEY.verifier().to_text()).stdout
    [row] = json.loads(custody("list", "w", "--json").stdout)
    assert (row["origin"], row["url"], len(row["keys"])) == (ORIGIN, "https://log.example/ledger/x", 2)
    assert VKEY in custody("list", "w").stdout
    assert "1 trusted keys" in custody("remove", "w", ORIGIN, "--key", VKEY).stdout
    assert "0 trusted keys" in custody("remove", "w", ORIGIN).stdout
    assert "none: removed" in custody("list", "w").stdout
    assert isinstance(custody("remove", "w", ORIGIN).exception, MissingError)
    assert isinstance(custody("remove", "w", "nobody.example").exception, MissingError)
    for bad in (["junk"], [WITNESS_KEY.verifier().to_text()]):
        assert isinstance(custody("add-ledger", "w", *bad).exception, MalformedError)
    assert custody("add-ledger", "w", VKEY, "--origin", "go.sum database tree").exit_code == 0


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x", "", "nonsense", "http://", "https:///x", "http://[::1", "http://a..b", "http://.a", "http://h:99999", f"http://h:{10**20}",
        "http://xn--a.example", "http:// x", "http://x\n", f"http://{'a' * 64}.example", "https://x/?a", "https://x/#a",
        "https://x/?", "https://user:word@x/",
    ],
)  # fmt: skip
def test_an_address_that_could_never_be_asked_is_refused_in_one_sentence(custody, made, url):
    done = custody("add-ledger", "w", VKEY, "--url", url)
    assert isinstance(done.exception, MalformedError), (done.output, done.exception)
    assert "A ledger's URL is" in done.exception.detail
    assert json.loads(custody("list", "w", "--json").stdout) == []


@pytest.mark.parametrize(
    "url",
    [
        "https://log.example/ledger/x",
        "http://127.0.0.1:8010",
        "http://[::1]:8010/l/",
        "https://\N{LATIN SMALL LETTER E WITH ACUTE}.example",
    ],
)
def test_other_addresses_are_taken(custody, made, url):
    assert custody("add-ledger", "w", VKEY, "--url", url).exit_code == 0


@pytest.mark.parametrize("name", ["a[/b]", "[red]x", "[link=y]z[/link]"])
def test_names_are_shown_as_they_were_given(custody, tmp_path, name):
    done = custody("init", f"v{name}", "--name", name)
    assert done.exit_code == 0, (done.output, done.exception)
    assert f"v{name}.mark" in done.stdout.replace("\n", "")
    assert f"{name}: well" in custody("status", f"v{name}").stdout


@pytest.mark.parametrize("origin", ["[/x]", "a[/b]", "[red]x", "[link=y]z[/link]"])
def test_origins_are_shown_as_they_were_given(custody, made, tmp_path, origin):
    key = SignerKey(origin, SignatureType.NOTE, b"\x0c" * 32)
    url = f"https://log.example/{origin}"
    done = custody("add-ledger", "w", key.verifier().to_text(), "--url", url)
    assert done.exit_code == 0, (done.output, done.exception)
    listed = custody("list", "w")
    assert (origin in listed.stdout, url in listed.stdout) == (True, True), (listed.output, listed.exception)
    witness, log = Witness(Folder.read(tmp_path / "w")), Log(key=key, size=30)
    witness.add_checkpoint(log.request(0, 20))
    with pytest.raises(ServiceError):
        witness.add_checkpoint(log.request(20, 30, []))
    witness.close()
    assert origin in custody("status", "w").stdout
    assert origin in custody("evidence", "w").stdout
    assert origin in custody("remove", "w", origin).stdout


def test_status_and_evidence_speak_by_exit_code_too(custody, made, tmp_path):
    custody("add-ledger", "w", VKEY)
    assert custody("status", "w").exit_code == 0
    assert custody("evidence", "w").exit_code == 0
    witness = Witness(Folder.read(tmp_path / "w"))
    witness.add_checkpoint(honest().request(0, 20))
    with pytest.raises(ServiceError):
        witness.add_checkpoint(fork().request(20, 20))
    witness.close()
    done = custody("status", "w", "--json")
    told = json.loads(done.stdout)
    assert done.exit_code == 1
    assert (told["ledgers"][0]["size"], told["ledgers"][0]["forks"], told["failing"]) == (20, 1, [])
    assert ORIGIN in custody("status", "w").stdout
    done = custody("evidence", "w", "--json", "--out", "proof")
    assert done.exit_code == 1
    assert json.loads(done.stdout)[0]["finding"] == "fork"
    assert (tmp_path / "proof" / "0001-fork-20" / "request").read_bytes() == fork().request(20, 20)
    assert (tmp_path / "proof" / "0001-fork-20" / "held").read_bytes() == honest().checkpoint(20)


def test_pull_once_says_what_came_of_each_ledger(custody, made):
    with remote(honest(), 300) as ledger:
        custody("add-ledger", "w", VKEY, "--url", ledger.url)
        done = custody("pull", "w", "--once")
        assert (done.exit_code, done.stdout) == (0, f"{ORIGIN} at 300: cosigned. 2 cosignatures delivered.\n")
        ledger.takes = (403, b"{}")
        done = custody("pull", "w", "--once", "--json")
        assert done.exit_code == 1
        assert json.loads(done.stdout)["outcome"] == "refused"
        assert len(ledger.got) == 2


def test_the_evidence_of_a_retired_witness_is_still_read(custody, made, tmp_path):
    custody("add-ledger", "w", VKEY)
    witness = Witness(Folder.read(tmp_path / "w"))
    witness.add_checkpoint(honest().request(0, 20))
    with pytest.raises(ServiceError):
        witness.add_checkpoint(fork().request(20, 20))
    witness.close()
    (tmp_path / "w.mark").unlink()
    assert isinstance(custody("status", "w").exception, TamperError)
    assert [one["finding"] for one in json.loads(custody("evidence", "w", "--json").stdout)] == ["fork"]
    (tmp_path / "w" / "witness.db").unlink()
    assert isinstance(custody("evidence", "w").exception, MissingError)


@pytest.mark.parametrize(
    "command", [["status"], ["list"], ["pull", "--once"], ["serve", "--port", "0"], ["add-ledger", VKEY]]
)
def test_no_command_opens_a_witness_that_forgot(custody, made, tmp_path, command):
    name, *rest = command
    arguments = [name, "w", *rest]
    kept = (tmp_path / "w" / "witness.db").read_bytes()
    custody("add-ledger", "w", NEXT_KEY.verifier().to_text())
    (tmp_path / "w" / "witness.db").write_bytes(kept)
    assert isinstance(custody(*arguments).exception, TamperError)
    (tmp_path / "w" / "witness.db").unlink()
    assert isinstance(custody(*arguments).exception, MissingError)
    assert isinstance(custody(name, "nowhere", *rest).exception, MissingError)


def test_status_tells_what_came_of_the_last_pull(custody, made, tmp_path):
    nothing = custody("pull", "w", "--once")
    assert (nothing.exit_code, "No ledger here has a URL" in nothing.stderr) == (0, True), nothing.output
    assert custody("status", "w").exit_code == 0
    custody("add-ledger", "w", VKEY, "--url", "http://127.0.0.1:9/ledger/x")
    assert custody("pull", "w", "--once").exit_code == 1
    told = custody("status", "w")
    assert (told.exit_code, "could not pull" in told.stdout, "unreachable" in told.stdout) == (1, True, True), (
        told.stdout
    )
    as_json = json.loads(custody("status", "w", "--json").stdout)
    assert [ledger["outcome"] for ledger in as_json["pull"]["ledgers"]] == ["unreachable"]
    (tmp_path / "w" / "pulled.json").write_text("garbled")
    assert custody("status", "w").exit_code == 0, "a file that is none says nothing"
