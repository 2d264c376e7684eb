"""What a day brought: counted once, kept up by the new leaves alone, and told by the viewer's places and agency."""

from collections import Counter
from collections.abc import Iterator

import pytest
from sqlalchemy import select

from app.audit import activity as counting
from app.audit.activity import Activity, seen_by
from app.audit.scope import Scope
from app.custody._tables import EVENT
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
