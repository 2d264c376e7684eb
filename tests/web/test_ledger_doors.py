"""The ledger's doors, to the letter of c2sp.org/tlog-tiles: headers, widths, methods, spellings, compression, access."""

import gzip
import http.client
import shutil
import zlib

import pytest

from app.cli.phone import ids_commitment
from app.ledger.checkpoint import Checkpoint, open_checkpoint
from app.ledger.note import Note, VerifierKey
from app.ledger.tiles import TileCoordinate, TileNodes, bundle_prefix, parse_bundle, touched_bundles, touched_tiles
from app.ledger.tree import leaf_hash
from app.web.encoding import takes_gzip
from tests import small
from tests.web.live import living

TILE = "public, max-age=604800, immutable"
ROUNDS, EACH = 12, 25


@pytest.fixture(scope="module")
def grown(sqlite_template, tmp_path_factory):
    """A ledger of more than one tile, grown in rounds: one checkpoint each."""
    folder = tmp_path_factory.mktemp("grown")
    shutil.copyfile(sqlite_template, folder / "custody.db")
    with living(f"sqlite:///{folder / 'custody.db'}", folder / "data") as live:
        phone = live.house.enrol("OFF-STORE", small.KPU, "LOGISTIK", small.CITY)
        for _ in range(ROUNDS):
            told = [live.sighting(phone, "00000000000000000").jws for _ in range(EACH)]
            assert {each["status"] for each in live.batch(told).json()["results"]} == {201}
        yield live


@pytest.fixture
def base(grown):
    return f"/ledger/{grown.services.view.name}"


def head_of(grown):
    return Checkpoint.parse(Note.parse(grown.services.view.published[1]).text)


def raw(grown, method, target, headers=None):
    """Send a target exactly as it is spelled: clients tidy up what they are given."""
    connection = http.client.HTTPConnection("127.0.0.1", grown.http.base_url.port, timeout=30)
    try:
        connection.request(method, target, headers=headers or {})
        answer = connection.getresponse()
        return answer, answer.read()
    finally:
        connection.close()


# -- what is served ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "kind", "cache"),
    [
        ("checkpoint", "text/plain; charset=utf-8", "no-cache"),
        ("tile/0/000", "application/octet-stream", TILE),
        ("tile/0/001.p/1", "application/octet-stream", TILE),
        ("tile/1/000.p/1", "application/octet-stream", TILE),
        ("tile/entries/000", "application/octet-stream", TILE.replace("public", "private")),
        ("tile/entries/000.p/7", "application/octet-stream", TILE.replace("public", "private")),
    ],
)
def test_headers_are_those_of_a_tile_server(grown, base, path, kind, cache):
    for method in ("GET", "HEAD"):
        answer, body = raw(grown, method, f"{base}/{path}", grown.headers("auditor"))
        assert answer.status == 200
        assert answer.headers.get_all("content-type") == [kind]
        assert answer.headers.get_all("cache-control") == [cache]
        assert answer.headers.get_all("access-control-allow-origin") == ["*"]
        assert answer.headers["content-encoding"] is None
        if method == "GET":
            length = len(body)
        assert int(answer.headers["content-length"]) == length
        assert len(body) == (length if method == "GET" else 0)


def test_every_tree_that_was_ever_signed_is_served_whole(grown, base):
    """Each tile of each size is there, is a prefix of the newest, and leads to the root that was signed then."""
    with grown.db.read() as session:
        notes = session.exec_driver_sql("SELECT note FROM ledger_checkpoint ORDER BY size").scalars().all()
    key = grown.services.keys.ledger.verifier()
    checkpoints = [open_checkpoint(bytes(note), [key], grown.services.origin) for note in notes]
    assert checkpoints[-1] == head_of(grown)
    assert len(checkpoints) > ROUNDS
    assert checkpoints[0].size < 256 < checkpoints[-1].size
    for checkpoint in checkpoints:
        files = {}
        for place in touched_tiles(0, checkpoint.size):
            data = grown.http.get(f"{base}/{place.path()}").content
            assert len(data) == 32 * place.width
            files[place.level, place.n] = data
        assert TileNodes(lambda *at, files=files: files[at]).root(checkpoint.size) == checkpoint.root
        for place in touched_bundles(0, checkpoint.size):
            leaves = parse_bundle(grown.http.get(f"{base}/{place.path()}", headers=grown.headers("auditor")).content)
            assert b"".join(map(leaf_hash, leaves)) == files[0, place.n]


def test_every_width_up_to_the_newest_is_a_prefix(grown, base):
    size = head_of(grown).size
    full = grown.http.get(f"{base}/tile/0/000").content
    bundle = grown.http.get(f"{base}/tile/entries/000", headers=grown.headers("auditor")).content
    for width in (1, 2, 44, 128, 255):
        assert grown.http.get(f"{base}/tile/0/000.p/{width}").content == full[: 32 * width]
        part = grown.http.get(f"{base}/tile/entries/000.p/{width}", headers=grown.headers("auditor")).content
        assert part == bundle_prefix(bundle, width)
    edge = size - 256
    assert grown.http.get(f"{base}/tile/0/001.p/{edge}").status_code == 200
    assert grown.http.get(f"{base}/tile/0/001.p/{edge + 1}").status_code == 404
    assert grown.http.get(f"{base}/tile/0/001").status_code == 404


# -- what is not -------------------------------------------------------------------------------------------

NO_TILES = [
    "", "/", "0", "0/", "0/0", "0/00", "0/0000", "0/000/", "0//000", "/0/000", "0/000.p", "0/000.p/", "0/000.p/0",
    "0/000.p/01", "0/000.p/256", "0/000.p/+1", "0/001.p/255", "0/002", "1/000", "1/001", "2/000.p/1", "63/000", "64/000",
    "00/000", "-1/000", "0/x000/000", "0/x999/x999/999", "0/x000", "0/000%2Ep/1", "0%2F000", "x/000", "entries",
    "0/..%2F0/000", "0/../0/000", "0/%30%30%30", "0/000.P/1", "0/９", "0/000\x20",
]  # fmt: skip
NO_BUNDLES = sorted({each.partition("/")[2] for each in NO_TILES} - {"000", "000.p/1"})


@pytest.mark.parametrize("path", [*NO_TILES, *(f"entries/{each}" for each in NO_BUNDLES)])
def test_what_is_no_tile_or_not_there_is_exactly_404(grown, base, path):
    target = f"{base}/tile/{path}".replace("\x20", "%20").replace("９", "%EF%BC%99")
    answer, body = raw(grown, "GET", target, grown.headers("auditor"))
    assert answer.status == 404, body
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-encoding"] is None
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["location"] is None


@pytest.mark.parametrize(
    "spelled", ["%2Fcheckpoint", "/%63heckpoint", "//checkpoint", "/checkpoint/", "%2Ftile/0/000", "/tile%2F0/000"]
)
def test_an_address_has_one_spelling_and_no_redirect(grown, base, spelled):
    answer, _ = raw(grown, "GET", base + spelled, grown.headers("auditor"))
    assert answer.status == 404
    assert answer.headers["location"] is None
    assert raw(grown, "GET", f"/{base}/checkpoint")[0].status == 404


def test_another_ledgers_name_is_404(grown):
    for path in ("checkpoint", "tile/0/000", "tile/entries/000"):
        assert grown.http.get(f"/ledger/other/{path}").status_code == 404
    escaped = grown.services.view.name.replace("-", "%2D", 1)
    assert raw(grown, "GET", f"/ledger/{escaped}/checkpoint")[0].status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("path", ["checkpoint", "tile/0/000", "tile/entries/000", "tile/nonsense"])
def test_other_methods_are_405_and_named(grown, base, method, path):
    answer, _ = raw(grown, method, f"{base}/{path}", grown.headers("auditor"))
    assert answer.status == 405
    assert answer.headers["allow"] == "GET, HEAD"
    assert answer.headers["cache-control"] == "no-store"


# -- compression -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ([], False), ([""], False), (["gzip"], True), (["GZIP"], True), (["x-gzip"], True), (["identity"], False),
        (["*"], True), (["gzip;q=0"], False), (["gzip;q=0.000"], False), (["gzip; q=0.5"], True), (["br, deflate"], False),
        (["identity;q=1, gzip;q=0.5"], False), (["gzip;q=0.5, identity;q=0.4"], True), (["*;q=0"], False),
        (["*;q=0, gzip"], True), (["gzip;q=0, *"], False), (["br", "gzip"], True), (["gzip;q=2"], False),
        (["gzip;q=x"], False), (["gzip;level=9"], False), (["gzip;q=1;q=1"], False), (["identity;q=0"], False),
        (["identity;q=0, gzip;q=0.001"], True), ([",, gzip ,"], True), (["gzipped"], False),
    ],
)  # fmt: skip
def test_gzip_is_for_whoever_prefers_it(grown, base, fields, wanted):
    assert takes_gzip(fields) is wanted
    connection = http.client.HTTPConnection("127.0.0.1", grown.http.base_url.port, timeout=30)
    connection.putrequest("GET", f"{base}/tile/entries/000", skip_accept_encoding=True)
    for field in fields:
        connection.putheader("Accept-Encoding", field)
    for name, value in grown.headers("auditor").items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    assert (answer.headers["content-encoding"] == "gzip") is wanted
    assert answer.headers["vary"] == "Accept-Encoding"
    assert int(answer.headers["content-length"]) == len(body)
    assert len(parse_bundle(gzip.decompress(body) if wanted else body)) == 256


def test_nothing_but_a_bundle_is_ever_compressed(grown, base):
    takes = {"Accept-Encoding": "gzip", **grown.headers("auditor")}
    for path in ("checkpoint", "tile/0/000", "tile/0/009", "tile/entries/009", "tile/entries/x"):
        answer, body = raw(grown, "GET", f"{base}/{path}", takes)
        assert answer.headers["content-encoding"] is None
        assert int(answer.headers["content-length"]) == len(body)
    answer, whole = raw(grown, "GET", f"{base}/tile/entries/000", takes)
    head, nothing = raw(grown, "HEAD", f"{base}/tile/entries/000", takes)
    assert (head.headers["content-length"], nothing) == (str(len(whole)), b"")
    assert len(zlib.decompress(whole, wbits=31)) > 2 * len(whole)


# -- who may read what was signed --------------------------------------------------------------------------


def election(**changes):
    return {**small.policy()["elections"][0], **changes}


def test_entries_are_auditors_until_every_election_of_the_policy_is_published(sqlite_template, tmp_path):
    shutil.copyfile(sqlite_template, tmp_path / "custody.db")
    with living(f"sqlite:///{tmp_path / 'custody.db'}", tmp_path / "data") as live:
        path = f"/ledger/{live.services.view.name}/tile/entries/000.p/1"

        def statuses():
            return [live.http.get(path).status_code, *(live.get(path, r).status_code for r in ("field", "auditor"))]

        soon, later = "2024-10-20T09:00:00+08:00", "2024-10-20T11:00:00+08:00"
        second = {**election(published_from=later), "id": "PILKADA-2"}
        assert statuses() == [401, 403, 200]
        assert live.http.get(f"/ledger/{live.services.view.name}/tile/entries/00").status_code == 404
        assert "private" in live.get(path, "auditor").headers["cache-control"]
        live.house.tick(120)  # 10:00 and some
        live.house.put_policy(small.policy(elections=[election(published_from=soon), second]))
        assert statuses() == [401, 403, 200], "one election is not published yet"
        live.house.put_policy(
            small.policy(elections=[election(published_from=soon), {**election(), "id": "PILKADA-2"}])
        )
        live.house.tick(120)
        live.house.put_policy(
            small.policy(elections=[election(published_from=soon), {**election(), "id": "PILKADA-2"}])
        )
        assert statuses() == [401, 403, 200], "one election never is"
        live.house.put_policy(small.policy(elections=[election(published_from=soon), second]))
        assert statuses() == [200, 200, 200]
        assert live.http.get(path).headers["cache-control"] == TILE
        assert live.http.get(path, headers={"Authorization": "Bearer nonsense"}).status_code == 200
        assert live.http.get(path.replace(".p/1", ".p/255")).status_code == 404


def test_a_list_of_ids_is_for_who_sees_the_whole_ledger(grown):
    phone = grown.house.enrol("OFF-LABELS", small.KPU, "LOGISTIK", small.CITY)
    ids, _ = grown.issue(phone, 3)
    path = f"/v1/documents/{ids_commitment(ids)}"
    assert grown.http.get(path).status_code == 401
    for role in ("field", "operator", "registrar", "integrator"):
        assert grown.get(path, role).status_code == 404
    assert grown.get(path, "auditor", place=small.CITY).status_code == 404
    for role in ("auditor", "administrator"):
        found = grown.get(path, role)
        assert found.content == "".join(f"{unit}\n" for unit in ids).encode()
        assert found.headers["content-type"] == "text/plain; charset=utf-8"


def test_the_ledgers_key_is_the_one_that_v1_names(grown):
    told = grown.http.get("/v1/ledger").json()
    note = grown.http.get(told["checkpoint_url"]).content
    assert open_checkpoint(note, [VerifierKey.parse(told["ledger_key"])], told["origin"]) == head_of(grown)
    assert TileCoordinate(0, 0).path() == "tile/0/000"
