"""The offline verifier: passes what is whole, names what is not, and never falls over what a stranger sends."""

import io
import json
import os
import random
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from app.audit.bundle import Bundle, read_bundle, write_bundle, write_files
from app.audit.evidence import gather
from app.audit.verify import main, verify_bundle
from app.canon import jcs
from app.cli import verify as command
from app.custody.rules import case as rules_case
from app.custody.rules import handover as rules_handover
from app.db import Database
from tests import small as s
from tests.audit.journey import play
from tests.custody.town import Town
from tests.strategies import LONG


class Shelf:
    """Bundles of one journey, made once."""

    def __init__(self, town: Town) -> None:
        self.origin = town.origin
        self.genesis = str(town.one("SELECT genesis FROM ledger_state"))
        self.units = play(town)
        self.bundles = {name: self._gather(town, unit) for name, unit in self.units.items() if name != "reprinted"}

    @staticmethod
    def _gather(town: Town, unit: str) -> Bundle:
        with town.db.read() as session:
            return gather(session, town.recorder.ledger_id, unit, private=True)

    def __getitem__(self, name: str) -> Bundle:
        return read_bundle(packed(self.bundles[name]))

    def verify(self, bundle: Bundle):
        return verify_bundle(zipped(contents(bundle)), genesis=self.genesis)


def packed(bundle: Bundle) -> bytes:
    target = io.BytesIO()
    write_bundle(bundle, target)
    return target.getvalue()


def zipped(files: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    write_files(files, target)
    return target.getvalue()


def contents(bundle: Bundle) -> dict[str, bytes]:
    return {"manifest.json": bundle.manifest(), **bundle.files()}


@pytest.fixture(scope="module")
def shelf(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    folder = tmp_path_factory.mktemp("shelf")
    path = folder / "custody.db"
    path.write_bytes(sqlite_template.read_bytes())
    db = Database(f"sqlite:///{path}")
    town = Town(db, folder / "house").settle()
    made = Shelf(town)
    town.recorder._high_water.close()
    db.close()
    return made


def test_a_whole_bundle_passes_under_the_pinned_genesis(shelf: Shelf):
    for name in shelf.bundles:
        report = shelf.verify(shelf[name])
        assert report.result == "PASS", report.as_text()
        assert report.judged > 5
        assert "PASS" in report.as_text()


def test_without_a_pinned_genesis_nothing_passes(shelf: Shelf):
    report = verify_bundle(packed(shelf["box"]))
    assert report.result == "INCOMPLETE"
    assert [r.code for r in report.reasons if r.level != "note"] == ["genesis_not_pinned"]


def test_a_wrong_pin_fails(shelf: Shelf):
    data = packed(shelf["box"])
    assert verify_bundle(data, genesis="A" * 43).result == "FAIL"
    assert verify_bundle(data, genesis=shelf.genesis, origin="other.example/ledger/x").result == "FAIL"
    assert verify_bundle(data, genesis=shelf.genesis, ledger_keys=["k+00000000+AA"]).result == "FAIL"


def test_no_single_byte_of_a_bundle_may_change(shelf: Shelf):
    """Every byte of a whole bundle as it is handed out, one after the other; none is left to chance."""
    whole = min((packed(shelf[name]) for name in shelf.bundles), key=len)
    rng, passed = random.Random(6), []
    for place in range(len(whole)):
        bent = bytearray(whole)
        bent[place] ^= rng.randrange(1, 256)
        if verify_bundle(bytes(bent), genesis=shelf.genesis).result != "FAIL":
            passed.append((place, bent[place]))
    assert not passed
    assert verify_bundle(whole, genesis=shelf.genesis).result == "PASS", "the control"


def test_no_changed_byte_of_any_file_passes(shelf: Shelf):
    """One byte of one file flipped at random: the manifest knows."""
    rng = random.Random(7)
    small = min((shelf[name] for name in shelf.bundles), key=lambda b: len(packed(b)))
    files = contents(small)
    tried = 0
    for name, data in files.items():
        places = range(len(data)) if len(data) < 400 else sorted(rng.sample(range(len(data)), 120))
        for place in places:
            broken = bytearray(data)
            broken[place] ^= rng.randrange(1, 256)
            report = verify_bundle(zipped({**files, name: bytes(broken)}), genesis=shelf.genesis)
            assert report.result == "FAIL", (name, place)
            tried += 1
    assert tried > 2000


@pytest.mark.parametrize(("name", "per_file"), [("bulk", 12), *([("voided", 10**6)] if LONG else [])])
def test_no_changed_byte_passes_when_the_manifest_is_made_anew(shelf: Shelf, name: str, per_file: int):
    """As above, by somebody who also writes a fitting manifest: leaves, proofs, checkpoint, documents, private contents."""
    rng = random.Random(8)
    bundle = shelf[name]
    tried = 0
    for parts in (bundle.leaves, bundle.proofs, bundle.documents, bundle.private):
        for key, data in list(parts.items()):
            for place in rng.sample(range(len(data)), min(len(data), per_file)):
                broken = bytearray(data)
                broken[place] ^= rng.randrange(1, 256)
                parts[key] = bytes(broken)
                report = shelf.verify(bundle)
                assert report.result == "FAIL", (key, place)
                tried += 1
            parts[key] = data
    for place in range(len(bundle.checkpoint)):
        broken = bytearray(bundle.checkpoint)
        broken[place] ^= 1
        other = shelf[name]
        other.checkpoint = bytes(broken)
        assert shelf.verify(other).result == "FAIL"
        tried += 1
    assert tried > 500
    assert shelf.verify(bundle).result == "PASS"


def test_a_changed_leaf_is_named(shelf: Shelf):
    bundle = shelf["box"]
    index = max(bundle.leaves)
    bundle.leaves[index] = bundle.leaves[index].replace(b'"accepted"', b'"refused" ')
    (reason,) = [r for r in shelf.verify(bundle).reasons if r.level == "fail" and r.index == index]
    assert reason.code == "leaf_canonical"


@pytest.mark.parametrize("name", ["box", "lot", "held", "inner", "load", "bulk"])
def test_a_bundle_that_lacks_any_leaf_or_document_never_passes(shelf: Shelf, name: str):
    """But for the newest link, and leaves that link nothing: without them less is told, and nothing that is not proven."""
    whole = shelf[name]
    quiet = set()
    for index in whole.leaves:
        bundle = shelf[name]
        del bundle.leaves[index], bundle.proofs[index]
        if shelf.verify(bundle).result == "PASS":
            quiet.add(index)
    chain = {event["index"] for event in shelf.verify(whole).story if event["seq"] and not event["via"]}
    last = max(chain)
    assert quiet & chain <= {last}, "only the newest link can be cut off unseen: completeness is not proven"
    for document in whole.documents:
        bundle = shelf[name]
        del bundle.documents[document]
        assert shelf.verify(bundle).result in {"INCOMPLETE", "FAIL"}


def test_a_gap_in_the_chain_is_named(shelf: Shelf):
    bundle = shelf["box"]
    chain = [event["index"] for event in shelf.verify(bundle).story if event["seq"] and not event["via"]]
    del bundle.leaves[chain[2]], bundle.proofs[chain[2]]
    reasons = [r for r in shelf.verify(bundle).reasons if r.code == "chain"]
    assert reasons[0].index == chain[3]


def test_a_leaf_without_its_proof_fails(shelf: Shelf):
    bundle = shelf["box"]
    index = max(bundle.leaves)
    del bundle.proofs[index]
    assert ("proof_missing", index) in {(r.code, r.index) for r in shelf.verify(bundle).reasons if r.level == "fail"}


def test_a_bundle_about_another_unit_fails(shelf: Shelf):
    bundle = shelf["box"]
    bundle.unit = shelf.units["burnt"]
    assert shelf.verify(bundle).result == "FAIL"


def test_a_private_content_that_opens_nothing_fails(shelf: Shelf):
    bundle = shelf["bulk"]
    ((index, name), data) = next(iter(bundle.private.items()))
    assert shelf.verify(bundle).result == "PASS"
    bundle.private[(index, "other")] = data
    assert shelf.verify(bundle).result == "FAIL"
    bundle = shelf["bulk"]
    bundle.private[(index, name)] = jcs({**json.loads(data), "body": "AAAA"})
    assert [(r.code, r.index) for r in shelf.verify(bundle).reasons if r.level == "fail"] == [("commitment", index)]
    bundle = shelf["bulk"]
    bundle.private.clear()
    assert shelf.verify(bundle).result == "PASS"


def test_a_server_that_bends_the_rules_is_caught_at_the_event(db: Database, tmp_path: Path, monkeypatch):
    """The ledger's own operator lets officers accept their own release: the tree is right, the verdict is not."""
    town = Town(db, tmp_path / "house").settle()
    box = town.box()
    release = town.release([box], (s.KPU, s.WAREHOUSE))
    town.ok(release)
    with monkeypatch.context() as bent:
        bent.setattr(rules_handover, "_taking_side", lambda case, handover: case.side("taker"))
        accepted = town.ok(town.accept(release.hash, [box], phone=town.kpu1, place=s.WAREHOUSE, kpu2="second"))
    genesis = str(town.one("SELECT genesis FROM ledger_state"))
    with town.db.read() as session:
        data = packed(gather(session, town.recorder.ledger_id, box))
    report = verify_bundle(data, genesis=genesis)
    (reason,) = [r for r in report.reasons if r.level == "fail"]
    assert (reason.code, reason.index, reason.event) == ("verdict", accepted.index, accepted.event)
    town.recorder._high_water.close()


def test_unknown_rules_are_incomplete(shelf: Shelf, monkeypatch):
    monkeypatch.setattr("app.audit.rejudging.RULES_VERSION", rules_case.RULES_VERSION + 1)
    report = shelf.verify(shelf["box"])
    assert report.result == "INCOMPLETE"
    assert {r.code for r in report.reasons if r.level == "incomplete"} >= {"rules_version"}


# -- hostile files -------------------------------------------------------------------------------------


def renamed(files: dict[str, bytes], name: str, data: bytes = b"x") -> bytes:
    safe = zipped({**files, "#" * len(name): data})
    return safe.replace(b"#" * len(name), name.encode())


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "/etc/passwd",
        "leaves/../../x.json",
        "leaves/01.json",
        "leaves/-1.json",
        "leaves/1.JSON",
        "a\\b",
        "x" * 5000,
        "documents/short.json",
        "manifest.json/",
        "leaves/",
        "private/1/../x.json",
        "README.txt ",
        "leaves/1.json\x00.txt",
    ],
)
def test_names_outside_the_format_are_refused(shelf: Shelf, name: str):
    assert verify_bundle(renamed(contents(shelf["burnt"]), name), genesis=shelf.genesis).result == "FAIL"


def test_hostile_zips_are_refused_by_code(shelf: Shelf):
    files = contents(shelf["burnt"])
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("leaves/0.json", b"0" * 5_000_000)
    many = zipped({f"leaves/{n}.json": b"" for n in range(10_001)})
    link = io.BytesIO()
    with zipfile.ZipFile(link, "w") as archive:
        info = zipfile.ZipInfo("checkpoint")
        info.create_system, info.external_attr = 3, 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    packed_otherwise = io.BytesIO()
    with zipfile.ZipFile(packed_otherwise, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("checkpoint", "x")
    good = zipped(files)
    encrypted = bytearray(good)
    encrypted[6] |= 1
    encrypted[good.index(b"PK\x01\x02") + 8] |= 1
    cases = {
        "bundle_too_large": many, "bundle_entry": link.getvalue(),
    }  # fmt: skip
    assert [r.code for r in verify_bundle(bomb.getvalue()).reasons] == ["bundle_entry"], "nothing is ever unpacked"
    for code, data in cases.items():
        assert [r.code for r in verify_bundle(data).reasons] == [code]
    assert [r.code for r in verify_bundle(packed_otherwise.getvalue()).reasons] == ["bundle_entry"]
    assert [r.code for r in verify_bundle(bytes(encrypted)).reasons] == ["bundle_entry"]
    for data in (b"", b"PK", b"#!/bin/sh\n" + good, good + b"x", good[:-1], good[: len(good) // 2]):
        assert [r.code for r in verify_bundle(data).reasons] == ["bundle_zip"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_stands_twice_is_refused(shelf: Shelf):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, data in [*contents(shelf["burnt"]).items(), ("checkpoint", b"x")]:
            archive.writestr(name, data)
    assert [r.code for r in verify_bundle(target.getvalue()).reasons] == ["bundle_names"]


def test_an_entry_whose_length_lies_is_refused(shelf: Shelf):
    good = bytearray(zipped(contents(shelf["burnt"])))
    central = good.index(b"PK\x01\x02")
    size = int.from_bytes(good[central + 24 : central + 28], "little")
    good[central + 24 : central + 28] = (size - 1).to_bytes(4, "little")
    assert verify_bundle(bytes(good), genesis=shelf.genesis).result == "FAIL"


@given(st.binary(max_size=400))
@settings(max_examples=300, deadline=None)
def test_garbage_never_raises_and_never_passes(data: bytes):
    assert verify_bundle(data, genesis="A" * 43).result == "FAIL"


@given(
    st.dictionaries(
        st.sampled_from(
            ["manifest.json", "README.txt", "checkpoint", "leaves/0.json", "proofs/0.tlog-proof", "private/0/a.json"]
        ),
        st.one_of(
            st.binary(max_size=60),
            st.text(max_size=60).map(str.encode),
            st.sampled_from([b"{}", b"[]", b"null", b'{"v":1}']),
        ),
        max_size=6,
    )
)
@settings(max_examples=200, deadline=None)
def test_zips_of_garbage_never_raise_and_never_pass(files: dict[str, bytes]):
    assert verify_bundle(zipped(files), genesis="A" * 43).result == "FAIL"


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_shuffled_parts_never_pass(shelf: Shelf, data: st.DataObject):
    """Leaves under other indexes, proofs of other leaves, parts of other bundles: a fitting manifest saves none."""
    bundle = shelf["held"]
    other = shelf[data.draw(st.sampled_from(["box", "lot", "alone"]))]
    act = data.draw(st.sampled_from(["swap_leaves", "swap_proofs", "foreign_proof", "move"]))
    one, two = data.draw(st.lists(st.sampled_from(sorted(bundle.leaves)), min_size=2, max_size=2, unique=True))
    if act == "swap_leaves":
        bundle.leaves[one], bundle.leaves[two] = bundle.leaves[two], bundle.leaves[one]
    elif act == "swap_proofs":
        bundle.proofs[one], bundle.proofs[two] = bundle.proofs[two], bundle.proofs[one]
    elif act == "foreign_proof":
        fresh = data.draw(st.sampled_from(sorted(set(other.leaves) - set(bundle.leaves)) or [one]))
        bundle.proofs[one] = other.proofs[fresh if fresh != one else two]
    else:
        bundle.leaves[10**6], bundle.proofs[10**6] = bundle.leaves.pop(one), bundle.proofs.pop(one)
    assert shelf.verify(bundle).result == "FAIL"


# -- from the command line -----------------------------------------------------------------------------


def test_it_runs_without_database_and_web_packages(shelf: Shelf, tmp_path: Path):
    path = tmp_path / "bundle.zip"
    path.write_bytes(packed(shelf["box"]))
    code = (
        "import sys; from app.audit.verify import main; code = main(sys.argv[1:]); "
        "banned = {'sqlalchemy', 'fastapi', 'starlette', 'httpx', 'psycopg', 'app.db', 'app.config'}; "
        "assert not banned & set(sys.modules), banned & set(sys.modules); sys.exit(code)"
    )
    root = Path(__file__).resolve().parents[2]
    arguments = [str(path), "--genesis", shelf.genesis]
    run = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=root)
    assert (run.returncode, run.stdout.split("\n")[0]) == (0, "PASS"), run.stderr
    run = subprocess.run(
        [sys.executable, "-m", "app.audit.verify", str(path), "--json"], capture_output=True, text=True, cwd=root
    )
    assert run.returncode == 3
    assert json.loads(run.stdout)["result"] == "INCOMPLETE"


def test_exit_codes(shelf: Shelf, tmp_path: Path, capsys):
    path = tmp_path / "bundle.zip"
    path.write_bytes(packed(shelf["box"]))
    assert main([str(path), "--genesis", shelf.genesis]) == 0
    assert main([str(path), "--genesis", "A" * 43]) == 1
    assert main([str(path)]) == 3
    (tmp_path / "noise").write_bytes(bytes(range(256)))
    os.mkfifo(tmp_path / "pipe")
    noise = str(tmp_path / "noise")
    for wrong in (
        [str(tmp_path / "none.zip")], [str(tmp_path)], [str(tmp_path / "pipe")], [str(path), "--genesis", ""],
        [str(path), "--policy", noise], [str(path), "--tsa-roots", noise], [str(path), "--policy", str(tmp_path / "pipe")],
    ):  # fmt: skip
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main(wrong)
        assert (caught.value.code, capsys.readouterr().out) == (2, ""), wrong


def test_the_command_tells_the_story(shelf: Shelf, tmp_path: Path):
    app = typer.Typer()
    command.register(app)
    app.command("other")(lambda: None)
    path = tmp_path / "bundle.zip"
    path.write_bytes(packed(shelf["box"]))
    good = CliRunner().invoke(app, ["verify", str(path), "--genesis", shelf.genesis])
    assert (good.exit_code, good.stdout.split("\n")[0]) == (0, "PASS")
    assert "custody.release" in good.stdout
    told = CliRunner().invoke(app, ["verify", str(path), "--json"])
    assert (told.exit_code, json.loads(told.stdout)["result"]) == (3, "INCOMPLETE")
    os.mkfifo(tmp_path / "pipe")
    for name in ("none.zip", "pipe", "."):
        wrong = CliRunner().invoke(app, ["verify", str(tmp_path / name)])
        assert (wrong.exit_code, wrong.stdout, wrong.stderr.count("\n")) == (2, "", 1), wrong.output


def test_a_hash_that_begins_with_a_hyphen_is_a_hash(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main([str(tmp_path / "none.zip"), "--genesis", "-abc", "--origin", "-x"])
    assert "expected one argument" not in capsys.readouterr().err
