"""Which content coding a client takes (RFC 9110 section 12.5.3): `gzip` or none, since nothing else is ever offered."""

import re
from collections.abc import Iterable

_QUALITY = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")
_GZIP = frozenset({"gzip", "x-gzip"})


def takes_gzip(fields: Iterable[str]) -> bool:
    """Say whether an answer may, and had better, be compressed with gzip.

    Args:
        fields: The values of the `Accept-Encoding` fields of the request, none for no preference.

    Returns:
        True when gzip is acceptable, named or by `*`, and no worse to the client than `identity`. A weight that is
        no weight counts as 0: who cannot say what he takes gets plain bytes.
    """
    weights: dict[str, float] = {}
    for element in ",".join(fields).split(","):
        name, *parameters = (part.strip().lower() for part in element.split(";"))
        if name:
            weights["gzip" if name in _GZIP else name] = _weight(parameters)
    gzip = weights.get("gzip", weights.get("*", 0.0))
    return gzip > 0 and gzip >= weights.get("identity", 0.0)


def _weight(parameters: list[str]) -> float:
    if not parameters:
        return 1.0
    name, _, value = parameters[0].partition("=")
    fits = len(parameters) == 1 and name.strip() == "q" and _QUALITY.fullmatch(value.strip())
    return float(value) if fits else 0.0
