"""Which code is measured: the package's version and a hash over its sources, whether or not there is a git here."""

import tomllib
from functools import lru_cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import app

ROOT = Path(app.__file__).resolve().parent.parent
PACKAGE = "ballot-custody"
MEASURED = ("app", "migrations")
"""Folders whose Python makes a difference to what a figure says: the service, this command, and the tables."""


@lru_cache(maxsize=1)
def code_version() -> str:
    """Return the package's version and the first digits of the hash of its sources, such as `0.1.0+3f09a1c2d4e5`."""
    return f"{_package_version(ROOT)}+{hash_of(ROOT)[:12]}"


def hash_of(root: Path) -> str:
    """Return the SHA-256 over every source file below a tree's folders, by name and content, hexadecimal."""
    found = sha256()
    for file in sorted(path for folder in MEASURED for path in (root / folder).rglob("*.py")):
        found.update(f"{file.relative_to(root).as_posix()}\n{sha256(file.read_bytes()).hexdigest()}\n".encode())
    return found.hexdigest()


def _package_version(root: Path) -> str:
    """Return the version of the installed package, or what a checkout says that it would have."""
    try:
        return version(PACKAGE)
    except PackageNotFoundError:
        told = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
        return str(told["project"]["version"])
