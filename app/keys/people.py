"""Officers behind their pseudonyms: who may see a name, and how it is forgotten.

On the ledger an officer is a pseudonym for ever. The name stands in one erasable table and is shown to the
registrars of the officer's own agency only (design section 6, promise 8).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from app.db import ReadSession, Session, WriteSession
from app.errors import MissingError
from app.keys import _store
from app.keys.access import OfficerName
from app.keys.grants import Viewer
from app.keys.records import all_keys, keys_of_officers
from app.keys.state import Key


@dataclass(frozen=True, slots=True)
class Officer:
    """A pseudonym with its agency, its keys, and the name if the viewer may see it."""

    officer: str
    agency: str
    name: str | None
    erased: bool
    keys: tuple[Key, ...]


def sees_names(viewer: Viewer, agency: str) -> bool:
    """Say whether a viewer may see the names of an agency's officers: its own registrars, nobody else."""
    return "registrar" in viewer.access and viewer.agency == agency


def sees_officer(viewer: Viewer, agency: str) -> bool:
    """Say whether a viewer may see an officer at all: of the own agency, or anybody for those who see all."""
    return viewer.all_agencies or viewer.agency == agency


def officers(session: ReadSession, ledger_id: int, viewer: Viewer) -> list[Officer]:
    """Return the officers that a viewer may see, in order of their pseudonyms."""
    keys: dict[str, list[Key]] = {}
    for key in all_keys(session, ledger_id):
        if key.kind in {"officer", "administrator"} and sees_officer(viewer, key.agency):
            keys.setdefault(key.officer, []).append(key)
    names = {row.officer: row for row in _store.NAMES.fetch(session, ledger_id, keys)}
    return [_officer(viewer, officer, found, names.get(officer)) for officer, found in sorted(keys.items())]


def _officer(viewer: Viewer, officer: str, keys: Iterable[Key], named: OfficerName | None) -> Officer:
    found = tuple(sorted(keys, key=lambda key: key.enrolled_index))
    agency = found[0].agency
    shown = named.name if named is not None and sees_names(viewer, named.agency) else None
    return Officer(officer, agency, shown, named is not None and named.erased_ms is not None, found)


def agency_of(session: Session, ledger_id: int, officer: str) -> str | None:
    """Return the agency of a pseudonym that a key or a name is known for."""
    named = next(iter(_store.NAMES.fetch(session, ledger_id, [officer])), None)
    if named is not None:
        return named.agency
    return next((key.agency for key in keys_of_officers(session, ledger_id, [officer])), None)


def erase_name(session: WriteSession, ledger_id: int, viewer: Viewer, officer: str, now_ms: int) -> None:
    """Forget an officer's name for good; erasing it twice is the same.

    Raises:
        MissingError: There is no such name, or none that this viewer may see.
    """
    named = next(iter(_store.NAMES.fetch(session, ledger_id, [officer])), None)
    if named is None or not sees_names(viewer, named.agency):
        raise MissingError("There is no such name.")
    if named.erased_ms is None:
        _store.erase_name(session, ledger_id, officer, now_ms)
