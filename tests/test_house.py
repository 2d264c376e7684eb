"""The house keeps its own rules: dependencies, pins, floors, docstrings, and nothing of anybody's machine."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCKS = ("requirements.lock", "requirements-dev.lock")
NOT_OURS = {"__pycache__", "build", "dist", "node_modules"}
OWN_DOOR = {ROOT / "app/cli/__init__.py"}  # an entrance, not a room: `custody` starts at app.cli:main

FOLDERS = "work|root|tmp|mnt|Users"
MACHINE_PATH = re.compile(rf"(?<![\w.~/>)}}\]*-])/(?:{FOLDERS})(?=[/\s\"'`:;,)]|$)|(?<![\w.~/-])/home/\w", re.MULTILINE)
INDEX_HOST = re.compile(
    r"\b(?:test\.)?pypi\.(?:org|python)|\bpythonhosted\b|\bregistry\.(?:npmjs|yarnpkg)\b|/simple/?(?=[\s\"'])"
)


def test_docs_name_every_dependency_and_no_other():
    runtime, development = re.split(r"^## For development$", read("docs/dependencies.md"), flags=re.MULTILINE)
    assert table_names(runtime) == [normal(each) for each in PROJECT["project"]["dependencies"]]
    extra = PROJECT["project"]["optional-dependencies"]["dev"]
    assert table_names(development.partition("\n## ")[0]) == [normal(each) for each in extra]


def test_every_dependency_row_says_why():
    rows = re.findall(r"^\| (\S+) \| (.*) \|$", read("docs/dependencies.md"), flags=re.MULTILINE)
    assert [name for name, why in rows if name != "package" and len(why) < 10] == []


@pytest.mark.parametrize("name", LOCKS)
def test_every_pin_is_exact_and_hashed(name):
    for package, lines in pins(name).items():
        assert re.search(rf"^{re.escape(package)}==[\w.]+ \\$", lines, re.MULTILINE), package
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", lines), package


@pytest.mark.parametrize("name", LOCKS)
def test_locks_hold_no_address_and_no_option(name):
    code = [line.partition("#")[0] for line in read(name).splitlines()]
    assert [line for line in code if "://" in line or "@" in line or line.startswith("-")] == []
    assert "://" not in read(name)


def test_locks_pin_what_the_project_asks_for():
    runtime, everything = pins("requirements.lock"), pins("requirements-dev.lock")
    wanted = {normal(each) for each in PROJECT["project"]["dependencies"]}
    tools = {normal(each) for each in PROJECT["project"]["optional-dependencies"]["dev"]}
    assert wanted <= runtime.keys()
    assert wanted | tools <= everything.keys()
    exact = {version(lines) for lines in everything.values()}
    assert [version(lines) for lines in runtime.values() if version(lines) not in exact] == []


def test_no_file_names_a_machine_path_or_an_index_host():
    found = []
    for path in our_files():
        text = path.read_bytes().decode("utf-8", errors="ignore")
        for pattern in (MACHINE_PATH, INDEX_HOST):
            found += [f"{path.relative_to(ROOT)}: {match.group()}" for match in pattern.finditer(text)]
    assert found == []


@pytest.mark.parametrize("planted", ["cd /{}", 'x = "/{}/y"', "see `/{}/a.txt`", "path=/{}/z"])
@pytest.mark.parametrize("folder", FOLDERS.split("|"))
def test_the_search_for_machine_paths_finds_planted_ones(planted, folder):
    assert MACHINE_PATH.search(planted.format(folder))


@pytest.mark.parametrize("fine", ["a/root", "size/root hash", "GET /v1/work", "frame/work", "</root>", "../{}/tmp"])
def test_the_search_for_machine_paths_leaves_other_text_alone(fine):
    assert not MACHINE_PATH.search(fine)


def test_import_contracts_hold():
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_room_with_tables_keeps_them_by_contract():
    contracts = PROJECT["tool"]["importlinter"]["contracts"]
    kept = {module for each in contracts for module in each.get("protected_modules", [])}
    private = {path for path in modules() if path.name in {"_tables.py", "_store.py"}}
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in private}
    assert names - kept == set()


def test_every_module_says_what_it_is():
    silent = [path for path in modules() if not ast.get_docstring(parse(path))]
    assert silent == []


def test_every_public_function_of_a_pure_module_has_a_docstring():
    silent = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in pure_modules()
        for name, node in public_functions(parse(path))
        if not ast.get_docstring(node)
    ]
    assert silent == []


def test_the_package_file_of_a_room_is_a_docstring_and_nothing_else():
    files = [path for path in modules() if path.name == "__init__.py" and path not in OWN_DOOR]
    assert [path for path in files if len(parse(path).body) != 1 or not ast.get_docstring(parse(path))] == []


def test_every_folder_of_modules_is_a_package():
    folders = {path.parent for path in modules()}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []


def test_scripts_can_be_started():
    started = [
        ROOT / ".ci/run",
        *(ROOT / "scripts" / name for name in ("setup", "run", "test", "check", "custody")),
    ]
    assert [path for path in started if not os.access(path, os.X_OK)] == []


def test_ci_runs_the_checks_and_then_the_tests():
    calls = re.findall(r"^scripts/.*$", read(".ci/run"), re.MULTILINE)
    assert calls == ["scripts/check", "scripts/test"]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def normal(requirement: str) -> str:
    """Reduce a requirement to its package's normal name."""
    name = re.match(r"[\w.-]+", requirement)
    assert name, requirement
    return re.sub(r"[-_.]+", "-", name.group()).lower()


def table_names(text: str) -> list[str]:
    """List the first column of the tables of a text, in order."""
    names = re.findall(r"^\| (\S+) \|", text, flags=re.MULTILINE)
    return [normal(name) for name in names if name not in {"package", "---"}]


def pins(name: str) -> dict[str, str]:
    """Split a lock into one text per package."""
    parts = re.split(r"^(?=\w)", read(name), flags=re.MULTILINE)
    return {normal(part): part for part in parts if not part.startswith("#") and part.strip()}


def version(lines: str) -> str:
    return lines.split(maxsplit=1)[0]


def our_files() -> Iterator[Path]:
    """Walk the tree without environments, caches, version control and data of a run."""
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [
            name
            for name in folders
            if name not in NOT_OURS
            and not name.startswith("custody-data")
            and not name.endswith(".egg-info")
            and (not name.startswith(".") or name == ".ci")
        ]
        yield from (Path(folder) / name for name in files if not name.endswith((".pyc", ".db")))


def modules() -> list[Path]:
    return sorted((ROOT / "app").rglob("*.py"))


def pure_modules() -> Iterator[Path]:
    """List the files that the contract "Rules are pure" names, packages with all they hold."""
    contracts = PROJECT["tool"]["importlinter"]["contracts"]
    [contract] = [each for each in contracts if each["name"] == "Rules are pure"]
    for name in contract["source_modules"]:
        path = ROOT / name.replace(".", "/")
        found = sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
        assert all(each.exists() for each in found), f"pyproject.toml calls {name} pure, but it does not exist"
        yield from found


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def public_functions(
    tree: ast.Module | ast.ClassDef,
) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """List the functions of a module and of its public classes that do not start with an underscore."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            yield node.name, node
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from ((f"{node.name}.{name}", inner) for name, inner in public_functions(node))
