"""The ledger in public: what it is, its checkpoint and its tiles, as c2sp.org/tlog-tiles has them.

Checkpoint and hash tiles are everybody's. Entry bundles hold what officers signed: they are an auditor's until the
policy in force says that its elections are published, then everybody's. Bundles are made of the leaves when they are
asked for: there is no second copy that could differ. Every width that a tile ever had is a prefix of its one row, so
the partial tiles of every checkpoint that was ever signed stay available.

A tile has one spelling. An escaped slash, a doubled one or a wider partial is no tile, which is exactly 404: clients
ask for the partial tile, then for the full one, and take any other status for a failure.
"""

import gzip
from dataclasses import dataclass

from anyio import to_thread
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.custody.lookup import meta_of
from app.errors import MissingError
from app.exchange.witnessing import push
from app.ledger.append import read_head
from app.ledger.tiles import TILE_WIDTH, BundleCoordinate, TileCoordinate, bundle_entry, parse_path, prefix, tile_width
from app.ledger.witnessed import cosigned_note, newest_witnessed, standing
from app.web.answers import Json, read_body
from app.web.auth import allow, public
from app.web.declare import Says, Takes, declare, ref
from app.web.encoding import takes_gzip
from app.web.publication import UntilPublished
from app.web.services import Services, services_of

router = APIRouter()
FOR_EVER = "max-age=604800, immutable"
"""Tiles never change; a week is what tile servers of others say, and what a mistake of ours would last."""
GZIP_LEVEL = 6
NOTE = "text/plain; charset=utf-8"
_BYTES = {"type": "string", "format": "binary"}
_OPEN = public("Whoever wants to may watch this ledger grow.")


@dataclass(frozen=True, slots=True)
class _Entries(UntilPublished):
    """The same for bundles; a path that no tile has is missing, whoever asks."""

    def __call__(self, request: Request) -> None:
        """Look at the path before the caller."""
        _bundle_place(request)
        UntilPublished.__call__(self, request)


@router.get("/v1/ledger", **declare(_OPEN, {200: Says("What this ledger is.", ref("Ledger"))}, tag="ledger"))
def read_ledger(request: Request) -> Response:
    """Say which ledger this is, and what a verifier pins."""
    services = services_of(request)
    with services.db.read() as session:
        meta = meta_of(session, services.ledger_id)
        head = read_head(session, services.view.name)
        witnesses = standing(session, services.ledger_id, services.trust)
    size = services.view.published[0]
    keys = list(meta.ledger_keys) if meta else []
    return Json({
        "origin": services.origin, "name": services.view.name, "demo": services.demo, "genesis": services.genesis,
        "ledger_key": keys[0] if keys else services.keys.ledger.verifier().to_text(), "ledger_keys": keys, "size": size,
        "frozen": head.frozen, **witnesses,
        "policy": meta.policy if meta else None, "plans": dict(meta.plans) if meta else {},
        "closed": meta is not None and meta.closed_index is not None,
        "checkpoint_url": f"/ledger/{services.view.name}/checkpoint",
    })  # fmt: skip


@router.get(
    "/ledger/{name}/checkpoint",
    **declare(
        _OPEN,
        {
            200: Says(
                "The newest signed checkpoint, with the cosignatures it has so far.", {"type": "string"}, "text/plain"
            )
        },
        problems=(404,),
        tag="ledger",
    ),
)
def checkpoint(request: Request, name: str) -> Response:
    """Return the newest checkpoint that was shown, committed and noted outside the database, with its cosignatures."""
    services = _of(request, name)
    size, note = services.view.published
    if services.trust is not None and size:
        with services.db.read() as session:
            note = cosigned_note(session, services.ledger_id, size)
    return Response(note, 200, {"Cache-Control": "no-cache"}, media_type=NOTE)


@router.get(
    "/ledger/{name}/checkpoint.witnessed",
    **declare(
        _OPEN,
        {
            200: Says(
                "The newest checkpoint that the policy's witnesses have cosigned.", {"type": "string"}, "text/plain"
            )
        },
        problems=(404,),
        tag="ledger",
    ),
)
def checkpoint_witnessed(request: Request, name: str) -> Response:
    """Return the newest checkpoint that meets the trust policy, with its cosignatures."""
    services = _of(request, name)
    with services.db.read() as session:
        found = newest_witnessed(session, services.ledger_id)
        if found is None:
            raise MissingError("No checkpoint of this ledger has met its policy of witnesses yet.")
        note = cosigned_note(session, services.ledger_id, found[0])
    return Response(note, 200, {"Cache-Control": "no-cache"}, media_type=NOTE)


@router.get(
    "/ledger/{name}/policy",
    **declare(
        _OPEN,
        {
            200: Says(
                "The trust policy that this ledger recommends, c2sp.org/tlog-policy.", {"type": "string"}, "text/plain"
            )
        },
        problems=(404,),
        tag="ledger",
    ),
)
def trust_policy(request: Request, name: str) -> Response:
    """Return the policy of witnesses; whoever verifies compares it with one from a source that he trusts."""
    services = _of(request, name)
    if services.trust is None:
        raise MissingError("This ledger has no witnesses.")
    return Response(services.trust.source, 200, {"Cache-Control": "no-cache"}, media_type=NOTE)


@router.post(
    "/ledger/{name}/cosignatures",
    **declare(
        public("A cosignature proves itself: only those by witnesses of the policy are kept."),
        {204: Says("Kept.")},
        problems=(401, 404),
        takes=Takes({"type": "string"}, "text/plain"),
        tag="ledger",
    ),
)
async def cosignatures(request: Request, name: str) -> Response:
    """Take the cosignatures of a witness that nobody can reach: a checkpoint's text with its signature lines."""
    services = _of(request, name)
    body = await read_body(request, "text/plain")
    if services.trust is None:
        raise MissingError("This ledger has no witnesses.")
    await to_thread.run_sync(push, services.db, services.ledger_id, services.trust, body, services.now_ms())
    return Response(b"", 204)


@router.get(
    "/ledger/{name}/tile/entries/{path:path}",
    **declare(
        _Entries(allow("auditor", "administrator").roles),
        {200: Says("An entry bundle.", _BYTES, "application/octet-stream")},
        problems=(404,),
        headers={"Accept-Encoding": "`gzip` for a compressed bundle."},
        tag="ledger",
    ),
)
def bundle(request: Request, name: str, path: str) -> Response:
    """Return up to 256 leaves, each behind its length, compressed for whoever takes that."""
    del path
    services = _of(request, name)
    place = _bundle_place(request)
    if place.width > tile_width(0, place.n, services.view.published[0]):
        raise MissingError("This entry bundle has not grown to that width.")
    first = place.n * TILE_WIDTH
    with services.db.read() as session:
        rows = services.view.reader.leaves(session, first, first + place.width)
    data = b"".join(bundle_entry(leaf) for _, leaf, _ in rows)
    scope = "public" if request.state.published else "private"
    headers = {"Cache-Control": f"{scope}, {FOR_EVER}", "Vary": "Accept-Encoding"}
    if takes_gzip(request.headers.getlist("accept-encoding")):
        data = gzip.compress(data, GZIP_LEVEL, mtime=0)
        headers["Content-Encoding"] = "gzip"
    return Response(data, 200, headers, "application/octet-stream")


@router.get(
    "/ledger/{name}/tile/{path:path}",
    **declare(
        _OPEN,
        {200: Says("A hash tile.", _BYTES, "application/octet-stream")},
        problems=(404,),
        tag="ledger",
    ),
)
def tile(request: Request, name: str, path: str) -> Response:
    """Return a hash tile at the width that the path asks for."""
    services = _of(request, name)
    place = parse_path(f"tile/{path}")
    if not isinstance(place, TileCoordinate):
        raise MissingError("There is no such tile.", code="tile_path")
    if place.width > tile_width(place.level, place.n, services.view.published[0]):
        raise MissingError("This tile has not grown to that width.")
    with services.db.read() as session:
        data = services.view.reader.tile(session, place.level, place.n)
    return Response(
        prefix(data, place.width), 200, {"Cache-Control": f"public, {FOR_EVER}"}, "application/octet-stream"
    )


def _bundle_place(request: Request) -> BundleCoordinate:
    _of(request, request.path_params["name"])
    place = parse_path(f"tile/entries/{request.path_params['path']}")
    if not isinstance(place, BundleCoordinate):
        raise MissingError("There is no such entry bundle.", code="tile_path")
    return place


def _of(request: Request, name: str) -> Services:
    """Return the services of the ledger that an address names, in the one spelling that it has.

    Raises:
        MissingError: `no_ledger`, another ledger; `tile_path`, an address with escapes: it would be two addresses
            of one file to every cache on the way.
    """
    if b"%" in request.scope.get("raw_path", b""):
        raise MissingError("Addresses of a ledger hold no escapes.", code="tile_path")
    services = services_of(request)
    if name != services.view.name:
        raise MissingError("There is no such ledger here.", code="no_ledger")
    return services
