"""Who may open which door, written by hand and never generated: a change of access is a change of this page."""

from tests import small

FIELD, REGISTRAR, OPERATOR, AUDITOR, ADMINISTRATOR, INTEGRATOR = ROLES = (
    "field", "registrar", "operator", "auditor", "administrator", "integrator",
)  # fmt: skip
EVERYBODY = frozenset(ROLES)
PUBLIC: frozenset[str] = frozenset()

DOORS: dict[str, frozenset[str]] = {
    "POST /v1/events": PUBLIC,
    "POST /v1/events/batch": PUBLIC,
    "GET /v1/events": EVERYBODY,
    "GET /v1/events/{event}": EVERYBODY,
    "POST /v1/documents": frozenset({ADMINISTRATOR, REGISTRAR, OPERATOR}),
    "GET /v1/documents/{content_hash}": EVERYBODY,
    "POST /v1/labels": frozenset({FIELD, OPERATOR, ADMINISTRATOR, INTEGRATOR}),
    "POST /v1/labels/ids": frozenset({FIELD, OPERATOR, ADMINISTRATOR, INTEGRATOR}),
    "GET /v1/labels/{block}": frozenset({FIELD, OPERATOR, ADMINISTRATOR, INTEGRATOR, AUDITOR}),
    "GET /v1/labels/{block}/sheet.pdf": frozenset({FIELD, OPERATOR, ADMINISTRATOR, INTEGRATOR}),
    "GET /v1/units/{unit}": EVERYBODY,
    "GET /v1/units/{unit}/history": EVERYBODY,
    "GET /v1/units/{unit}/evidence": frozenset({AUDITOR, ADMINISTRATOR, OPERATOR}),
    "GET /v1/units/{unit}/label.svg": frozenset({FIELD, OPERATOR, ADMINISTRATOR, INTEGRATOR}),
    "GET /v1/units/{unit}/label.png": frozenset({FIELD, OPERATOR, ADMINISTRATOR, INTEGRATOR}),
    "GET /v1/handovers": EVERYBODY,
    "GET /v1/places": EVERYBODY,
    "GET /v1/places/{place}": EVERYBODY,
    "GET /v1/places/{place}/stock": EVERYBODY,
    "GET /v1/discrepancies": frozenset({AUDITOR, ADMINISTRATOR, OPERATOR, INTEGRATOR}),
    "GET /v1/reconciliation": frozenset({AUDITOR, ADMINISTRATOR, OPERATOR}),
    "GET /v1/reconciliation/events": frozenset({AUDITOR, ADMINISTRATOR, OPERATOR}),
    "POST /v1/enrolments": frozenset({REGISTRAR}),
    "GET /v1/enrolments/{enrolment}": frozenset({REGISTRAR}),
    "POST /v1/enrolments/{enrolment}/claim": PUBLIC,
    "POST /v1/enrolments/{enrolment}/approve": frozenset({REGISTRAR}),
    "GET /v1/keys": EVERYBODY,
    "GET /v1/officers": frozenset({REGISTRAR, AUDITOR, ADMINISTRATOR}),
    "DELETE /v1/officers/{officer}/name": frozenset({REGISTRAR}),
    "GET /v1/agencies": EVERYBODY,
    "GET /v1/ledger": PUBLIC,
    "GET /v1/ledgers": PUBLIC,
    "GET /v1/shards": PUBLIC,
    "GET /ledger/{name}/checkpoint": PUBLIC,
    "GET /ledger/{name}/checkpoint.witnessed": PUBLIC,
    "GET /ledger/{name}/policy": PUBLIC,
    "POST /ledger/{name}/cosignatures": PUBLIC,
    "GET /v1/events/{event}/proof": EVERYBODY,
    "GET /v1/units/{unit}/absence": frozenset({AUDITOR, ADMINISTRATOR}),
    "GET /ledger/{name}/tile/entries/{path:path}": frozenset({AUDITOR, ADMINISTRATOR}),
    "GET /ledger/{name}/tile/{path:path}": PUBLIC,
    "POST /oauth/token": PUBLIC,
    "GET /": PUBLIC,
    "GET /u/{label}": PUBLIC,
    "GET /U/{label}": PUBLIC,
    "GET /static/{name}": PUBLIC,
    "GET /verify": PUBLIC,
    "GET /healthz": PUBLIC,
    "GET /readyz": PUBLIC,
    "GET /metrics": PUBLIC,
    "GET /openapi.json": PUBLIC,
}

# Three boxes of the commission (KPU) in its warehouse, for a station each of villages A, A and B; the second was
# handed to the carrier (POS), who has it in the warehouse still. What each agency sees, looking from each place:
# a box is seen where it is and where it is bound for, by who holds or held it, or by whom everything is seen.
EVERYWHERE, CITY, VILLAGE_A, VILLAGE_B, STORE = None, small.CITY, "64.74.01.A", "64.74.01.B", small.WAREHOUSE
BOXES_SEEN: dict[tuple[str, str | None], str] = {
    (small.KPU, EVERYWHERE): "123",
    (small.KPU, CITY): "123",
    (small.KPU, STORE): "123",
    (small.KPU, VILLAGE_A): "12",
    (small.KPU, VILLAGE_B): "3",
    (small.POS, EVERYWHERE): "2",
    (small.POS, CITY): "2",
    (small.POS, STORE): "2",
    (small.POS, VILLAGE_A): "2",
    (small.POS, VILLAGE_B): "",
    (small.BWS, EVERYWHERE): "",
    (small.BWS, CITY): "",
    (small.BWS, STORE): "",
    (small.BWS, VILLAGE_A): "",
    (small.BWS, VILLAGE_B): "",
}
"""For the access roles field, registrar, operator, integrator."""
BOXES_SEEN_BY_WATCHERS: dict[str | None, str] = {
    EVERYWHERE: "123", CITY: "123", STORE: "123", VILLAGE_A: "12", VILLAGE_B: "3",
}  # fmt: skip
"""For auditor and administrator, of any agency."""

PLACES_SEEN: dict[str | None, set[str]] = {
    EVERYWHERE: {small.WAREHOUSE, small.PPS_A, small.PPS_B, small.HUB},
    CITY: {small.WAREHOUSE, small.PPS_A, small.PPS_B},
    STORE: {small.WAREHOUSE},
    VILLAGE_A: {small.PPS_A},
    VILLAGE_B: {small.PPS_B},
}
"""Of these four places, whoever asks."""
