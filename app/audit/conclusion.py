"""What came of a sample and what that says of the whole, in both directions (pure).

Sentences are for minutes and pages, in Indonesian and English. They state what was computed and never more: a bound at
a confidence, not an accusation (domain reference section 12.9).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.audit.sampling import bad_units, in_permille, most_bad
from app.canon import JsonValue
from app.custody.state import Inspection

Answer = dict[str, JsonValue]


@dataclass(frozen=True, slots=True)
class States:
    """What became of the units of a sample, and which others were looked at or skipped."""

    inspected: tuple[str, ...]
    failed: tuple[str, ...]
    skipped: Mapping[str, str]
    left: tuple[str, ...]
    aside: tuple[str, ...]

    def counts(self) -> Answer:
        """Return how many there are of each; `found` are those inspected and bad."""
        return {
            "inspected": len(self.inspected), "found": len(self.failed), "skipped": len(self.skipped),
            "left": len(self.left), "aside": len(self.aside),
        }  # fmt: skip

    def units(self) -> dict[str, Answer]:
        """Return the state of each unit of the sample: `conform`, `found`, `skipped` or `open`."""
        bad = set(self.failed)
        told: dict[str, Answer] = {
            unit: {"unit": unit, "state": "found" if unit in bad else "conform"} for unit in self.inspected
        }
        told |= {unit: {"unit": unit, "state": "skipped", "reason": reason} for unit, reason in self.skipped.items()}
        told |= {unit: {"unit": unit, "state": "open"} for unit in self.left}
        return dict(sorted(told.items()))


def states_of(found: Inspection, sample: Sequence[str]) -> States:
    """Sort the units of a sample by what became of them."""
    wanted, inspected, bad, skipped = set(sample), set(found.inspected), set(found.failed), dict(found.skipped)
    return States(
        inspected=tuple(unit for unit in sample if unit in inspected),
        failed=tuple(unit for unit in sample if unit in bad),
        skipped={unit: reason for unit, reason in skipped.items() if unit in wanted},
        left=tuple(unit for unit in sample if unit not in inspected and unit not in skipped),
        aside=tuple(unit for unit in (*found.inspected, *skipped) if unit not in wanted),
    )


def statement(confidence: int, rate: int, population: int, states: States) -> Answer | None:
    """Say in both directions what a sample tells of the whole; None where there is nothing.

    `before` is what the sample was made for. `after` is what was found of the units that were inspected; only those of
    the drawn sample count, since others were chosen. `at_worst` counts every unit that was skipped or left as bad: who
    leaves units out gains nothing by it.

    Args:
        confidence: In per cent.
        rate: In per mille.
        population: How many units were frozen.
        states: What became of the sample.
    """
    n, k = len(states.inspected), len(states.failed)
    out = len(states.skipped) + len(states.left)
    if population == 0:
        return None
    return {
        "before": _before(confidence, rate, population, n + out), "after": _after(confidence, population, n, k),
        "at_worst": _after(confidence, population, n + out, k + out, out=out) if out else None,
    }  # fmt: skip


def _before(confidence: int, rate: int, population: int, size: int) -> Answer:
    bad = bad_units(population, rate)
    return {
        "population": population, "sample": size, "confidence": confidence, "rate": rate, "bad": bad,
        "text": {
            "id": f"Dari {population} unit diambil sampel {size}: bila {bad} unit atau lebih bermasalah, sampel "
                  f"memuat sedikitnya satu di antaranya dengan tingkat keyakinan {confidence} %.",
            "en": f"A sample of {size} out of {population} units: if {bad} units or more are bad, it holds at least "
                  f"one of them with {confidence} % confidence.",
        },
    }  # fmt: skip


def _after(confidence: int, population: int, inspected: int, found: int, *, out: int = 0) -> Answer:
    most = most_bad(population, inspected, found, confidence)
    permille = in_permille(most, population)
    whole, tenth = divmod(permille, 10)
    begins_id = f"Bila {out} unit yang dilewati atau tersisa dianggap bermasalah: diperiksa" if out else "Diperiksa"
    begins_en = f"If the {out} units that were skipped or left are taken as bad: inspected" if out else "Inspected"
    return {
        "population": population, "inspected": inspected, "found": found, "confidence": confidence, "most_bad": most,
        "permille": permille,
        "text": {
            "id": f"{begins_id} {inspected} dari {population} unit, ditemukan {found} bermasalah: dengan tingkat "
                  f"keyakinan {confidence} % paling banyak {most} unit ({whole},{tenth} %) bermasalah.",
            "en": f"{begins_en} {inspected} of {population} units, found {found} bad: with {confidence} % confidence "
                  f"at most {most} units ({whole}.{tenth} %) are bad.",
        },
    }  # fmt: skip
