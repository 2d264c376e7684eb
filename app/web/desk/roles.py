"""Which page is open to which access roles: to those that the API's own door admits, never to more.

`tests/web/access_table.py` has both by hand, and a test compares them.
"""

from app.keys.grants import ACCESS_ROLES, Viewer
from app.web.desk.session import HOME, DeskAccess, admit

EVERYBODY = admit(*ACCESS_ROLES)
WATCHERS = admit("auditor", "administrator", "operator", "integrator")
ACCOUNTANTS = admit("auditor", "administrator", "operator")
EVIDENCE = ACCOUNTANTS

MENU: tuple[tuple[str, str, DeskAccess], ...] = (
    (HOME, "Ikhtisar", EVERYBODY),
    (f"{HOME}/units", "Cari unit", EVERYBODY),
    (f"{HOME}/places", "Daftar tempat", EVERYBODY),
    (f"{HOME}/handovers", "Serah terima", EVERYBODY),
    (f"{HOME}/discrepancies", "Ketidaksesuaian", WATCHERS),
    (f"{HOME}/incidents", "Insiden", EVERYBODY),
    (f"{HOME}/reconciliation", "Neraca", ACCOUNTANTS),
)
"""The pages in the order of the menu, by address and Indonesian name."""


def opens(viewer: Viewer, access: DeskAccess) -> bool:
    """Say whether a page is open to a viewer."""
    return not viewer.access.isdisjoint(access.roles)
