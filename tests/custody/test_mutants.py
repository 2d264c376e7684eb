"""Every rule is proven by a test that fails without it.

A site is one call in the rules by which they answer: refuse, wait, report, put, link, tally, advance, and the
raise of `Held`. First every test of the rules runs once and the sites that it reaches are written down; then,
site by site, the call is left out and the tests that reach it run until one of them turns red. A site that no
test reaches, or whose loss no test notices, fails here, so a new rule needs a test of its own.

Only SQLite, since rules know no database. It takes half a minute, spread over the workers of a run.
"""

import ast
import importlib
import inspect
import itertools
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import app.custody.rules as rules_package
from app.custody.rules import judge
from app.custody.rules.case import Case

HERE = Path(__file__).parent
RULES = Path(rules_package.__file__).parent
ACTS = ("refuse", "wait", "report", "put", "link", "tally", "advance")
SLOWEST = 60  # tests tried for one site at most
MAP_SECONDS = 60  # how long to wait for a scenario that another worker took

UNREACHABLE: dict[str, str] = {}  # sites that no event can reach, with the reason
EQUIVALENT = {  # sites whose loss nobody could see, with the reason
    "containment:_reweigh:put(parent)#0": "packing and unpacking put the container again, with its lifecycle",
}


@dataclass(frozen=True)
class Site:
    """One call by which a rule answers."""

    file: str
    function: str
    act: str
    word: str
    nth: int
    first: int
    last: int

    @property
    def name(self) -> str:
        """The name that stays the same when lines move."""
        return f"{self.file}:{self.function}:{self.act}({self.word})#{self.nth}"


def sites() -> list[Site]:
    """Find every site in the text of the rules."""
    found: list[Site] = []
    for path in sorted(RULES.glob("*.py")):
        for function in (n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.FunctionDef)):
            if path.name == "case.py" and function.name in {*ACTS, "accepted", "without_effect"} - {"advance"}:
                continue
            for node in ast.walk(function):
                call = _site_call(node)
                if call is not None:
                    act, word = call
                    same = [
                        s for s in found if (s.file, s.function, s.act, s.word) == (path.stem, function.name, act, word)
                    ]
                    found.append(
                        Site(
                            path.stem, function.name, act, word, len(same), node.lineno, node.end_lineno or node.lineno
                        )
                    )
    return found


def _site_call(node: ast.AST) -> tuple[str, str] | None:
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr not in ACTS:
        return None
    if not isinstance(node.func.value, ast.Name) or node.func.value.id not in {"case", "self", "notes"}:
        return None
    first = node.args[0] if node.args else None
    word = first.value if isinstance(first, ast.Constant) else ast.unparse(first)[:30] if first is not None else ""
    return node.func.attr, str(word)


SITES = sites()


def _caller_site(act: str, depth: int = 2) -> Site | None:
    frame = sys._getframe(depth)
    file, line = Path(frame.f_code.co_filename).stem, frame.f_lineno
    for site in SITES:
        if (
            site.act == act
            and site.file == file
            and site.first <= line <= site.last
            and site.function == frame.f_code.co_name
        ):
            return site
    return None


@contextmanager
def watching(see: Callable[[Site], bool]) -> Iterator[None]:
    """Let every site be seen before it acts; it is left out when `see` says so."""
    originals = {act: getattr(Case, act) for act in ACTS}

    def replaced(act: str) -> Callable[..., Any]:
        original = originals[act]

        def call(self: Case, *args: Any, **kwargs: Any) -> Any:
            site = _caller_site(act)
            if site is not None and see(site):
                return args[1] if act == "advance" else None
            return original(self, *args, **kwargs)

        return call

    for act in ACTS:
        setattr(Case, act, replaced(act))
    try:
        yield
    finally:
        for act, original in originals.items():
            setattr(Case, act, original)


@dataclass(frozen=True)
class Scenario:
    """One test of the rules, with values for its other parameters."""

    name: str
    run: Callable[..., None]


def scenarios() -> list[Scenario]:
    """Collect the tests of the rules that need a town and nothing else but their own values."""
    found: list[Scenario] = []
    for path in sorted(HERE.glob("test_rules_*.py")):
        module = importlib.import_module(f"tests.custody.{path.stem}")
        for name, function in vars(module).items():
            if not name.startswith("test_"):
                continue
            given = _values(function)
            if set(inspect.signature(function).parameters) == {"town", *given[0]}:
                for n, values in enumerate(given):
                    found.append(Scenario(f"{path.stem}:{name}[{n}]", _bound(function, values)))
    return found


def _bound(function: Callable[..., None], values: dict[str, Any]) -> Callable[..., None]:
    return lambda town: function(town=town, **values)


def _values(function: Callable[..., None]) -> list[dict[str, Any]]:
    marks = [m for m in getattr(function, "pytestmark", []) if m.name == "parametrize"]
    axes = []
    for mark in marks:
        names = [n.strip() for n in mark.args[0].split(",")] if isinstance(mark.args[0], str) else list(mark.args[0])
        axes.append([dict(zip(names, v if len(names) > 1 else (v,), strict=True)) for v in mark.args[1]])
    return [{k: v for part in parts for k, v in part.items()} for parts in itertools.product(*axes)]


class Bench:
    """Runs scenarios, each in a town of its own on SQLite."""

    def __init__(self, mould: Any, folder: Path) -> None:
        self._mould, self._folder, self._n = mould, folder, 0
        self.reached: dict[str, list[Scenario]] = {}
        self.width: dict[str, int] = {}

    def run(self, scenario: Scenario) -> bool:
        """Say whether a scenario is green."""
        self._n += 1
        folder = self._folder / str(self._n)
        folder.mkdir()
        town = self._mould.pour(folder)
        try:
            scenario.run(town)
        except Exception:  # noqa: BLE001 - whatever it is, it is red
            return False
        except BaseException as error:  # pytest's own failures are no Exceptions
            if type(error).__name__ in {"Failed", "Skipped"}:
                return False
            raise
        finally:
            with suppress(OSError):
                town.leave()
        return True

    def map(self, shared: Path) -> None:
        """Run everything once and write down which sites each scenario reaches.

        Workers of one run share the work: each takes scenarios that nobody has taken (a file of its own name,
        made exclusively) and reads what the others found.
        """
        everything = scenarios()
        for n, scenario in enumerate(everything):
            with suppress(FileExistsError):
                (shared / f"{n}.taken").touch(exist_ok=False)
                self._look(scenario, shared / f"{n}.json")
        for n, scenario in enumerate(everything):
            names = self._found(scenario, shared / f"{n}.json")
            self.width[scenario.name] = len(names)
            for name in names:
                self.reached.setdefault(name, []).append(scenario)

    def _look(self, scenario: Scenario, file: Path) -> list[str]:
        seen: set[str] = set()
        with watching(lambda site: bool(seen.add(site.name))):  # type: ignore[func-returns-value]
            green = self.run(scenario)
        found = sorted(seen) if green else []  # a red one proves nothing; its own test says so
        part = file.with_suffix(".part")
        part.write_text(json.dumps(found))
        part.rename(file)
        return found

    def _found(self, scenario: Scenario, file: Path) -> list[str]:
        for _ in range(MAP_SECONDS * 10):
            if file.exists():
                return list(json.loads(file.read_text()))
            time.sleep(0.1)
        return self._look(scenario, file)  # whoever took it is gone


@pytest.fixture(scope="session")
def bench(sqlite_town_mould, tmp_path_factory):
    """The bench with its map, made once per run."""
    made = Bench(sqlite_town_mould, tmp_path_factory.mktemp("mutants"))
    base = tmp_path_factory.getbasetemp()
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    shared = base.parent / f"mutants-{run}" if run else base / "mutants-map"
    shared.mkdir(exist_ok=True)
    made.map(shared)
    return made


@pytest.mark.parametrize("site", SITES, ids=lambda site: site.name)
def test_without_this_a_test_turns_red(bench, site):
    if site.name in UNREACHABLE:
        assert site.name not in bench.reached, "it is reached after all"
        return
    if site.name in EQUIVALENT:
        return
    reached = bench.reached.get(site.name, [])
    assert reached, "no test reaches it"
    nearest = sorted(reached, key=lambda scenario: (site.file not in scenario.name, bench.width[scenario.name]))
    for scenario in nearest[:SLOWEST]:
        with watching(lambda other: other == site):
            if not bench.run(scenario):
                return
    pytest.fail(f"left out, and none of {[scenario.name for scenario in nearest[:SLOWEST]]} noticed")


def test_a_revoked_key_is_stopped_by_the_rule_alone(bench, monkeypatch):
    """`raise Held` is no call of a case, so it is left out by hand."""
    monkeypatch.setattr(judge, "_revoked_before", lambda *_: False)
    (scenario,) = [s for s in scenarios() if "what_a_revoked_key_signs_is_held" in s.name]
    assert not bench.run(scenario)


def test_the_lists_of_exceptions_name_sites_that_exist():
    assert {*UNREACHABLE, *EQUIVALENT} <= {site.name for site in SITES}
