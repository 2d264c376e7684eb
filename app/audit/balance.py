"""The identities of the balance, from contributions alone (pure).

Every figure is the sum of contributions, each the word of one event; nothing is balanced automatically, and the
tolerance is zero. Dropping any one contribution breaks an equality, so none can be dropped unseen.

    waybill + over + replacements (+ other stock) - short          = received
1.  voters + reserve (rounded up per station) + planned re-vote    = ordered (what the waybills brought)
2.  received                                                       = good + damaged
3.  (received - replacements - damaged) + replacements             = allocated + re-vote + excess + voided
4.  destroyed damaged + destroyed excess                           = damaged + excess
5.  ordered + over + replacements (+ other stock) - short          = allocated + re-vote + voided
                                                                     + destroyed excess + destroyed damaged
6.  voters + reserve of the stations here                          = allocated to them

Identities 1 to 4 are the domain reference's; 5 is 3 and 4 together, the way the published figures of Bontang
2024 balance (138,074 + 4 + 8 = 138,074 + 0 + 4 + 8). 6 has a meaning wherever there are stations, the others only
where goods came in, and 1 only where the whole need is in sight, too. `good` counts lots as they are now, whatever
their use (good, excess, re-vote): it comes from the units, and `received` from their commissioning.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

GOOD_CONDITIONS = ("good", "excess", "revote")
INTAKE = ("in:print", "in:stock", "in:surplus", "in:replacement", "in:empty")


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one event adds to one figure of one contest.

    `figure` is that of the tally (`in:print`, `is:damaged`, `allocated`, `destroyed:excess`, ...), or
    `now:<condition>` for a lot as its latest event left it, or `need:voters`, `need:reserve` and `need:revote`
    of the plan and policy in force; the last is there, if only as zero, when every station of the contest is in
    sight.
    """

    figure: str
    contest: str
    quantity: int
    leaf_index: int = 0
    event: str = ""
    unit: str | None = None
    place: str | None = None
    n: int = 0


@dataclass(frozen=True, slots=True)
class Identity:
    """One equality: its terms by name, signed, on either side."""

    number: int
    name: str
    left: Mapping[str, int]
    right: Mapping[str, int]
    meaningful: bool

    @property
    def difference(self) -> int:
        """Left minus right; zero when the identity holds."""
        return sum(self.left.values()) - sum(self.right.values())

    @property
    def holds(self) -> bool | None:
        """Say whether both sides are equal; None where the question has no meaning."""
        return self.difference == 0 if self.meaningful else None


@dataclass(slots=True)
class Balance:
    """The figures and identities of one contest."""

    contest: str
    figures: dict[str, list[Contribution]] = field(default_factory=dict)

    def total(self, *names: str) -> int:
        """Return the sum of figures."""
        return sum(row.quantity for name in names for row in self.figures.get(name, ()))

    def identities(self) -> list[Identity]:
        """Return the identities in order."""
        return [equation.of(self) for equation in EQUATIONS]


FIGURES: Mapping[str, tuple[str, ...]] = {
    "voters": ("need:voters",), "reserve": ("need:reserve",), "revote_planned": ("need:revote",),
    "ordered": ("in:print",), "over": ("in:surplus",), "replacements": ("in:replacement",),
    "other": ("in:stock", "in:empty"), "short": ("is:missing",), "damaged": ("is:damaged",),
    "good": tuple(f"now:{name}" for name in GOOD_CONDITIONS), "allocated": ("allocated",), "revote": ("is:revote",),
    "excess": ("is:excess",), "voided": ("voided",), "destroyed_damaged": ("destroyed:damaged",),
    "destroyed_excess": ("destroyed:excess",),
}  # fmt: skip
"""The figures that people read, by the figures of the tally that they add up."""


def balance(rows: Iterable[Contribution]) -> list[Balance]:
    """Sort contributions into the balance of each contest, in order of contests.

    Args:
        rows: In any order. A voided lot counts once: `is:voided` becomes `voided` only for a lot that is not
            allocated or set apart already.
    """
    found: dict[str, Balance] = {}
    everything = list(rows)
    apart = _set_apart(everything)
    for row in sorted(everything, key=lambda row: (row.leaf_index, row.n, row.figure)):
        of_contest = found.setdefault(row.contest, Balance(row.contest))
        of_contest.figures.setdefault(row.figure, []).append(row)
        if row.figure == "is:voided" and not apart.get(row.unit, 0):
            of_contest.figures.setdefault("voided", []).append(row)
    return [found[contest] for contest in sorted(found)]


def _set_apart(rows: Sequence[Contribution]) -> dict[str | None, int]:
    """Return per unit how much of it is allocated or set apart by condition."""
    sums: dict[str | None, int] = {}
    for row in rows:
        if row.figure == "allocated" or (row.figure.startswith("is:") and row.figure != "is:voided"):
            sums[row.unit] = sums.get(row.unit, 0) + row.quantity
    return sums


def _terms(of: Balance, *names: str, minus: Sequence[str] = ()) -> dict[str, int]:
    plus = {name: of.total(*FIGURES[name]) for name in names}
    return {**plus, **{f"-{name}": -of.total(*FIGURES[name]) for name in minus}}


RECEIVED = ("ordered", "over", "replacements", "other")


@dataclass(frozen=True, slots=True)
class Equation:
    """The terms of an identity by name, and the figures of which one must be there for it to have a meaning."""

    number: int
    name: str
    left: tuple[str, ...]
    minus: tuple[str, ...]
    right: tuple[str, ...]
    asks: tuple[tuple[str, ...], ...] = (INTAKE,)

    def of(self, figures: Balance) -> Identity:
        """Put the figures in."""
        left, right = _terms(figures, *self.left, minus=self.minus), _terms(figures, *self.right)
        meaningful = all(any(name in figures.figures for name in one_of) for one_of in self.asks)
        return Identity(self.number, self.name, left, right, meaningful)


EQUATIONS = (
    Equation(1, "print_ceiling", ("voters", "reserve", "revote_planned"), (), ("ordered",), (INTAKE, ("need:revote",))),
    Equation(2, "received", RECEIVED, ("short",), ("good", "damaged")),
    Equation(3, "allocation", RECEIVED, ("short", "damaged"), ("allocated", "revote", "excess", "voided")),
    Equation(4, "destruction", ("destroyed_damaged", "destroyed_excess"), (), ("damaged", "excess")),
    Equation(
        5, "balance", RECEIVED, ("short",),
        ("allocated", "revote", "voided", "destroyed_excess", "destroyed_damaged"),
    ),
    Equation(6, "station_need", ("voters", "reserve"), (), ("allocated",), (("need:voters",),)),
)  # fmt: skip
