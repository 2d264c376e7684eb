"""verify.js in a real Chromium on the vectors that the Python code has: bundles, lists, ledger files, JSON, envelopes."""

import io
import json
import shutil
from base64 import b64decode, b64encode
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from app.audit.bundle import README, write_bundle
from app.audit.evidence import gather
from app.audit.verify import verify_bundle
from app.canon import b64url_encode, sha256
from app.custody.events import TYPES
from app.db import Database
from app.ledger.directory import Listed, open_list
from app.ledger.tree import consistency_path, inclusion_path, leaf_hash, root_of
from tests.audit.journey import play
from tests.audit.list_vectors import code_of
from tests.browser import running_chromium
from tests.custody.town import Town
from tests.ledger.test_directory import GOOD, LIST_KEY, SIGNED, ledger
from tests.ledger.vectors import KEYS, LEAVES, ORIGIN, load
from tests.web.jsmodule import module_page

VECTORS = Path(__file__).parents[1] / "vectors"
BOOKS = sorted(path.stem for path in (VECTORS / "bundle").glob("*.json"))


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with running_chromium() as browser:
        yield module_page(browser)


def read(folder: str, name: str) -> Any:
    return json.loads((VECTORS / folder / f"{name}.json").read_text("utf-8"))


# -- bundles -------------------------------------------------------------------------------------------

RUN = """async (vectors) => {
    const said = [];
    for (const { zip, pins } of vectors) {
        const report = await verify.verifyBundle(fromBase64(zip), {
            genesis: pins.genesis, origin: pins.origin, ledgerKeys: pins.ledger_keys,
            policy: pins.policy === undefined ? undefined : fromBase64(pins.policy),
            ledgers: pins.ledgers === undefined ? undefined : fromBase64(pins.ledgers), ledgersKey: pins.ledgers_key,
        });
        said.push({ result: report.result, reasons: report.reasons });
    }
    return said;
}"""


@pytest.mark.parametrize("book", BOOKS)
def test_the_browser_says_what_the_vectors_say(page: Page, book: str):
    vectors = [vector for vector in read("bundle", book) if not vector["python_only"]]
    wrong = []
    for vector, said in zip(vectors, page.evaluate(RUN, vectors), strict=True):
        told = {**vector, **vector.get("browser", {})}
        codes = {reason["code"] for reason in said["reasons"]}
        if said["result"] != told["result"] or not set(told["reasons"]) <= codes:
            wrong.append((vector["name"], told["result"], told["reasons"], said))
    assert not wrong


def test_it_knows_every_type_of_event_and_the_readme(page: Page):
    assert set(page.evaluate("() => verify.EVENT_TYPES")) >= set(TYPES)
    newest = page.evaluate("() => verify.README_HASHES.at(-1)")
    assert newest == b64url_encode(sha256(README.encode())), "add the hash of the new README to README_HASHES"


def test_every_argument_gives_a_report(page: Page):
    ask = """async (key) => {
        const odd = [undefined, null, 0, "x", {}, [], [1, 2], new Uint8Array(5), new ArrayBuffer(40)];
        const pins = [undefined, {}, { genesis: 1 }, { policy: new Uint8Array([255]) }, { ledgerKeys: ["x"] },
            { ledgers: 1, ledgersKey: 1 }, { ledgers: null, ledgersKey: null }, { ledgers: "x", ledgersKey: key },
            { ledgers: new Uint8Array([255]), ledgersKey: key }];
        const results = [];
        for (const data of odd) for (const pin of pins) results.push((await verify.verifyBundle(data, pin)).result);
        return results;
    }"""
    assert set(page.evaluate(ask, LIST_KEY.verifier().to_text())) == {"FAIL"}


def test_every_bundle_of_a_long_journey_passes_and_tells_the_same_story(
    page: Page, sqlite_template: Path, tmp_path: Path
):
    """Almost every type of event and every verdict, waiting and held events among them, in both verifiers."""
    shutil.copyfile(sqlite_template, tmp_path / "custody.db")
    town = Town(Database(f"sqlite:///{tmp_path / 'custody.db'}"), tmp_path / "house").settle()
    units = play(town)
    genesis = str(town.one("SELECT genesis FROM ledger_state"))
    for name, unit in units.items():
        if name == "reprinted":
            continue
        with town.db.read() as session:
            target = io.BytesIO()
            write_bundle(gather(session, town.recorder.ledger_id, unit, private=True), target)
        data = target.getvalue()
        told = verify_bundle(data, genesis=genesis)
        ask = """async ([zip, genesis]) => {
            const report = await verify.verifyBundle(fromBase64(zip), { genesis });
            return { result: report.result, reasons: report.reasons, story: report.story };
        }"""
        said = page.evaluate(ask, [b64encode(data).decode(), genesis])
        assert (said["result"], told.result) == ("PASS", "PASS"), (name, said["reasons"])
        mine = [(one["index"], one["type"], one["seq"], one["via"]) for one in said["story"]]
        assert mine == [(one["index"], one["type"], one["seq"], one["via"]) for one in told.story], name
    town.leave()


# -- the signed list of ledgers ------------------------------------------------------------------------

LISTS = """async (vectors) => Promise.all(vectors.map(async ({ text, note, key }) => {
    let ledgers = [];
    const code = await codeOf(async () => {
        ledgers = await (text === undefined ? verify.openLedgers(fromBase64(note), key) : verify.parseLedgers(text));
    });
    const lines = ledgers.map((one) => [one.origin, one.genesis, one.key.text, one.url].filter(Boolean).join(" ") + "\\n");
    return { code, text: `custody-ledgers/v1\\n${lines.join("")}` };
}))"""


@pytest.mark.parametrize("name", ["texts", "notes"])
def test_a_list_is_read_as_strictly_as_in_python(page: Page, name: str):
    vectors = read("bundle/lists", name)
    said = page.evaluate(LISTS, vectors)
    assert [(v["name"], s["code"]) for v, s in zip(vectors, said, strict=True)] == [
        (v["name"], v["code"]) for v in vectors
    ]
    for vector, one in zip(vectors, said, strict=True):
        if vector["code"] is None and "text" in vector:
            assert one["text"] == vector["text"], vector["name"]
    assert {None, "ledger_list", "base64", "verifier_key"} <= {vector["code"] for vector in vectors}


def test_every_changed_byte_of_a_list_is_refused_for_what_python_says(page: Page):
    changes = (1, 0x20, 0x80, 0xFF)
    told = page.evaluate(
        """async ([hex, key, changes]) => {
            const good = fromHex(hex), codes = [];
            for (let at = 0; at < good.length; at += 1) {
                for (const change of changes) {
                    const bent = good.slice();
                    bent[at] ^= change;
                    codes.push(await codeOf(() => verify.openLedgers(bent, key)));
                }
            }
            return [await codeOf(() => verify.openLedgers(good, key)), codes];
        }""",
        [SIGNED.hex(), LIST_KEY.verifier().to_text(), changes],
    )
    places = product(range(len(SIGNED)), changes)
    bent = [SIGNED[:at] + bytes([SIGNED[at] ^ change]) + SIGNED[at + 1 :] for at, change in places]
    mine = [code_of(lambda data=data: open_list(data, LIST_KEY.verifier())) for data in bent]
    assert told == [None, mine]
    assert None not in mine


def test_an_address_is_spelled_as_in_python(page: Page):
    schemes = ("https://", "http://", "HTTPS://", "ftp://", "//", "https:", "")
    hosts = (
        "kpu.example",
        "KPU.example",
        "",
        "%41",
        "a<b",
        "[::1]",
        "1.2.3.4",
        "a-b",
        "a..b",
        "-a",
        "u@kpu.example",
        "@a",
        "é",
        "\x7f",
    )
    ports = ("", ":8000", ":", ":x", ":123456")
    paths = ("", "/", "/a", "/a/", "//a", "/a[b]\\~", "/a:b@c")
    tails = ("", "?", "?q", "#", "#f")
    urls = list(filter(None, map("".join, product(schemes, hosts, ports, paths, tails))))
    one = ledger(64)
    ask = """async ([line, urls]) => Promise.all(urls.map((url) =>
        codeOf(() => verify.parseLedgers(`custody-ledgers/v1\\n${line} ${url}\\n`))))"""
    told = page.evaluate(ask, [GOOD, urls])
    mine = [code_of(lambda url=url: Listed(one.origin, one.genesis, one.key, url)) for url in urls]
    assert [(url, a) for url, a, b in zip(urls, told, mine, strict=True) if a != b] == []
    assert mine.count(None) > 20


def test_of_a_ledger_that_is_not_listed_nothing_else_is_said(page: Page):
    vector = next(v for v in read("bundle", "ledgers") if v["name"] == "a ledger that is not listed")
    ask = """async ([zip, ledgers, ledgersKey]) => {
        const { ledger, genesis, story, reasons } = await verify.verifyBundle(fromBase64(zip), { ledgers: fromBase64(ledgers), ledgersKey });
        return [ledger, genesis, story, reasons.map((reason) => reason.code)];
    }"""
    said = page.evaluate(ask, [vector["zip"], vector["pins"]["ledgers"], vector["pins"]["ledgers_key"]])
    told = verify_bundle(b64decode(vector["zip"]))
    assert said == [told.ledger, None, [], ["ledger_not_listed"]]


# -- the ledger's own files ----------------------------------------------------------------------------


def test_json_is_read_as_strictly_as_in_python(page: Page):
    refused = read("json", "refused")["cases"]
    cases = [{"hex": case["hex"] if "hex" in case else case["text"].encode().hex()} for case in refused]
    ask = "async (cases) => Promise.all(cases.map(({ hex }) => codeOf(() => verify.parseJson(fromHex(hex), 65536))))"
    said = page.evaluate(ask, cases)
    expected = [case["code"] for case in refused]
    assert [(c["name"], s) for c, s in zip(refused, said, strict=True)] == [
        (c["name"], e) for c, e in zip(refused, expected, strict=True)
    ]
    for case in read("json", "accepted")["cases"]:
        data = (bytes.fromhex(case["hex"]) if "hex" in case else case["text"].encode()).hex()
        assert page.evaluate("(hex) => verify.parseJson(fromHex(hex), 65536)", data) == case["value"], case["name"]


def test_envelopes_are_read_and_proven_as_in_python(page: Page):
    keys = [key["jwk"] for key in read("event", "worked_example")["keys"]]
    ask = """async ([keys, texts]) => {
        const known = new Map();
        for (const jwk of keys) { const key = await verify.keyOfJwk(jwk); known.set(key.kid, key); }
        return Promise.all(texts.map((text) => codeOf(async () => {
            const value = verify.parseJson(verify.utf8(text), 65536);
            await verify.proveJws(verify.parseJws(value), (kid) => known.get(kid));
        })));
    }"""
    refused = read("event", "refused")["cases"]
    said = page.evaluate(ask, [keys, [case["envelope"] for case in refused]])
    assert [(c["name"], s) for c, s in zip(refused, said, strict=True)] == [(c["name"], c["code"]) for c in refused]
    assert page.evaluate(ask, [keys, [json.dumps(json.loads(load("leaf")["leaf"])["event"])]]) == [None]


def test_notes_checkpoints_keys_and_proofs_of_the_ledgers_vectors(page: Page):
    keys = [key.to_text() for key in KEYS]
    ask = """async ([keys, cases, act, origin]) => {
        const trusted = await Promise.all(keys.map(verify.parseVerifierKey));
        const acts = {
            note: (data) => verify.parseNote(data),
            text: (data) => verify.parseCheckpoint(new TextDecoder("utf-8", { ignoreBOM: true }).decode(data)),
            open: (data) => verify.openCheckpoint(verify.parseNote(data), trusted, origin),
            vkey: (data) => verify.parseVerifierKey(new TextDecoder("utf-8", { ignoreBOM: true }).decode(data)),
            proof: (data) => verify.verifyTlogProof(data, verify.utf8("e257"), trusted, origin),
        };
        return Promise.all(cases.map((hex) => codeOf(() => acts[act](fromHex(hex)))));
    }"""

    def codes(file: str, member: str, act: str) -> list[tuple[str, str | None]]:
        cases = load(file)
        data = [case[member].encode() if member in case else b64decode(case["base64"]) for case in cases]
        said = page.evaluate(ask, [keys, [one.hex() for one in data], act, ORIGIN])
        return [(case["name"], code) for case, code in zip(cases, said, strict=True)]

    shapes = {"note", "base64", "checkpoint", "decimal", "verifier_key", "tlog_proof"}
    for file, member, act in (
        ("notes_malformed", "note", "note"), ("checkpoints_malformed", "text", "text"),
        ("verifier_keys_malformed", "vkey", "vkey"), ("proofs_malformed", "proof", "proof"),
    ):  # fmt: skip
        assert not [one for one in codes(file, member, act) if one[1] not in shapes], file
    assert {code for _, code in codes("checkpoints_unproven", "note", "open")} == {"note_signature"}
    assert {code for _, code in codes("proofs_unproven", "proof", "proof")} <= {"inclusion_proof", "note_signature"}
    good = [load("proof")["proof"].encode().hex()]
    assert page.evaluate(ask, [keys, good, "proof", ORIGIN]) == [None]
    assert page.evaluate(ask, [keys, [load("checkpoint")["note"].encode().hex()], "open", ORIGIN]) == [None]


def test_no_single_byte_of_a_proof_file_may_change(page: Page):
    """As in Python; the cosignature is a stranger's once its name or key id is another, hence the proof without it."""
    text = load("proof")["proof"]
    plain = text[: text.rindex("\u2014")].encode()
    accepted = page.evaluate(
        """async ([keys, hex, origin]) => {
            const trusted = await Promise.all(keys.map(verify.parseVerifierKey));
            const good = fromHex(hex), accepted = [];
            for (let at = 0; at < good.length; at += 1) {
                for (const change of [1, 0x20, 0x80, 0xff]) {
                    const bent = good.slice();
                    bent[at] ^= change;
                    const code = await codeOf(() => verify.verifyTlogProof(bent, verify.utf8("e257"), trusted, origin));
                    if (code === null || code.startsWith("threw")) accepted.push([at, change, code]);
                }
            }
            return accepted;
        }""",
        [[key.to_text() for key in KEYS], plain.hex(), ORIGIN],
    )
    assert accepted == []


def test_trees_are_hashed_and_proofs_verified_as_in_python(page: Page):
    hashes = [leaf_hash(leaf) for leaf in LEAVES]

    def node(level: int, i: int) -> bytes:
        return root_of(hashes[i << level : (i + 1) << level])

    sizes = [1, 2, 3, 7, 8, 255, 256, 257, 300]
    inclusions = [
        [i, size, hashes[i].hex(), [p.hex() for p in inclusion_path(i, size, node)], root_of(hashes[:size]).hex()]
        for size in sizes
        for i in sorted({0, size // 2, size - 1})
    ]
    consistencies = [
        [
            old,
            size,
            root_of(hashes[:old]).hex(),
            root_of(hashes[:size]).hex(),
            [p.hex() for p in consistency_path(old, size, node)],
        ]
        for size in sizes
        for old in sizes
        if old <= size
    ]
    ask = """async ([inclusions, consistencies]) => {
        const wrong = [];
        const included = (i, n, leaf, path, root) =>
            codeOf(() => verify.verifyInclusion(BigInt(i), BigInt(n), fromHex(leaf), path.map(fromHex), fromHex(root)));
        const consistent = (old, n, a, b, path) =>
            codeOf(() => verify.verifyConsistency(BigInt(old), BigInt(n), fromHex(a), fromHex(b), path.map(fromHex)));
        for (const [i, n, leaf, path, root] of inclusions) {
            if (await included(i, n, leaf, path, root) !== null) wrong.push(["refused", i, n]);
            const bent = [included(i + 1, n, leaf, path, root), included(-1, n, leaf, path, root), included(n, n, leaf, path, root),
                included(i, n, root.replace(/^../, "00"), path, root), included(i, n, leaf, [...path, leaf], root),
                included(i, n, leaf, path, leaf.split("").reverse().join(""))];
            if (path.length) bent.push(included(i, n, leaf, path.slice(1), root), included(i, n, leaf, [path[0].slice(2), ...path.slice(1)], root));
            for (const code of await Promise.all(bent)) if (code !== "inclusion_proof") wrong.push(["accepted", i, n, code]);
        }
        for (const [old, n, a, b, path] of consistencies) {
            if (await consistent(old, n, a, b, path) !== null) wrong.push(["refused", old, n]);
            const bent = [consistent(old, n, a, a.split("").reverse().join(""), path), consistent(old, n, a, b, [...path, a]),
                consistent(0, n, a, b, path), consistent(n + 1, n, a, b, path)];
            if (path.length) bent.push(consistent(old, n, a, b, path.slice(1)));
            for (const code of await Promise.all(bent)) if (code !== "consistency_proof") wrong.push(["accepted", old, n, code]);
        }
        return wrong;
    }"""
    assert page.evaluate(ask, [inclusions, consistencies]) == []
    vector = load("tree")
    assert page.evaluate("async () => verify.hex(await verify.leafHash(verify.utf8('e0')))") == vector["leaf_e0"]
    leaf = load("leaf")
    assert (
        page.evaluate("async (t) => verify.hex(await verify.leafHash(verify.utf8(t)))", leaf["leaf"])
        == leaf["leaf_hash"]
    )
