"""What the offline verifier says: PASS, FAIL or INCOMPLETE, always with reasons that name the event (pure)."""

from dataclasses import dataclass, field
from typing import Literal

from app.audit.findings import printable
from app.audit.leaf import Recorded
from app.canon import JsonValue
from app.clock import rfc3339_ms

Result = Literal["PASS", "FAIL", "INCOMPLETE"]
Level = Literal["fail", "incomplete", "note"]
MAX_REASONS = 200
MAX_SHOWN_SECONDS = 4_102_444_800
"""2100: a cosignature may claim any time; what no calendar has is not shown."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why the result is what it is; `index` and `event` name the leaf and the event hash where there is one."""

    level: Level
    code: str
    detail: str
    index: int | None = None
    event: str | None = None

    def as_json(self) -> dict[str, JsonValue]:
        """Return the reason as members of an answer."""
        return {
            "level": self.level, "code": self.code, "detail": self.detail, "index": self.index, "event": self.event,
        }  # fmt: skip

    def as_text(self) -> str:
        """Write the reason on one line."""
        where = f"event {self.index} ({self.event}): " if self.index is not None else ""
        return f"{self.level}: {where}{self.detail} [{self.code}]"


@dataclass(slots=True)
class Report:
    """The result of verifying one bundle, and what it proves."""

    unit: str | None = None
    ledger: str | None = None
    size: int | None = None
    root: str | None = None
    genesis: str | None = None
    reasons: list[Reason] = field(default_factory=list)
    story: list[dict[str, JsonValue]] = field(default_factory=list)
    leaves: int = 0
    judged: int = 0
    assumed: int = 0
    latest: int | None = None
    """The size of the ledger as of which the unit's latest event, or its absence, is proven."""
    absent: bool = False
    witnesses: dict[str, int] = field(default_factory=dict)
    """When which witnesses of the policy cosigned the checkpoint, POSIX seconds."""
    stamps: list[tuple[str, int]] = field(default_factory=list)
    """(authority, UTC milliseconds) of each verified time stamp over the checkpoint."""

    def tell(
        self, level: Level, code: str, detail: str, leaf: Recorded | None = None, *, index: int | None = None
    ) -> None:
        """Add a reason; past 200 of a level only the first 200 are kept, which changes no result."""
        if sum(reason.level == level for reason in self.reasons) >= MAX_REASONS:
            return
        where = leaf.index if leaf is not None else index
        self.reasons.append(
            Reason(level, code, printable(detail), where, leaf.event.hash if leaf is not None else None)
        )

    @property
    def result(self) -> Result:
        """FAIL when anything is wrong, INCOMPLETE when something could not be decided, else PASS."""
        levels = {reason.level for reason in self.reasons}
        return "FAIL" if "fail" in levels else "INCOMPLETE" if "incomplete" in levels else "PASS"

    def narrate(self, leaf: Recorded, seq: int | None, via: str | None) -> None:
        """Add one event of the unit's story, or of the container `via` that it lay in."""
        body = leaf.event.body
        self.story.append(
            {
                "index": leaf.index,
                "event": leaf.event.hash,
                "type": leaf.event.type.name,
                "at": body.at,
                "place": body.place,
                "received_at": rfc3339_ms(leaf.received_ms),
                "result": leaf.verdict.result,
                "code": leaf.verdict.code,
                "seq": seq,
                "via": via,
                "signers": dict(body.signers),
            }
        )

    def as_json(self) -> dict[str, JsonValue]:
        """Return the report as JSON."""
        return {
            "result": self.result, "unit": self.unit, "ledger": self.ledger, "size": self.size, "root": self.root,
            "genesis": self.genesis, "leaves": self.leaves, "judged": self.judged, "assumed": self.assumed,
            "latest": self.latest, "absent": self.absent,
            "witnesses": {name: rfc3339_ms(1000 * at) for name, at in self.witnesses.items() if at < MAX_SHOWN_SECONDS},
            "stamps": [{"authority": authority, "at": rfc3339_ms(at_ms)} for authority, at_ms in self.stamps],
            "reasons": [reason.as_json() for reason in self.reasons], "story": list(self.story),
        }  # fmt: skip

    def as_text(self) -> str:
        """Write the report for people."""
        lines = [f"{self.result}"]
        if self.unit is not None:
            lines += [f"unit      {self.unit}", f"ledger    {self.ledger}", f"genesis   {self.genesis}"]
            lines += [f"tree      {self.size} leaves, root {self.root}"]
            judged = f"{self.judged} judged again, {self.assumed} of them with other goods assumed"
            lines += [f"checked   {self.leaves} leaves, {judged}"]
            known = f"in the first {self.latest} leaves" if self.latest is not None else "not proven"
            lines += [f"{'absent' if self.absent else 'latest':9} {known}"]
            told = self.as_json()["witnesses"].items()  # type: ignore[union-attr]
            lines += [f"witness   {name}, {at}" for name, at in told]
        lines += [f"stamp     {authority}, {rfc3339_ms(at_ms)}" for authority, at_ms in self.stamps]
        lines += [f"  {reason.as_text()}" for reason in self.reasons]
        lines += [_line(event) for event in self.story]
        return printable_lines(lines)


def _line(event: dict[str, JsonValue]) -> str:
    code = f" ({event['code']})" if event["code"] else ""
    via = f" in {event['via']}" if event["via"] else ""
    return f"  {event['index']:>8}  {event['at']}  {event['type']}  at {event['place']}  {event['result']}{code}{via}"


def printable_lines(lines: list[str]) -> str:
    """Join lines, each made safe to print."""
    return "\n".join(map(printable, lines)) + "\n"
