"""Growth measures what it says: a ledger of the right size, one code, a rate of what was recorded, no forked device."""

from itertools import pairwise
from types import SimpleNamespace

import pytest
from rich.progress import Progress

from app.cli.bench import grown as grown_of
from app.cli.bench import growth as growth_of
from app.cli.bench.grown import Grown, opened, remembered
from app.cli.bench.growth import Pace, added, refuse_larger, refuse_other_code, targets
from app.cli.bench.sources import ROOT, code_version, hash_of
from app.db import Database


def test_growth_is_measured_at_half_powers_of_ten():
    assert targets(1_000_000) == [10_000, 31_623, 100_000, 316_228, 1_000_000]
    assert targets(10_000) == [10_000]
    assert targets(60_000) == [10_000, 31_623, 60_000]


def test_no_point_lies_where_measuring_the_one_before_grows_the_ledger():
    assert targets(40_000) == [10_000, 40_000]
    for events in (12_000, 33_000, 110_000, 1_000_000):
        wanted = targets(events)
        assert all(first + added() < second for first, second in pairwise(wanted))


def made(size=20_000, *codes):
    points = [{"target": 10_000, "environment": {"code": code, "at": "2026-01-02"}} for code in codes]
    return SimpleNamespace(size=lambda: size, folder="/kept", points=points)


def test_points_of_other_code_are_not_put_beside_those_of_this(monkeypatch):
    monkeypatch.setattr(growth_of, "code_version", lambda: "1+a")
    refuse_other_code(made())
    refuse_other_code(made(1, "1+a"))
    with pytest.raises(RuntimeError, match=r"other code at 10,000 events \(1\+b on 2026-01-02.*name another folder"):
        refuse_other_code(made(1, "1+a", "1+b"))


def test_a_kept_ledger_that_is_larger_than_its_next_point_is_refused():
    refuse_larger(made(10_000), 10_000)
    refuse_larger(made(10_000 + added()), 10_000)  # what a run left that was ended while it measured
    with pytest.raises(RuntimeError, match=r"has 100,000 events already and was not measured at 10,000.*--keep-world"):
        refuse_larger(made(100_000), 10_000)


def test_code_is_told_by_its_version_and_its_sources(tmp_path):
    version, _, digits = code_version().partition("+")
    assert version == "0.1.0"
    assert len(digits) == 12
    assert hash_of(ROOT).startswith(digits)
    for folder in ("app", "migrations"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "one.py").write_text("1")
    first = hash_of(tmp_path)
    (tmp_path / "app" / "note.txt").write_text("no code")
    assert hash_of(tmp_path) == first
    (tmp_path / "migrations" / "one.py").write_text("2")
    second = hash_of(tmp_path)
    (tmp_path / "app" / "one.py").rename(tmp_path / "app" / "two.py")
    assert len({first, second, hash_of(tmp_path)}) == 3


# -- the rate --------------------------------------------------------------------------------------------


def test_the_clock_of_the_rate_starts_when_the_first_group_is_recorded():
    pace = Pace()
    assert pace.rate() is None
    pace.at(1_000, 60.0)  # a minute of enrolling and starting up does not count
    assert pace.rate() is None
    pace.at(3_000, 61.0)
    pace.at(5_000, 64.0)
    assert pace.rate() == 1_000


def test_where_nothing_was_recorded_there_is_no_rate():
    pace = Pace()
    pace.at(1_000, 60.0)
    pace.at(1_000, 61.0)
    assert pace.rate() is None


def test_a_point_stands_where_the_ledger_was_while_it_was_measured(tmp_path, monkeypatch):
    """Measuring grows the ledger: from 100 leaves to 300 is 200 on the average."""
    stands = iter([(100, 10.0), (300, 30.0)])
    told = {
        "events": 1, "cpu_seconds": 1e-6, "wall_seconds": 1e-6, "p50_ms": 1.0, "peak_rss_mb": 1,
        "database_cpu_seconds": 2e-6,
    }  # fmt: skip
    monkeypatch.setattr(growth_of, "_stands", lambda made: next(stands))
    monkeypatch.setattr(growth_of, "send", lambda *_: told)
    monkeypatch.setattr(growth_of, "signature_us", lambda: 50.0)
    monkeypatch.setattr(growth_of.VerifierKey, "parse", lambda text: None)
    ledger = SimpleNamespace(url="sqlite:///x.db", founding=SimpleNamespace(vkey=""), units=["U"])
    server, known = SimpleNamespace(rss_bytes=lambda: 1), SimpleNamespace(text="token")
    found = growth_of._over_http(ledger, server, tmp_path, [SimpleNamespace(take=lambda count: [])], known)
    assert (found["size"], found["bytes_per_event"]) == (200, 20.0)
    assert found["batch_cpu_us"] == 3.0  # PostgreSQL's is included


# -- taken up again --------------------------------------------------------------------------------------


def ended(*_):
    raise EOFError


def test_a_growth_that_is_ended_and_taken_up_forks_no_device_sequence(tmp_path, monkeypatch):
    url = f"sqlite:///{tmp_path / 'custody.db'}"
    monkeypatch.setattr(grown_of, "PAIRS", 2)
    really = grown_of.Signer
    monkeypatch.setattr(grown_of, "Signer", ended)
    with pytest.raises(EOFError), opened(tmp_path, url) as ledger:
        ledger.grow(200)  # the officers are enrolled, and then it ends
    monkeypatch.setattr(grown_of, "Signer", really)
    with opened(tmp_path, url) as ledger:
        assert ledger.grow(200) is None
        assert ledger.size() > 100
    assert discrepancies(url) == []


def test_founders_who_count_from_where_they_began_fork_their_devices(tmp_path, monkeypatch):
    """Control: so it was while nothing was written down after an enrolment."""
    url = f"sqlite:///{tmp_path / 'custody.db'}"
    with opened(tmp_path, url) as ledger:
        monkeypatch.setattr(Grown, "save", lambda self: None)
        ledger.enrol(1)
    with opened(tmp_path, url) as ledger:
        ledger.enrol(1)
    assert discrepancies(url) != []


def discrepancies(url):
    db = Database(url)
    with db.read() as session:
        found = [tuple(row) for row in session.exec_driver_sql("SELECT rule FROM discrepancy")]
    db.close()
    return found


def test_a_kept_ledger_says_in_which_kind_of_database_it_is(tmp_path):
    assert remembered(tmp_path, "sqlite") is None
    with opened(tmp_path, f"sqlite:///{tmp_path / 'custody.db'}"):
        pass
    assert remembered(tmp_path, "sqlite")["kind"] == "sqlite"
    with pytest.raises(RuntimeError, match="is in sqlite, not in postgresql; name another folder"):
        remembered(tmp_path, "postgresql")


def test_a_growth_is_refused_before_it_writes_when_its_ledger_is_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr(growth_of, "added", lambda: 0)
    with opened(tmp_path, f"sqlite:///{tmp_path / 'custody.db'}") as ledger:
        ledger.enrol(20)
        size = ledger.size()
    monkeypatch.setattr(growth_of, "targets", lambda events: [10, 100])
    with Progress(disable=True) as progress, pytest.raises(RuntimeError, match="was not measured at 10"):
        growth_of.growth(tmp_path, "", tmp_path, 100, progress)
    with opened(tmp_path, f"sqlite:///{tmp_path / 'custody.db'}") as ledger:
        assert ledger.size() == size
