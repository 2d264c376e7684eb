"""Documents, labels, tiles, pages, lists, headers and the description of all of them."""

import io

import pypdfium2
import pytest
import zxingcpp
from PIL import Image

from app.canon import b64url_encode
from app.cli.phone import ids_commitment
from app.ids import new_unit_id
from app.ledger.checkpoint import open_checkpoint
from app.ledger.note import VerifierKey
from app.ledger.tiles import parse_bundle
from app.ledger.tree import leaf_hash, root_of
from tests import small

# -- documents -------------------------------------------------------------------------------------------


def test_a_document_is_kept_as_received(live):
    data = (
        b"\n  "
        + str(small.policy(title="Lain")).replace("'", '"').replace("None", "null").replace("True", "true").encode()
    )
    first, again = live.post("/v1/documents", data, "operator"), live.post("/v1/documents", data, "operator")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    found = live.get(f"/v1/documents/{first.json()['hash']}", "field")
    assert found.content == data
    assert found.headers["etag"] == f'"{first.json()["hash"]}"'
    assert "immutable" in found.headers["cache-control"]
    headers = {**live.headers("field"), "If-None-Match": found.headers["etag"]}
    assert live.http.get(found.request.url.path, headers=headers).status_code == 304


def test_a_document_that_contradicts_itself_is_refused(live):
    assert live.post("/v1/documents", {"kind": "policy"}, "operator").json()["code"] == "document_shape"
    double = small.plan(stations=[small.station(small.TPS1, 1)] * 2)
    assert live.post("/v1/documents", double, "operator").json()["code"] == "document_inconsistent"
    assert live.get("/v1/documents/" + "A" * 43, "field").status_code == 404


# -- labels ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def block(live, officer):
    return live.issue(officer, 30)


def test_a_block_is_listed_in_pages(live, block):
    ids, name = block
    found, answer = [], live.get(f"/v1/labels/{name}", "operator", limit=12)
    while True:
        found += answer.json()["items"]
        following = answer.links.get("next")
        if following is None:
            break
        answer = live.http.get(following["url"], headers=live.headers("operator"))
    assert [one["label"] for one in found] == ids
    assert {one["status"] for one in found} == {"blank"}


def test_sheets_decode_again(live, block):
    ids, name = block
    answer = live.get(f"/v1/labels/{name}/sheet.pdf", "operator")
    assert answer.headers["content-type"] == "application/pdf"
    assert int(answer.headers["content-length"]) == len(answer.content)
    codes = []
    with pypdfium2.PdfDocument(answer.content) as document:
        assert len(document) == 2
        for page in document:
            image = page.render(scale=150 / 72).to_pil().convert("L")
            codes += [one.text for one in zxingcpp.read_barcodes(image)]
    assert sorted(code.rsplit("/", 1)[1] for code in codes) == ids
    part = live.get(f"/v1/labels/{name}/sheet.pdf", "operator", first=25, count=3, format="A4_L7159")
    with pypdfium2.PdfDocument(part.content) as document:
        assert len(document) == 1
    assert live.get(f"/v1/labels/{name}/sheet.pdf", "operator", format="A0").json()["code"] == "sheet_format"
    assert live.get(f"/v1/labels/{name}/sheet.pdf", "operator", first=31).json()["code"] == "no_labels"


def test_a_list_that_the_event_does_not_commit_to_is_refused(live, officer):
    ids = [new_unit_id(bytes([n]) * 10) for n in range(3)]
    signed = officer.sign("labels.issue", {"count": 3, "ids_hash": ids_commitment(ids)}, at_ms=live.house.tick())
    post = lambda body: live.post("/v1/labels", body, "operator").json()["code"]  # noqa: E731
    assert post({"ids": ids[:2], "event": signed.jws}) == "ids_mismatch"
    assert post({"ids": ["x"], "event": signed.jws}) == "label_checksum"
    assert post({"ids": ids}) == "body_shape"
    other = officer.sign("sighting", {}, at_ms=live.house.tick(), capacity="witness")
    assert post({"ids": ids, "event": other.jws}) == "ids_mismatch"


def test_a_label_picture_decodes_again(live, officer):
    box = live.boxes(officer, [small.TPS1])[0]
    drawn = live.get(f"/v1/units/{box}/label.svg", "operator")
    assert drawn.headers["content-type"].startswith("image/svg+xml")
    assert b"kotak suara" in drawn.content.lower()
    painted = live.get(f"/v1/units/{box}/label.png", "operator", scale=6)
    [code] = zxingcpp.read_barcodes(Image.open(io.BytesIO(painted.content)))
    assert code.text == f"HTTPS://CUSTODY.ID/U/{box}"


# -- the ledger in public --------------------------------------------------------------------------------


def test_a_stranger_verifies_the_ledger_from_tiles(live, officer):
    told = live.http.get("/v1/ledger").json()
    base = f"/ledger/{told['name']}"
    note = live.http.get(f"{base}/checkpoint")
    assert note.headers["content-type"] == "text/plain; charset=utf-8"
    assert note.headers["access-control-allow-origin"] == "*"
    checkpoint = open_checkpoint(note.content, [VerifierKey.parse(told["ledger_key"])], told["origin"])
    size, hashes, leaves = checkpoint.size, b"", []
    for n in range(-(-size // 256)):
        width = min(256, size - 256 * n)
        name = f"{n:03d}" if width == 256 else f"{n:03d}.p/{width}"
        tile = live.http.get(f"{base}/tile/0/{name}")
        assert "immutable" in tile.headers["cache-control"]
        hashes += tile.content
        bundle = live.http.get(f"{base}/tile/entries/{name}", headers=live.headers("auditor"))
        leaves += parse_bundle(bundle.content)
    split = [hashes[start : start + 32] for start in range(0, len(hashes), 32)]
    assert [leaf_hash(leaf) for leaf in leaves] == split
    assert root_of(split) == checkpoint.root if size < 256 else True
    assert b64url_encode(leaf_hash(leaves[0]))


@pytest.mark.parametrize(
    "path",
    ["0/001", "0/000.p/0", "0/000.p/256", "0/000.p/999", "9/000", "0/0", "x/000", "0/../0/000", "64/000", "0/999", ""],
)
def test_a_tile_that_is_not_there_is_404(lite, path):
    assert lite.http.get(f"/ledger/pilkada2024-64/tile/{path}").status_code == 404
    assert lite.http.get("/ledger/other/checkpoint").status_code == 404


def test_entries_are_not_for_everybody(lite):
    assert lite.http.get("/ledger/pilkada2024-64/tile/entries/000.p/1").status_code == 401
    assert lite.get("/ledger/pilkada2024-64/tile/entries/000.p/1", "operator").status_code == 403
    assert lite.get("/ledger/pilkada2024-64/tile/entries/000.p/1", "auditor").status_code == 200


# -- pages -----------------------------------------------------------------------------------------------


def test_a_camera_learns_that_a_label_exists_and_no_more(live, officer):
    box = live.boxes(officer, [small.TPS1])[0]
    for path in (f"/u/{box}", f"/U/{box}", f"/u/{box.lower()}", f"/u/{box[:4]}-{box[4:]}"):
        page = live.http.get(path)
        assert page.status_code == 200
        assert "text/html" in page.headers["content-type"]
        for told in (small.KPU, small.WAREHOUSE, small.TPS1, "kotak", "BOX_TPS", "OFF-"):
            assert told not in page.text
    blank = live.issue(officer, 1)[0][0]
    assert "belum dipasang" in live.http.get(f"/u/{blank}").text
    assert live.http.get(f"/u/{new_unit_id(b'0123456789')}").status_code == 404
    assert live.http.get(f"/u/{box[:-1]}{'0' if box[-1] != '0' else '1'}").status_code == 422
    assert "<script>" not in live.http.get("/u/<script>alert(1)</script>").text


def test_pages_carry_strict_policies(lite):
    for path in ("/", "/u/x", "/static/page.css", "/v1/ledger", "/nowhere"):
        headers = lite.http.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "max-age=63072000" in headers["strict-transport-security"]
        assert "cache-control" in headers
        assert "server" not in headers
    assert lite.http.get("/static/page.css").headers["content-type"].startswith("text/css")
    assert lite.http.get("/static/..%2fsite.py").status_code == 404


# -- operations ------------------------------------------------------------------------------------------


def test_health_readiness_and_metrics(live, officer):
    assert live.http.get("/healthz").json() == {"status": "alive"}
    assert live.http.get("/readyz").json() == {"status": "ready", "failing": []}
    live.boxes(officer, [small.TPS1])
    text = live.http.get("/metrics").text
    assert 'custody_events_total{code="",result="accepted"}' in text
    assert 'route="/v1/events"' in text
    size = live.http.get("/v1/ledger").json()["size"]
    assert f"custody_tree_size {float(size)}" in text
    assert "custody_writer_healthy 1.0" in text


# -- lists -----------------------------------------------------------------------------------------------


def pages(live, path, *access, **query):
    answer = live.get(path, *access, **query)
    while True:
        assert answer.status_code == 200, answer.text
        yield answer
        following = answer.links.get("next")
        if following is None:
            return
        answer = live.http.get(following["url"], headers=live.headers(*access))


def test_pages_join_to_the_whole(live, officer):
    live.boxes(officer, [small.TPS1, small.TPS2])
    whole = [one["index"] for page in pages(live, "/v1/events", "auditor", limit=200) for one in page.json()["items"]]
    parts = [one["index"] for page in pages(live, "/v1/events", "auditor", limit=2) for one in page.json()["items"]]
    assert parts == whole == sorted(whole)
    assert len(whole) > 4


def test_a_cursor_is_for_one_caller_and_one_question(live, officer):
    live.boxes(officer, [small.TPS1, small.TPS2])
    cursor = live.get("/v1/events", "auditor", limit=2).json()["next"]
    assert live.get("/v1/events", "auditor", limit=5, cursor=cursor).status_code == 200
    for path, role, query in (
        ("/v1/events", "operator", {}), ("/v1/events", "auditor", {"type": "sighting"}), ("/v1/handovers", "auditor", {}),
    ):  # fmt: skip
        answer = live.get(path, role, cursor=cursor, **query)
        assert (answer.status_code, answer.json()["code"]) == (400, "cursor")
    bent = cursor[:-1] + ("A" if cursor[-1] != "A" else "B")
    assert live.get("/v1/events", "auditor", cursor=bent).status_code == 400


def test_a_unit_has_its_chain_head_as_etag(live, officer):
    box = live.boxes(officer, [small.TPS1])[0]
    told = live.get(f"/v1/units/{box}", "field")
    assert told.headers["etag"] == f'"{told.json()["chain"]["head"]}"'
    story = live.get(f"/v1/units/{box}/history", "field").json()
    assert [row["type"] for row in story["items"]] == ["unit.commission"]
    assert live.get(f"/v1/units/{box}/history", "field", size=1).json()["items"] == []


def test_the_auditors_questions_are_answered(live, officer):
    box = live.boxes(officer, [small.TPS1])[0]
    for path in ("/v1/handovers", "/v1/discrepancies", "/v1/reconciliation", f"/v1/places/{small.WAREHOUSE}/stock"):
        answer = live.get(path, "auditor")
        assert answer.status_code == 200, answer.text
        assert answer.headers["cache-control"] == "no-store"
    bundle = live.get(f"/v1/units/{box}/evidence", "auditor")
    assert bundle.content[:2] == b"PK"
    event = live.get("/v1/events", "auditor", unit=box).json()["items"][-1]
    assert live.get(f"/v1/events/{event['event_id']}", "auditor").json()["receipt"]["event"] == event["event"]


def test_of_an_election_that_is_not_there_nobody_is_told_that_nothing_is_out(live):
    known = live.get("/v1/outstanding", "auditor", election=small.ELECTION)
    assert (known.status_code, known.json()["election"]) == (200, small.ELECTION)
    for election in ("PILKADA-1955", "", "<b>Pilkada</b>"):
        answer = live.get("/v1/outstanding", "auditor", election=election)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert not election or election not in answer.text


# -- the description -------------------------------------------------------------------------------------


def test_the_description_is_complete(lite):
    schema = lite.http.get("/openapi.json").json()
    assert schema["openapi"].startswith("3.1")
    known = set(schema["components"]["schemas"])
    ids = set()
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            where = f"{method} {path}"
            assert operation["operationId"] not in ids
            ids.add(operation["operationId"])
            assert operation["summary"], where
            assert operation["x-access"], where
            assert set(operation["responses"]) >= {"500", "503"} or path == "/readyz", where
            for status, answer in operation["responses"].items():
                if int(status) >= 400 and path not in {"/readyz", "/oauth/token", "/u/{label}"}:
                    assert list(answer["content"]) == ["application/problem+json"], where
            if operation["x-access"].get("roles"):
                assert operation["security"] == [{"bearer": []}]
                assert {"401", "403"} <= set(operation["responses"])
    text = str(schema)
    named = {part.split("'")[0] for part in text.split("#/components/schemas/")[1:]}
    assert named <= known
    assert "bearer" in schema["components"]["securitySchemes"]


def test_a_figure_says_where_all_of_its_events_are(live, officer):
    live.boxes(officer, [small.TPS1])
    told = live.get("/v1/reconciliation", "auditor", events=0).json()
    figures = [figure for contest in told["contests"] for figure in contest["figures"]]
    more = [figure for figure in figures if figure["next"] is not None]
    assert all((figure["next"] is not None) == (figure["count"] > 0) for figure in figures)
    assert more
    for figure in more:
        all_of_it = live.http.get(figure["next"], headers=live.headers("auditor"))
        assert all_of_it.status_code == 200
        assert (all_of_it.json()["figure"], all_of_it.json()["count"]) == (figure["figure"], figure["count"])
