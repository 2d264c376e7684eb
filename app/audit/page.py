"""The page that verifies bundles, as one file for the evidence zip: works from the file system, with no network.

Browsers load no module scripts and no style sheets of other files from `file:`, so what `/verify` serves in parts
stands here inline: the same HTML, styles and modules, word for word but for the one import between the modules. A
policy inside the page names the hashes of its style and script and forbids everything else, every connection
included.
"""

from base64 import b64encode
from functools import cache
from pathlib import Path

from app.canon import sha256

_WEB = Path(__file__).resolve().parent.parent / "web"
_IMPORT = 'import { missingFeatures, parsePolicy, pinnedLedgers, verifyBundle } from "./verify.js";\n'


@cache
def verify_page() -> bytes:
    """Return the page; the same bytes as long as its parts are the same.

    Raises:
        RuntimeError: The parts do not fit together any more, which is our own mistake.
    """
    module, page = _read("static/verify.js"), _read("static/verify-page.js")
    if page.count(_IMPORT) != 1 or "\nimport " in module + page.replace(_IMPORT, ""):
        raise RuntimeError("the page imports something else than verify.js")
    script = module + "{\n" + page.replace(_IMPORT, "") + "}\n"  # a block, so that names of the two do not meet
    style = _read("static/page.css") + _read("static/verify.css")
    if "</script" in script or "</style" in style:
        raise RuntimeError("the page's script or style would end too early")
    return _PAGE.format(
        script=script,
        style=style,
        main=_read("pages/verify_main.html"),
        script_hash=_hash(script),
        style_hash=_hash(style),
    ).encode()


def _read(name: str) -> str:
    return (_WEB / name).read_text("utf-8")


def _hash(text: str) -> str:
    return b64encode(sha256(text.encode())).decode()


_PAGE = """\
<!doctype html>
<html lang="id">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'sha256-{script_hash}'; \
style-src 'sha256-{style_hash}'; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; \
trusted-types 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Periksa bukti</title>
<style>{style}</style>
</head>
<body>
<main>
{main}</main>
<script type="module">{script}</script>
</body>
</html>
"""
