"""No changed byte passes in the browser: of a bundle as a file, and of its members under a manifest made anew.

A bundle with nothing compressed has one spelling, so all of its bytes are tried. Deflate has many spellings for the
same content: a changed byte of a compressed bundle may mean the very same files, and then only may it pass.
"""

import io
import json
import random
import zipfile
from base64 import b64decode, b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser import running_chromium
from tests.web.jsmodule import module_page

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "bundle" / "whole.json").read_text("utf-8"))
PLAIN = next(v for v in VECTORS if v["name"] == "a lot with an opened private content")
GENESIS = PLAIN["pins"]["genesis"]

pytestmark = pytest.mark.slow

BYTES = """async ([zip, genesis, places]) => {
    const good = fromBase64(zip), passed = [];
    const told = async (bytes) => (await verify.verifyBundle(bytes, { genesis })).result;
    for (const [at, change] of places) {
        const bent = good.slice();
        bent[at] ^= change;
        if (await told(bent) !== "FAIL") passed.push([at, change]);
    }
    return [await told(good), passed];
}"""

MEMBERS = """async ([files, genesis, places]) => {
    const unpacked = new Map(Object.entries(files).map(([name, text]) => [name, fromBase64(text)]));
    const manifest = verify.parseJson(unpacked.get("manifest.json"), 1e6, 2);
    const hashes = { ...manifest.files };
    const told = async (name, bytes) => {
        const all = new Map(unpacked);
        all.set(name, bytes);
        manifest.files = { ...hashes, [name]: verify.b64url(await verify.sha256(bytes)) };
        all.set("manifest.json", verify.utf8(verify.canonical(manifest)));
        return (await verify.verifyFiles(all, { genesis })).result;
    };
    const passed = [];
    for (const [name, at, change] of places) {
        const bent = unpacked.get(name).slice();
        bent[at] ^= change;
        if (await told(name, bent) !== "FAIL") passed.push([name, at, change]);
    }
    return [await told("checkpoint", unpacked.get("checkpoint")), passed];
}"""


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with running_chromium() as browser:
        yield module_page(browser)


def members(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_no_changed_byte_of_a_bundle_passes(page: Page):
    """Every byte of the file: headers, names, contents, directory."""
    rng = random.Random(1)
    places = [(at, rng.randrange(1, 256)) for at in range(len(b64decode(PLAIN["zip"])))]
    assert len(places) > 20_000
    assert page.evaluate(BYTES, [PLAIN["zip"], GENESIS, places]) == ["PASS", []]


def test_no_changed_byte_passes_when_the_manifest_is_made_anew(page: Page):
    """Every byte of the checkpoint, of a proof and of the ES256-signed leaf; some of every other file."""
    files = members(b64decode(PLAIN["zip"]))
    rng = random.Random(3)
    leaf = next(name for name, data in files.items() if name.startswith("leaves/") and data.count(b'"protected"') == 2)
    whole = {"checkpoint", leaf, leaf.replace("leaves/", "proofs/").replace(".json", ".tlog-proof")}
    places: list[Any] = []
    for name, data in files.items():
        if name != "manifest.json":
            some = range(len(data)) if name in whole else rng.sample(range(len(data)), min(len(data), 25))
            places += [(name, at, rng.randrange(1, 256)) for at in some]
    told = {name: b64encode(data).decode() for name, data in files.items()}
    assert len(places) > 2000
    assert page.evaluate(MEMBERS, [told, GENESIS, places]) == ["PASS", []]
