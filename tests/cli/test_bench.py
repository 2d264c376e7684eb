"""The benchmark measures what it says: its yardsticks are right, its events all accepted, its answer complete.

No timing is asserted anywhere here; the figures belong to `custody bench` and docs/performance.md.
"""

import ast
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from nacl.exceptions import BadSignatureError
from typer.testing import CliRunner

from app.audit.leaf import read_leaf
from app.canon import jcs
from app.cli.bench.offline import OFFLINE, Extent
from app.cli.bench.report import show
from app.cli.bench.reverify import verified
from app.cli.bench.scenarios import SCENARIOS, YARDSTICKS
from app.cli.main import app as custody
from app.custody.committing import newest
from app.custody.serverkeys import ServerKeys
from app.db import Database
from app.keys.signing import PrivateKey, sign_jws
from app.ledger.append import read_head
from app.ledger.tiles import parse_bundle
from app.ledger.tree import root_of
from scripts.yardsticks import bare, inserts, signatures, symbols
from tests.cli.benching import measured, small

FOLDER = Path(bare.__file__).parent
KEYS = [PrivateKey.generate("ES256"), PrivateKey.generate("Ed25519")]
JWKS = {key.kid: key.public.jwk() for key in KEYS}


def events(count):
    for n in range(count):
        body = {"event_id": str(n), "type": "sighting", "author": KEYS[n % 2].kid, "units": [f"U{n % 3}"]}
        yield jcs(sign_jws(jcs(body), [KEYS[n % 2]]))


def test_the_bare_pipeline_verifies_chains_and_stores(tmp_path):
    store = bare.open_store(f"sqlite:///{tmp_path / 'bare.db'}")
    pipeline = bare.Pipeline(JWKS, store)
    signed = list(events(12))
    assert pipeline.take(signed[:5]) == 5
    assert pipeline.take(signed[5:]) == 7
    assert store.count() == pipeline.frontier.size == 12
    rows = store._connection.execute("SELECT leaf_hash FROM event ORDER BY leaf_index").fetchall()
    assert pipeline.frontier.root() == root_of([row[0] for row in rows])
    chain = store._connection.execute("SELECT seq, prev FROM event_unit WHERE unit = 'U0' ORDER BY seq").fetchall()
    assert chain == [(1, bytes(32)), (2, rows[0][0]), (3, rows[3][0]), (4, rows[6][0])]


@pytest.mark.parametrize("wrong", [0, 1])
def test_the_bare_pipeline_stores_nothing_of_a_group_with_a_wrong_signature(tmp_path, wrong):
    group = list(events(2))
    jws = json.loads(group[wrong])
    jws["payload"] = json.loads(group[1 - wrong])["payload"]
    group[wrong] = jcs(jws)
    store = bare.open_store(f"sqlite:///{tmp_path / 'bare.db'}")
    with pytest.raises((InvalidSignature, BadSignatureError)):
        bare.Pipeline(JWKS, store).take(group)
    assert store.count() == 0


def test_the_yardstick_of_inserts_inserts_and_commits_every_row(tmp_path):
    path = str(tmp_path / "raw.db")
    told = inserts.measure(inserts.sqlite(path), 10, 4)
    assert (told["events"], told["requests"]) == (40, 4)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*), min(length(body)) FROM raw_event").fetchone() == (70, 1100)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_the_yardstick_of_signatures_verifies_right_ones_with_every_library():
    told = {name: signatures.measure(check, 10)["events"] for name, check in signatures.checks().items()}
    names = ("verify_ed25519_libsodium", "verify_ed25519_openssl", "verify_es256_openssl")
    assert told == dict.fromkeys(names, 10)


def test_the_yardstick_of_symbols_makes_the_labels_own_symbol():
    text = symbols.address()
    assert len(text) == len("HTTPS://CUSTODY.ID/U/") + 17
    assert len(symbols.symbol(text)) == 29  # version 3, as on a label


def test_yardsticks_import_nothing_of_the_service():
    for path in sorted(FOLDER.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert [name for name in names if name.split(".")[0] == "app"] == [], path.name


def test_a_run_answers_every_figure_and_every_event_is_accepted(tmp_path, capsys, monkeypatch):
    small(monkeypatch)
    told = measured(tmp_path, *SCENARIOS)
    assert set(told["scenarios"]) >= {*SCENARIOS} - {"verify_edge", "desk"} | {
        "desk_overview",
        "desk_unit",
        "single_open",
        "single_4",
        "batch_100_open",
        "two_signatures_100",
    }
    assert set(told["yardsticks"]) == YARDSTICKS
    for row in (*told["scenarios"].values(), *told["yardsticks"].values()):
        assert row["events"] > 0
        assert row["rate"] > 0
    assert set(told["ratios"]) >= {"batch_vs_bare", "single_vs_noop", "history_vs_noop_get", "single_vs_naive"}
    assert told["environment"]["durability"] == "SQLite journal_mode=wal synchronous=FULL"
    assert told["storage"]["bytes_per_event"] > 0
    assert told["notes"]["history_events_a_unit"] == 12
    row = told["scenarios"]["single"]
    assert row["p50_ms"] <= row["max_ms"]
    assert row["p90_ms"] is row["p99_ms"] is row["p999_ms"] is None  # of 32 requests
    assert [one["requests"] for one in row["every_round"]] == [32]
    assert {"answers_cpu_us_per_event", "writes_cpu_us_per_event", "driver_cpu_us_per_event"} <= set(row)
    assert row["rss_mb"] > 0
    assert row["peak_rss_mb"] > 0
    assert set(told["scenarios"]["field_day"]["kinds"]) == {"sync", "flush", "unit", "history"}
    assert {row["goal"] for row in told["goals"]} >= {"G1", "G2", "G3", "G4", "G5", "G6", "G7", "G10", "G11"}
    assert "cpu_us_per_request" in told["scenarios"]["field_day"]
    assert "cpu_us_per_event" not in told["scenarios"]["field_day"]
    assert told["scenarios"]["batch_100"]["every_round"][0]["tidy_seconds"] >= 0
    log = (tmp_path / "service.log").read_text()
    assert '"event":"request"' in log  # as in production
    assert json.loads(json.dumps(told)) == told
    show(told)
    assert "batch_vs_bare" in capsys.readouterr().out


def test_a_ledger_is_made_exported_and_verified_by_the_command_that_everybody_has(tmp_path, capsys):
    told = measured(tmp_path, "reverify", extent=Extent(events=200, rounds=2))
    assert [(name, row["every_round"][0]["processes"]) for name, row in told["scenarios"].items()] == [
        ("reverify", 1), ("reverify_2", 2),
    ]  # fmt: skip
    for row in told["scenarios"].values():
        assert row["events"] > 200
        assert len(row["rates"]) == 2
        assert row["rate"] > 0
        assert row["cpu_us_per_event"] > 0
        assert row["peak_rss_mb"] > 0
    alone, both = told["scenarios"].values()
    assert both["peak_rss_mb"] > 1.3 * alone["peak_rss_mb"]  # the second process counts
    assert [row["what"] for row in told["goals"] if row["goal"] == "G9"]
    assert told["environment"]["durability"] == "SQLite journal_mode=wal synchronous=FULL"
    assert json.loads(json.dumps(told)) == told
    assert any(leaf.event.type.name == "heads.commit" for leaf in exported(tmp_path))
    show(told)
    assert "reverify" in capsys.readouterr().out


def exported(folder):
    bundles = [path for path in (folder / "reverify" / "tree" / "tile" / "entries").rglob("*") if path.is_file()]
    leaves = [leaf for path in sorted(bundles) for leaf in parse_bundle(path.read_bytes())]
    return [read_leaf(index, leaf) for index, leaf in enumerate(leaves)]


def test_a_ledger_that_does_not_verify_ends_the_run(tmp_path):
    measured(tmp_path, "reverify", extent=Extent(events=20, rounds=1))
    vkey = ServerKeys.load(tmp_path / "reverify" / "data" / "keys").ledger.verifier().to_text()
    genesis = exported(tmp_path)[0].event.hash
    tree, answer = tmp_path / "reverify" / "tree", tmp_path / "answer"
    assert verified(tree, vkey, genesis, answer)["events"] > 20
    with pytest.raises(RuntimeError, match="genesis_mismatch"):
        verified(tree, vkey, "A" * 43, answer)


def test_commitments_are_over_every_unit_old_and_new(tmp_path, capsys):
    told = measured(tmp_path, "heads", extent=Extent(units=300, changed=20, commitments=3))
    assert {name: row["units"] for name, row in told["scenarios"].items()} == {"heads_old": 300, "heads_new": 320}
    for row in told["scenarios"].values():
        assert row["events"] == 20
        assert len(row["rates"]) == 3
        assert 0 < row["p50_ms"] <= row["max_ms"]
        assert 0 < row["tree_p50_ms"] <= row["tree_max_ms"]
    db = Database(f"sqlite:///{tmp_path / 'heads' / 'custody.db'}")
    with db.read() as session:
        head = read_head(session)
        last = newest(session, head.ledger_id)
    db.close()
    assert (last.n, last.leaf_index) == (300 + 3 * 20, head.size - 1)
    assert json.loads(json.dumps(told)) == told
    show(told)
    assert "heads_new" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--scenario", "nothing"], ["--scenario", "heads", "--units", "10"]])
def test_a_scenario_that_cannot_be_run_is_refused_before_anything_is_made(arguments):
    told = CliRunner().invoke(custody, ["bench", *arguments])
    assert told.exit_code == 2


def test_long_scenarios_run_only_when_they_are_named():
    assert not set(OFFLINE) & set(SCENARIOS)
