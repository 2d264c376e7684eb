"""What a day brought: counted once, kept up by the new leaves alone, and told by the viewer's places and agency."""

from collections import Counter
from collections.abc import Iterator

import pytest
from sqlalchemy import func, select

from app.audit import activity as counting
from app.audit.activity import Activity, seen_by
from app.audit.scope import Scope
from app.custody._tables import EVENT
from app.ledger._tables import CHECKPOINT
from tests import small as s
from tests.audit.books import BACKENDS, auditor, new_town, officer, statements
from tests.custody.town import Town


@pytest.fixture(scope="module", params=BACKENDS)
def town(request, tmp_path_factory) -> Iterator[Town]:
    with new_town(request, tmp_path_factory.mktemp("activity")) as own:
        yield own


def look(town: Town, place: str = "") -> None:
    more = {"place": place} if place else {}
    told = {"source": "camera"}
    town.ok(town.act(town.kpu1, "sighting", told, town.fresh_ids(1), capacity="witness", **more))


def counts(town: Town, activity: Activity, since_ms: int = 0) -> Counter:
    with town.db.read() as session:
        return Counter(activity.since(session, town.recorder.ledger_id, since_ms))


def selects(ran) -> int:
    return sum(text.startswith("SELECT") for text, _ in ran)


def by_hand(town: Town, since_ms: int = 0) -> Counter:
    columns = (EVENT.c.place, EVENT.c.agency, EVENT.c.type, EVENT.c.result)
    with town.db.read() as session:
        rows = session.execute(select(*columns).where(EVENT.c.received_ms >= since_ms)).all()
    return Counter(counting.Kind(*row) for row in rows)


def without_places(found: Counter) -> Counter:
    told: Counter = Counter()
    for kind, count in found.items():
        told[kind.type, kind.result] += count
    return told


def test_what_is_kept_up_is_what_counting_anew_gives(town: Town):
    kept = Activity()
    for _ in range(3):
        assert counts(town, kept) == counts(town, Activity())
        assert without_places(counts(town, kept)) == without_places(by_hand(town))
        look(town)
    since = town.now_ms
    town.tick(60)
    look(town)
    late = counts(town, kept, since + 1)
    assert 0 < sum(late.values()) < sum(counts(town, kept).values())
    assert without_places(late) == without_places(by_hand(town, since + 1))


def test_a_day_begins_with_what_came_at_its_very_first_moment(town: Town):
    town.tick(60)
    look(town)
    since = town.now_ms
    with town.db.read() as session:
        made = session.execute(select(func.max(CHECKPOINT.c.made_ms))).scalar()
    assert made == since, "its checkpoint was made at that moment, too"
    assert sum(counts(town, Activity(), since).values()) == sum(by_hand(town, since).values()) == 1


def test_what_came_before_the_day_does_not_count_wherever_the_reading_begins(town: Town):
    town.tick(60)
    look(town)
    with town.db.read() as session:
        ledger_id = town.recorder.ledger_id
        found = counting._counted(session, ledger_id, town.now_ms, 0, counting.ledger_size(session, ledger_id))
    assert sum(found.values()) == sum(by_hand(town, town.now_ms).values()) == 1


def test_who_adds_to_an_answer_changes_no_memory(town: Town):
    kept = Activity()
    with town.db.read() as session:
        first = kept.since(session, town.recorder.ledger_id, 0)
        known = Counter(first)
        first.clear()
        assert kept.since(session, town.recorder.ledger_id, 0) == known


def test_a_second_look_reads_only_what_came_since(town: Town):
    kept = Activity()
    counts(town, kept)
    with statements(town) as ran:
        counts(town, kept)
    assert selects(ran) == 1  # how large the ledger is
    look(town)
    with statements(town) as ran:
        counts(town, kept)
    assert selects(ran) == 2


def test_few_days_are_remembered(town: Town):
    kept = Activity()
    for since in range(20):
        counts(town, kept, since)
    assert len(kept._days) == counting.DAYS
    assert min(since for _, since in kept._days) == 20 - counting.DAYS


def test_places_that_nobody_knows_are_one(town: Town):
    for n in range(3):
        look(town, place=f"NOWHERE-{n}")
    found = counts(town, Activity())
    assert found[counting.Kind("", s.KPU, "sighting", "accepted")] == 3
    assert not any(kind.place.startswith("NOWHERE") for kind in found)


@pytest.mark.parametrize("at_a_time", [1, 10_000])
def test_each_sees_what_happened_at_his_places(town: Town, monkeypatch, at_a_time):
    monkeypatch.setattr(counting, "PLACES_AT_A_TIME", at_a_time)
    look(town)
    found = counts(town, Activity())

    def told(viewer) -> Counter:
        with town.db.read() as session:
            return seen_by(session, Scope.of(session, town.recorder.ledger_id, viewer), found)

    assert told(auditor()) == without_places(found)
    assert told(officer(s.GOV, s.CITY)) == Counter()
    kpu = told(officer(s.KPU, s.CITY))
    assert 0 < kpu["sighting", "accepted"] <= told(auditor(s.CITY))["sighting", "accepted"]
    assert all(type_ not in {"verdict", "heads.commit"} for type_, _ in kpu)  # the service's own


def test_nobody_is_told_of_what_happened_at_other_places(town: Town):
    """One sighting at the district's office: told there and above, and not in the village beside it."""
    before = counts(town, Activity())
    look(town, place=s.PPK)
    found = counts(town, Activity()) - before

    def told(viewer) -> Counter:
        with town.db.read() as session:
            return seen_by(session, Scope.of(session, town.recorder.ledger_id, viewer), found)

    seen = Counter({("sighting", "accepted"): 1})
    for place in (None, "64", s.CITY, "64.74.01", s.PPK):
        assert told(auditor(place))["sighting", "accepted"] == 1, place
        assert told(officer(s.KPU, place)) == seen, place
    for place in ("64.74.01.B", s.WAREHOUSE, s.TPS1, "NOWHERE"):
        assert told(auditor(place)) == Counter(), place
        assert told(officer(s.KPU, place)) == Counter(), place
