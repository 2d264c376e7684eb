"""The ledger in public: what it is, its checkpoint and its tiles, as c2sp.org/tlog-tiles has them.

Checkpoint and hash tiles are everybody's; entry bundles hold what officers signed and are an auditor's. Bundles
are made of the leaves when they are asked for: there is no second copy that could differ.
"""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.custody.lookup import meta_of
from app.errors import MissingError
from app.ledger.tiles import TILE_WIDTH, BundleCoordinate, TileCoordinate, bundle_entry, parse_path, prefix, tile_width
from app.web.answers import IMMUTABLE, Json
from app.web.auth import allow, public
from app.web.declare import Says, declare, ref
from app.web.services import Services, services_of

router = APIRouter()
_BYTES = {"type": "string", "format": "binary"}
_OPEN = public("Whoever wants to may watch this ledger grow.")


@router.get("/v1/ledger", **declare(_OPEN, {200: Says("What this ledger is.", ref("Ledger"))}, tag="ledger"))
def read_ledger(request: Request) -> Response:
    """Say which ledger this is, and what a verifier pins."""
    services = services_of(request)
    with services.db.read() as session:
        meta = meta_of(session, services.ledger_id)
    size = services.view.published[0]
    return Json({
        "origin": services.origin, "name": services.view.name, "demo": services.demo, "genesis": services.genesis,
        "ledger_key": services.keys.ledger.verifier().to_text(), "size": size,
        "policy": meta.policy if meta else None, "plans": dict(meta.plans) if meta else {},
        "closed": meta is not None and meta.closed_index is not None,
        "checkpoint_url": f"/ledger/{services.view.name}/checkpoint",
    })  # fmt: skip


@router.get(
    "/ledger/{name}/checkpoint",
    **declare(
        _OPEN,
        {200: Says("The newest signed checkpoint.", {"type": "string"}, "text/plain")},
        problems=(404,),
        tag="ledger",
    ),
)
async def checkpoint(request: Request, name: str) -> Response:
    """Return the newest checkpoint that was shown: committed, and noted outside the database."""
    services = _of(request, name)
    headers = {"Cache-Control": "no-cache"}
    return Response(services.view.published[1], 200, headers, media_type="text/plain; charset=utf-8")


@router.get(
    "/ledger/{name}/tile/entries/{path:path}",
    **declare(
        allow("auditor", "administrator"),
        {200: Says("An entry bundle.", _BYTES, "application/octet-stream")},
        problems=(404,),
        tag="ledger",
    ),
)
def bundle(request: Request, name: str, path: str) -> Response:
    """Return up to 256 leaves, each behind its length."""
    services = _of(request, name)
    place = parse_path(f"tile/entries/{path}")
    assert isinstance(place, BundleCoordinate)  # noqa: S101 - what that path parses to
    first = place.n * TILE_WIDTH
    if place.width > tile_width(0, place.n, services.view.published[0]):
        raise MissingError("This entry bundle has not grown to that width.")
    with services.db.read() as session:
        rows = services.view.reader.leaves(session, first, first + place.width)
    data = b"".join(bundle_entry(leaf) for _, leaf, _ in rows)
    return Response(data, 200, {"Cache-Control": IMMUTABLE.replace("public", "private")}, "application/octet-stream")


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
        raise MissingError("There is no such tile.")
    if place.width > tile_width(place.level, place.n, services.view.published[0]):
        raise MissingError("This tile has not grown to that width.")
    with services.db.read() as session:
        data = services.view.reader.tile(session, place.level, place.n)
    return Response(prefix(data, place.width), 200, {"Cache-Control": IMMUTABLE}, "application/octet-stream")


def _of(request: Request, name: str) -> Services:
    services = services_of(request)
    if name != services.view.name:
        raise MissingError("There is no such ledger here.", code="no_ledger")
    return services
