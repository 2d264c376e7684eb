"""Does everything add up? The balance of each contest, every figure with the events behind it.

`reconcile` answers `GET /v1/reconciliation`, `figure_events` gives the events behind one figure, page by page.
The arithmetic is `app.audit.balance`; here stands only where its contributions come from: the tally (insert-only,
one row per event and figure), the lots as they are, and the plan and policy in force (domain reference section
11). Nothing is balanced automatically: a difference is open until the holder's side and another agency have signed
an explanation of just that difference, and its figures stay as they are even then.

Only lots of accountable goods of a contest count: ballot papers. A lot is accounted for where it was labelled,
wherever it goes, and what is allocated also where its station is. A viewer of a part of the country sees the lots
labelled there and the need of its stations; identities that ask for all that came in are `holds: null` unless
goods came in there.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from sqlalchemy import and_, select

from app.audit import past
from app.audit.balance import FIGURES, GOOD_CONDITIONS, Balance, Contribution, Identity, balance
from app.audit.inforce import document, published
from app.audit.places import Answer
from app.audit.scope import Scope, subtree
from app.canon import JsonValue
from app.custody._tables import EVENT, GAP, TALLY
from app.custody.state import Gap
from app.db import ReadSession
from app.errors import MissingError
from app.keys.grants import Viewer
from app.rows import run
from app.units._tables import UNIT
from app.units.documents import Plan, Policy, reserve
from app.units.state import Unit

_GAP = tuple(GAP.c[field.name] for field in fields(Gap))
Explained = Mapping[tuple[str, int, int], Gap]
"""What was explained, by contest, identity and difference."""
EVENTS_PER_FIGURE = 20
MAX_EVENTS = 500


@dataclass(frozen=True, slots=True)
class InForce:
    """A document in force and the event that put it there."""

    document: Policy | Plan
    leaf_index: int
    event: str


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: whose view, which election and places (None for every one), as known when."""

    scope: Scope
    election: str
    places: frozenset[str] | None
    size: int | None
    policy: InForce
    plan: InForce | None

    def here(self, place: str | None) -> bool:
        """Say whether a place is among those asked for."""
        return self.places is None or place in self.places


@dataclass(frozen=True, slots=True)
class Chain:
    """Place and agency of a lot's first event, where it was labelled, and its latest event."""

    place: str
    agency: str
    leaf_index: int
    event: str


def reconcile(
    session: ReadSession, ledger_id: int, viewer: Viewer, *,
    election: str | None = None, contest: str | None = None, place: str | None = None, size: int | None = None,
    events_per_figure: int = EVENTS_PER_FIGURE,
) -> Answer:  # fmt: skip
    """Return the balance of every contest.

    Args:
        session: Reading; one snapshot.
        ledger_id: The ledger.
        viewer: Who asks.
        election: The election; the only one of the policy when absent.
        contest: One contest only.
        place: The part of the country; everything the viewer sees when absent.
        size: As known at this tree size.
        events_per_figure: At most 500 of the events behind each figure; `figure_events` gives the rest.

    Returns:
        `contests`: each with `figures` (name, quantity, `count`, first `events`, `next`) and `identities`
        (number, name, left, right, difference, `holds`, `state`: `holds`, `open`, `explained` or None where the
        question has no meaning, and who has `explained` it so far).

    Raises:
        MissingError: No such place for this viewer, no such election, no policy in force then, or `size` beyond
            the ledger.
    """
    question = _question(session, ledger_id, viewer, election, place, size)
    found = balance(_contributions(session, question))
    limit, explained = min(events_per_figure, MAX_EVENTS), _explained(session, question, place)
    return {
        "election": question.election, "place": place, "size": size,
        "contests": [_contest(one, limit, explained) for one in found if contest in {None, one.contest}],
    }  # fmt: skip


def figure_events(
    session: ReadSession, ledger_id: int, viewer: Viewer, *,
    contest: str, figure: str, election: str | None = None, place: str | None = None, size: int | None = None,
    after: int = 0, limit: int = 100,
) -> Answer:  # fmt: skip
    """Return the events behind one figure of a contest, in ledger order.

    Args:
        session: Reading; one snapshot.
        ledger_id: The ledger.
        viewer: Who asks.
        contest: The contest.
        figure: A name of `FIGURES`, such as `allocated`.
        election: As `reconcile`.
        place: As `reconcile`.
        size: As `reconcile`; name it when paging, so that the list stands still.
        after: How many were on the pages before.
        limit: At most 500.

    Raises:
        MissingError: As `reconcile`; there is no such contest or figure.
    """
    question = _question(session, ledger_id, viewer, election, place, size)
    found = {one.contest: one for one in balance(_contributions(session, question))}
    if contest not in found or figure not in FIGURES:
        raise MissingError("There is no such figure.", contest=contest, figure=figure)
    return {"contest": contest, **_figure(found[contest], figure, min(limit, MAX_EVENTS), after)}


# -- telling ---------------------------------------------------------------------------------------------


def _contest(of: Balance, limit: int, explained: Explained) -> Answer:
    identities = [(each, explained.get((of.contest, each.number, each.difference))) for each in of.identities()]
    return {
        "contest": of.contest, "figures": [_figure(of, name, limit) for name in FIGURES],
        "identities": [_identity(identity, gap) for identity, gap in identities],
    }  # fmt: skip


def _figure(of: Balance, name: str, limit: int, after: int = 0) -> Answer:
    rows = sorted(
        (row for part in FIGURES[name] for row in of.figures.get(part, ())),
        key=lambda row: (row.leaf_index, row.n, row.unit or "", row.place or ""),
    )
    events: list[JsonValue] = [
        {
            "index": row.leaf_index, "event": row.event, "quantity": row.quantity, "figure": row.figure,
            "unit": row.unit, "place": row.place,
        }
        for row in rows[after : after + limit]
    ]  # fmt: skip
    following = after + limit if len(rows) > after + limit else None
    return {
        "figure": name, "quantity": of.total(*FIGURES[name]), "count": len(rows), "events": events, "next": following,
    }  # fmt: skip


def _identity(identity: Identity, gap: Gap | None) -> Answer:
    by: list[JsonValue] = [
        {"agency": agency, "event": event, "reason": reason}
        for agency, event, reason, _ in (gap.explained if gap is not None else ())
    ]
    state = None if identity.holds is None else "holds" if identity.holds else "open"
    if state == "open" and gap is not None and gap.closed_index is not None:
        state = "explained"
    return {
        "number": identity.number, "name": identity.name, "left": _side(identity.left), "right": _side(identity.right),
        "difference": identity.difference, "holds": identity.holds, "state": state,
        "explained": by if state != "holds" else [],
    }  # fmt: skip


def _side(terms: Mapping[str, int]) -> Answer:
    return {"total": sum(terms.values()), "terms": dict(terms)}


def _explained(session: ReadSession, question: Question, place: str | None) -> Explained:
    """Return what was explained of this election and place, as known at the size that is asked for."""
    here = GAP.c.place == place if place is not None else GAP.c.place.is_(None)
    query = select(*_GAP).where(
        GAP.c.ledger_id == question.scope.ledger_id, GAP.c.election == question.election, here
    )  # fmt: skip
    found = [Gap(*row) for row in session.execute(query)]
    if question.size is not None:
        found = [_as_of(gap, question.size) for gap in found if gap.leaf_index < question.size]
    return {(gap.contest, gap.identity, gap.difference): gap for gap in found}


def _as_of(gap: Gap, size: int) -> Gap:
    """Return a gap as it was told at a tree size."""
    closed = gap.closed_index if gap.closed_index is not None and gap.closed_index < size else None
    return replace(gap, closed_index=closed, explained=tuple(one for one in gap.explained if one[3] < size))


# -- asking ----------------------------------------------------------------------------------------------


def _question(
    session: ReadSession, ledger_id: int, viewer: Viewer, election: str | None, place: str | None, size: int | None
) -> Question:
    scope = Scope.of(session, ledger_id, viewer)
    if size is not None and not 0 <= size <= past.ledger_size(session, ledger_id):
        raise MissingError("The ledger has not had that size yet.", code="size", size=size)
    chosen = scope.places() if place is None else subtree(session, scope, place)
    everywhere = place is None and scope.path == ""
    places = None if everywhere else frozenset(session.execute(chosen).scalars())
    policy = _in_force(session, ledger_id, "policy.publish", None, size)
    if policy is None or not isinstance(policy.document, Policy):
        raise MissingError("No policy is in force.", code="no_policy")
    named = election or policy.document.elections[0].id
    if named not in policy.document.election_by_id:
        raise MissingError("There is no such election.", election=named)
    plan = _in_force(session, ledger_id, "plan.publish", named, size)
    return Question(scope, named, places, size, policy, plan)


def _in_force(
    session: ReadSession, ledger_id: int, type_: Literal["policy.publish", "plan.publish"], election: str | None,
    size: int | None,
) -> InForce | None:  # fmt: skip
    """Return the newest published document of a type, as known at a tree size."""
    versions = published(session, ledger_id, type_, size)
    newest = next((one for one in versions if election is None or one.election == election), None)
    found = document(session, ledger_id, newest.document) if newest is not None else None
    return InForce(found, newest.leaf_index, newest.event) if newest is not None and found is not None else None


def _contributions(session: ReadSession, question: Question) -> Iterator[Contribution]:
    policy: Any = question.policy.document
    items = [item.code for item in policy.items if item.kind == "lot" and item.sensitivity == "accountable"]
    chains = _chains(session, question)
    yield from _tallied(session, question, items, chains)
    yield from _lots(session, question, items, chains)
    yield from _needs(question)


def _tallied(
    session: ReadSession, question: Question, items: Sequence[str], chains: Mapping[str, Chain]
) -> Iterator[Contribution]:
    """Yield the rows of the tally that the viewer's agencies made of lots labelled here, or for stations here."""
    scope = question.scope
    rows = session.execute(
        select(
            TALLY.c.figure, TALLY.c.contest, TALLY.c.quantity, TALLY.c.leaf_index, TALLY.c.event, TALLY.c.unit,
            TALLY.c.place, TALLY.c.id,
        )
        .join(EVENT, and_(EVENT.c.ledger_id == TALLY.c.ledger_id, EVENT.c.hash == TALLY.c.event))
        .where(TALLY.c.ledger_id == scope.ledger_id, TALLY.c.election == question.election)
        .where(TALLY.c.item.in_(items), TALLY.c.contest.is_not(None), scope.agency_is(EVENT.c.agency))
        .where(TALLY.c.leaf_index < question.size if question.size is not None else TALLY.c.leaf_index >= 0)
    )  # fmt: skip
    for figure, contest, quantity, index, event, unit, station, id_ in rows:
        if question.here(chains[unit].place) or question.here(station):
            n = int(id_.rpartition("-")[2])
            yield Contribution(figure, contest, quantity, index, event, unit, station, n)


def _lots(
    session: ReadSession, question: Question, items: Sequence[str], chains: Mapping[str, Chain]
) -> Iterator[Contribution]:
    """Yield every lot labelled here as its latest event left it."""
    viewer = question.scope.viewer
    for unit in _known_units(session, question, items):
        chain = chains[unit.unit]
        ours = viewer.all_agencies or chain.agency == viewer.agency
        if ours and unit.condition in GOOD_CONDITIONS and question.here(chain.place):
            figure = f"now:{unit.condition}"
            yield Contribution(figure, unit.contest or "", unit.quantity, chain.leaf_index, chain.event, unit.unit)


def _known_units(session: ReadSession, question: Question, items: Sequence[str]) -> Iterator[Unit]:
    if question.size is not None:
        facts = past.facts_at(session, question.scope.ledger_id, question.size)
        known: Sequence[Unit] = list(facts.kinds[Unit].values())
    else:
        wanted = and_(UNIT.c.ledger_id == question.scope.ledger_id, UNIT.c.item.in_(items))
        columns = [UNIT.c[name] for name in Unit.__dataclass_fields__]
        known = [Unit(*row) for row in session.execute(select(*columns).where(wanted))]
    return (u for u in known if u.item in items and u.contest is not None and u.election == question.election)


_ENDS = """
    SELECT u.unit, made.place, made.agency, newest.leaf_index, newest.hash
    FROM unit u CROSS JOIN event_unit f CROSS JOIN event made CROSS JOIN event_unit l CROSS JOIN event newest
    WHERE u.ledger_id = ? AND u.contest IS NOT NULL
    AND f.ledger_id = ? AND f.unit = u.unit AND f.seq = 1 AND made.ledger_id = ? AND made.leaf_index = f.leaf_index
    AND l.ledger_id = ? AND l.unit = u.unit AND l.seq = {latest}
    AND newest.ledger_id = ? AND newest.leaf_index = l.leaf_index
"""
"""From each lot by whole keys: joins are CROSS JOINs, which SQLite takes in the order of the text. Beginning with the
links of all units, as it would, it read the whole ledger for the balance of a city."""
_NOW = _ENDS.format(latest="u.seq")
_THEN = _ENDS.format(
    latest="(SELECT max(x.seq) FROM event_unit x WHERE x.ledger_id = ? AND x.unit = u.unit AND x.leaf_index < ?)"
)


def _chains(session: ReadSession, question: Question) -> dict[str, Chain]:
    """Return the ends of the chain of every unit of a contest."""
    ledger = question.scope.ledger_id
    if question.size is None:
        rows = run(session, _NOW, *[ledger] * 5)
    else:
        rows = run(session, _THEN, *[ledger] * 5, question.size, ledger)
    return {unit: Chain(*row) for unit, *row in rows}


def _needs(question: Question) -> Iterator[Contribution]:
    """Yield what the plan says each station needs, and the re-vote stock where every station is in sight."""
    policy: Any = question.policy.document
    plan: Any = question.plan.document if question.plan is not None else None
    election = policy.election_by_id[question.election]
    partly: set[str] = set()
    for station in plan.stations if plan is not None else ():
        contests = [district.contest for district in station.districts]
        if not question.here(station.place):
            partly.update(contests)
        elif question.plan is not None:
            source = (question.plan.leaf_index, question.plan.event, None, station.place)
            kept = reserve(station.voters, election.reserve_permille)
            for contest in contests:
                yield Contribution("need:voters", contest, station.voters, *source)
                yield Contribution("need:reserve", contest, kept, *source)
    for contest in election.contests:
        if plan is not None and contest.id not in partly:
            source = (question.policy.leaf_index, question.policy.event, None, None)
            yield Contribution("need:revote", contest.id, contest.revote, *source)
