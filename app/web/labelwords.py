"""The words on a label, looked up when it is printed: item, contest, destination, election."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.db import Session
from app.labels.payload import LabelText
from app.units import records as unit_records
from app.units.documents import Policy
from app.units.state import Label, Unit
from app.web.services import Services

DESTINATION_LINES = 4


@dataclass(frozen=True, slots=True)
class Words:
    """Labels with the units they are on and the policy that names things."""

    short_host: str
    policy: Policy | None
    found: Sequence[Label]
    units: dict[str, Unit]

    @classmethod
    def load(cls, session: Session, services: Services, labels: Sequence[Label]) -> "Words":
        """Load what the words are made of, in two statements."""
        named = [label.unit for label in labels if label.unit]
        found = unit_records.fetch(session, services.ledger_id, Unit, named)
        units = {unit.unit: unit for unit in found if isinstance(unit, Unit)}
        return cls(services.settings.short_host, services.policy(session), labels, units)

    def labels(self) -> Iterator[LabelText]:
        """Yield what each label says, in order; a retired label is not printed again."""
        for label in self.found:
            if label.status != "retired":
                yield self.text(label.label, self.units.get(label.unit or ""))

    def text(self, label: str, unit: Unit | None) -> LabelText:
        """Return what one label says; blank ones say no more than their id."""
        if unit is None or self.policy is None:
            return LabelText(label, self.short_host, "")
        item = self.policy.item_by_code.get(unit.item)
        election = self.policy.election_by_id.get(unit.election)
        contests = {contest.id: contest.name for contest in election.contests} if election else {}
        return LabelText(
            label, self.short_host, item.name_id if item else unit.item, contests.get(unit.contest or "", ""),
            self._destination(unit), title=election.name if election else "",
        )  # fmt: skip

    def _destination(self, unit: Unit) -> tuple[str, ...]:
        if unit.destination is None or self.policy is None:
            return ()
        way = [self.policy.place_by_id[place].name for place in self.policy.ancestry(unit.destination)]
        return tuple(way[:DESTINATION_LINES])
