"""Pages for citizens: what a label is when a camera opens it, the front door, and the verifier of evidence.

`GET /u/<id>` says that the label exists and in which state, no more: not what it is on, nor where that is.
"""

from pathlib import Path

from fastapi import APIRouter
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import Response

from app.errors import MalformedError, MissingError
from app.ids import group4, parse_unit_id
from app.units import records as unit_records
from app.units.state import Label
from app.web.auth import public
from app.web.declare import Says, declare
from app.web.services import Services, services_of

router = APIRouter()
HERE = Path(__file__).resolve().parent
PAGES = Environment(loader=FileSystemLoader(HERE / "pages"), autoescape=True, undefined=StrictUndefined)
STATIC = {
    "page.css": "text/css; charset=utf-8",
    "desk.css": "text/css; charset=utf-8",
    "verify.css": "text/css; charset=utf-8",
    "verify.js": "text/javascript; charset=utf-8",
    "verify-page.js": "text/javascript; charset=utf-8",
}
_HTML = {"type": "string"}

_STATES = {
    "blank": ("Label terdaftar", "Label ini diterbitkan dan belum dipasang pada barang."),
    "bound": ("Label terdaftar", "Label ini sah dan terpasang pada barang logistik pemilu."),
    "retired": ("Label tidak berlaku", "Label ini sudah ditarik. Bila terpasang pada barang, laporkan kepada Bawaslu."),
}
_UNKNOWN = ("Label tidak dikenal", "Tidak ada label bernomor ini. Bila terpasang pada barang, laporkan kepada Bawaslu.")
_MISREAD = ("Label salah terbaca", "Nomor ini bukan nomor label. Periksa kembali setiap huruf dan angka.")

_CARD = declare(
    public("Whoever holds a camera may ask whether a label exists."),
    {200: Says("The label exists; its state.", _HTML, "text/html")},
    tag="pages",
)
_CARD["responses"] |= {
    status: Says(what, _HTML, "text/html").content() for status, what in ((404, "No such label."), (422, "Misread."))
}


@router.get("/u/{label}", **_CARD)
def show_label(request: Request, label: str) -> Response:
    """Say that a label exists and in which state."""
    services, named = services_of(request), ""
    try:
        named = parse_unit_id(label)
        heading, sentence = _STATES[_label(services, named).status]
        status = 200
    except MalformedError:
        status, (heading, sentence) = 422, _MISREAD
    except MissingError:
        status, (heading, sentence) = 404, _UNKNOWN
    shown = group4(named) if named else ""
    return _page(services, "label.html", status, label=shown, heading=heading, sentence=sentence)


@router.get("/U/{label}", **{**_CARD, "include_in_schema": False})
def show_label_upper(request: Request, label: str) -> Response:
    """Answer the address as it is printed, in upper case."""
    return show_label(request, label)


def _label(services: Services, named: str) -> Label:
    with services.db.read() as session:
        found = next(iter(unit_records.fetch(session, services.ledger_id, Label, [named])), None)
    if not isinstance(found, Label):
        raise MissingError("There is no such label.")
    return found


@router.get(
    "/",
    **declare(public("The front door."), {200: Says("What this service is.", _HTML, "text/html")}, tag="pages"),
)
def start(request: Request) -> Response:
    """Say what this service is and what a verifier pins."""
    services = services_of(request)
    return _page(
        services, "start.html", 200, name=services.view.name, size=services.view.published[0],
        genesis=services.genesis, ledger_key=services.keys.ledger.verifier().to_text(),
    )  # fmt: skip


@router.get(
    "/verify",
    **declare(
        public("Whoever holds evidence may verify it."), {200: Says("The verifier.", _HTML, "text/html")}, tag="pages"
    ),
)
def verify(request: Request) -> Response:
    """Serve the page that verifies a bundle in the browser; the bundle stays there."""
    return _page(services_of(request), "verify.html", 200)


def _page(services: Services, template: str, status: int, **words: object) -> Response:
    text = PAGES.get_template(template).render(origin=services.origin, demo=services.demo, **words)
    return Response(text, status, media_type="text/html; charset=utf-8")


@router.get(
    "/static/{name}",
    **declare(
        public("What the pages are drawn with."),
        {200: Says("A file of the pages.", _HTML, "text/css")},
        problems=(404,),
        tag="pages",
    ),
)
def static(name: str) -> Response:
    """Return one of the few files that the pages use."""
    if name not in STATIC:
        raise MissingError("There is no such file.")
    headers = {"Cache-Control": "public, max-age=3600"}
    return Response((HERE / "static" / name).read_bytes(), 200, headers, STATIC[name])
