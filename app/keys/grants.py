"""Who may see and do what at the door: access roles × agency × place subtree (pure).

An access role says what one may read or call; a capacity says as what one signs. They are two things (design
section 6): authority over goods comes from signatures alone, sight of records from these grants.
"""

from dataclasses import dataclass
from typing import Literal

AccessRole = Literal["field", "registrar", "operator", "auditor", "administrator", "integrator"]
ACCESS_ROLES: tuple[AccessRole, ...] = ("field", "registrar", "operator", "auditor", "administrator", "integrator")

SEES_ALL_AGENCIES: frozenset[str] = frozenset({"auditor", "administrator"})
"""Roles that see every agency's records inside their place; all others see what their own agency touched."""


@dataclass(frozen=True, slots=True)
class Viewer:
    """A caller, proven by a token.

    `subject` is a key id or a client id; `place` the root of the subtree that the caller may see, None for
    everywhere; `agency` the caller's own.
    """

    subject: str
    agency: str
    place: str | None
    access: frozenset[str]

    @property
    def all_agencies(self) -> bool:
        """Say whether records of other agencies are visible inside the place."""
        return bool(self.access & SEES_ALL_AGENCIES)
