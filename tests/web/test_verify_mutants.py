"""Negative controls for verify.js: take one check away, and the vectors must notice."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser import running_chromium
from tests.web.jsmodule import module_page
from tests.web.test_verify_vectors import LISTS, RUN

FOLDER = Path(__file__).parents[1] / "vectors" / "bundle"
MUTANTS = [  # book, what is taken away, what stands there then
    ("signatures", 'if (!sound) refuse("signature", "A signature does not verify.");', ""),
    ("signatures", "return key.alg === one.alg ? key :", "return true ? key :"),
    ("signatures", "if (isAccepted && Object.keys(signers).some((kid) => this.revoked.has(kid))) {", "if (false) {"),
    ("shapes", "if (btoa(binary) !== text)", "if (false)"),
    ("proofs", "if (sn !== 0n || !sameBytes(r, root)) unproven();", ""),
    ("proofs", "if (link.seq !== seq + 1 || link.prev !== head) {", "if (false) {"),
    ("proofs", "if (b64url(await sha256(concat(salt, body))) !== commitment) {", "if (false) {"),
    ("policies", 'if (sound === false) unproven("A signature by a trusted key is wrong.");', "if (sound === false) continue;"),
    ("checkpoints", "if (checkpoint.origin !== origin) refuse", "if (false) refuse"),
    ("checkpoints", 'if (lines.length !== 4 || lines[3]) refuse("checkpoint"', 'if (false) refuse("checkpoint"'),
    ("shapes", 'if (!sameBytes(utf8(canonical(value)), data)) refuse("leaf_canonical"', 'if (false) refuse("leaf_canonical"'),
    ("shapes", "if (name in members) refuse", "if (false) refuse"),
    ("shapes", "if (crc32(content) !== entry.crc) broken();", ""),
    ("shapes", "let isWhole = sameBytes(utf8(canonical(told)), manifest)", "let isWhole = true"),
    ("loose_zips", "!headersAreOurs(view, data, entry)", "false"),
    ("whole", "if (pins.genesis === undefined) {", "if (false) {"),
    ("whole", "} else if (pins.genesis !== founding.event) {", "} else if (false) {"),
    ("policies", ">= group.threshold) met.add", ">= 1) met.add"),
    ("policies", "if (sound) verified.set(key, at > before ? at : before);", "verified.set(key, at);"),
    ("heads", "await verifyInclusion(BigInt(position), BigInt(n) + 1n,", "if (false) await verifyInclusion(0n, 0n,"),
    ("heads", "if (!before || before.hash !== record.hash || seq !== record.seq) {", "if (false) {"),
    ("heads", "(author !== this.service || Object.keys(signers).length > 1)", "false"),
    ("additions", "this.ledgerKeys = await Promise.all(texts", "await Promise.all(texts"),
    ("rotations", "const texts = own.map((key) => key.text);", "const texts = this.ledgerKeys.map((key) => key.text);"),
    ("rotations", "texts.includes(key.text))) {", "this.ledgerKeys.some((one) => one.text === key.text))) {"),
    ("rotations", "if (policy?.logs.length && !policy.logs.some", "if (false && !policy.logs.some"),
    ("rotations", "if (pinned.length && !texts.some", "if (false && !texts.some"),
    ("rotations", "if (pinned.length && !texts.some((text) =>", "if (pinned.length && !texts.every((text) =>"),
    ("rotations", "[...this.ledgerKeys, ...cosigners], ledger);",
     "[...this.ledgerKeys, ...cosigners, ...(policy?.logs ?? [])], ledger);"),
    ("rotations", "this.ledgerKeys = await Promise.all(texts.map(",
     "this.ledgerKeys = await Promise.all([...this.ledgerKeys.map((key) => key.text), ...texts].map("),
    ("rotations", "if (isAccepted && target?.proven)", "if (target?.proven)"),
    ("rotations", 'if (sound === false) unproven("A signature by a trusted key is wrong.");', "if (sound === false) continue;"),
    ("rotations", 'if (!own.length) refuse("note_signature"', 'if (own.length < keys.length) refuse("note_signature"'),
    ("rotations", "if (!isSigned) report.tell(", "if (false) report.tell("),
    ("absences", 'before ? wrong("The unit stands in the bundle.") :', ""),
    ("absences", "[report.latest, report.absent] = [size, isAbsent];", "report.latest = size;"),
    ("absences", 'if (record.next !== "" && !(record.next > unit)) wrong(', "if (isAbsent) wrong("),
    ("ledgers", "genesis: listed.genesis, origin: listed.origin", "genesis: listed.genesis"),
    ("ledgers", "genesis: listed.genesis, origin: listed.origin", "genesis: bundle.told.genesis, origin: listed.origin"),
    ("ledgers", "if (ledgers && !listed) {", "if (false) {"),
    ("ledgers", "(one) => one.origin === bundle.told.ledger", "() => true"),
    ("ledgers", "ledgersKey === undefined || genesis || origin) {", "ledgersKey === undefined || origin) {"),
    ("ledgers", "ledgersKey === undefined || genesis || origin) {", "ledgersKey === undefined || genesis) {"),
    ("ledgers", "if (ledgers === undefined || ledgersKey", "if (ledgersKey"),
    ("ledgers", "if (ledgers === undefined || ledgersKey === undefined ||", "if (ledgers === undefined ||"),
    ("ledgers", "if (ledgers === undefined && ledgersKey === undefined) return null;", "if (ledgers === undefined) return null;"),
    ("ledgers", "return await openLedgers(ledgers, ledgersKey);", "return await parseLedgers(parseNote(ledgers).text);"),
    ("ledgers", "const ledgers = await pinnedLedgers(pins);", "unpack(); const ledgers = await pinnedLedgers(pins);"),
]  # fmt: skip
LIST_MUTANTS = [  # the same for lists of ledgers by themselves
    ("notes", "await verifyNote(note, [key]);", ""),
    ("notes", 'if (key.type !== NOTE_KEY) refuse("note_signature"', 'if (false) refuse("note_signature"'),
    ("notes", "if (data.length > LIMITS.note) wrong", "if (false) wrong"),
    ("texts", "header !== LIST_HEADER || ", ""),
    ("texts", 'lines.pop() !== ""', "lines.pop() === null"),
    ("texts", "if (lines.length > LIMITS.ledgers)", "if (false)"),
    ("texts", "words.length < 3 || ", ""),
    ("texts", "words.length > 4 || ", ""),
    ("texts", '|| words.includes("")', ""),
    ("texts", "key.name !== origin || key.type", "key.type"),
    ("texts", "key.name !== origin || key.type !== NOTE_KEY", "key.name !== origin"),
    ("texts", "decodeB64url(genesis, HASH_BYTES);", ""),
    ("texts", "decodeB64url(genesis, HASH_BYTES);", "decodeB64url(genesis);"),
    ("texts", "if (url && !isAddress(url))", "if (false)"),
    ("texts", "url.length <= LIMITS.url && ", ""),
    ("texts", "/^https?:\\/\\/[a-z0-9]+", "/^[a-z]+:\\/\\/[a-z0-9]+"),
    ("texts", "[a-z0-9]+(?:[.-][a-z0-9]+)*(?::", "[^/]+(?::"),
    ("texts", "(?::[0-9]{1,5})?", "(?::[^/]*)?"),
    ("texts", "=:@-]+)*$/;", "=:@-]+)*\\/?$/;"),
    ("texts", "=:@-]+)*$/;", "=:@-]+)*/;"),
    ("texts", "order[n - 1] >= origin", "order[n - 1] > origin"),
    ("texts", "n > 0 && order[n - 1] >= origin", "false"),
    ("texts", "hex(utf8(one.origin))", "one.origin"),
    ("texts", "[ledgers.map((one) => one.genesis), ledgers.map((one) => hex(one.key.raw))]", "[ledgers.map((one) => one.genesis)]"),
    ("texts", "[ledgers.map((one) => one.genesis), ledgers.map((one) => hex(one.key.raw))]", "[ledgers.map((one) => hex(one.key.raw))]"),
]  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_chromium() as running:
        yield running


@pytest.mark.parametrize(("book", "old", "new"), MUTANTS, ids=[f"{book}: {old[:50]}" for book, old, _ in MUTANTS])
def test_a_check_that_is_taken_away_is_missed(browser: Browser, book: str, old: str, new: str):
    vectors = json.loads((FOLDER / f"{book}.json").read_text("utf-8"))
    page = module_page(browser, old=old, new=new)
    noticed = []
    for vector, said in zip(vectors, page.evaluate(RUN, vectors), strict=True):
        told = {**vector, **vector.get("browser", {})}
        codes = {reason["code"] for reason in said["reasons"]}
        if said["result"] != told["result"] or not set(told["reasons"]) <= codes:
            noticed.append(vector["name"])
    page.close()
    assert noticed
    assert len(noticed) < len(vectors), "the mutant does not run at all"


@pytest.mark.parametrize(("book", "old", "new"), LIST_MUTANTS, ids=[f"{b}: {old[:50]}" for b, old, _ in LIST_MUTANTS])
def test_a_check_of_lists_that_is_taken_away_is_missed(browser: Browser, book: str, old: str, new: str):
    vectors = json.loads((FOLDER / "lists" / f"{book}.json").read_text("utf-8"))
    page = module_page(browser, old=old, new=new)
    said = page.evaluate(LISTS, vectors)
    noticed = [v["name"] for v, one in zip(vectors, said, strict=True) if one["code"] != v["code"]]
    page.close()
    assert noticed
    assert len(noticed) < len(vectors), "the mutant does not run at all"
