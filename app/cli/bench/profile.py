"""Where the time goes: py-spy looks at the service's two processes while a load is sent.

A file for https://www.speedscope.app per process, and a summary: self time by room and by function. Only threads that
run are counted. What happens inside a library in C is counted for the line of Python that called it.
"""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from app.cli.bench.processes import child
from app.cli.bench.sources import ROOT
from app.errors import MissingError

LIBRARIES = {
    "sqlalchemy": "sqlalchemy", "psycopg": "psycopg", "nacl": "crypto", "cryptography": "crypto", "asyncio": "asyncio",
    "uvloop": "asyncio", "uvicorn": "uvicorn", "starlette": "starlette", "fastapi": "fastapi", "anyio": "asyncio",
    "pydantic": "pydantic", "json": "json", "pickle": "pickle", "threading": "threads", "queue": "threads",
    "concurrent": "threads", "socket": "asyncio", "selectors": "asyncio",
}  # fmt: skip
LIBRARY_FOLDER = "site-packages"
RATE = 200
FUNCTIONS = 15
WAITING = {"Condition.wait", "wait"}
"""Where threads stand that have nothing to do; py-spy takes some of them for busy."""
START_SECONDS = 1.5
STOP_SECONDS = 60
HOW = "There is no py-spy here: `pip install py-spy` into the same environment, or run scripts/setup, which does."


def need_py_spy() -> str:
    """Return where py-spy is.

    Raises:
        MissingError: It is not installed; the text says how to get it.
    """
    found = shutil.which("py-spy") or shutil.which("py-spy", path=str(Path(sys.executable).parent))
    if found is None:
        raise MissingError(HOW)
    return found


@contextmanager
def watched(processes: Mapping[str, int], folder: Path, name: str) -> Iterator[dict[str, Path]]:
    """Profile processes for the length of a block; gives the files, which are there when it has ended.

    A block that ends by an error leaves no profiler behind, and no profile.

    Raises:
        MissingError: There is no py-spy.
        RuntimeError: It may not look at the processes, or wrote nothing.
    """
    command, folder = need_py_spy(), folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    files = {part: folder / f"{name}-{part}.speedscope.json" for part in processes}
    with ExitStack() as stack:
        running = [
            stack.enter_context(
                child(
                    [command, "record", "-r", str(RATE), "-f", "speedscope", "-o", str(files[part]), "-p", str(pid)],
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                )
            )
            for part, pid in processes.items()
        ]
        time.sleep(START_SECONDS)
        yield files
        for process in running:
            process.send_signal(signal.SIGINT)
        said = [process.communicate(timeout=STOP_SECONDS)[1] for process in running]
    for file, words in zip(files.values(), said, strict=True):
        if not file.exists():
            raise RuntimeError(f"py-spy wrote no profile: {words.decode(errors='replace')[-500:]}")
        _without_machine(file, name)


def _without_machine(file: Path, name: str) -> None:
    """Name files in a profile from `app/` on, or as their library does: where they lie here concerns nobody."""
    told = json.loads(file.read_bytes())
    for frame in told["shared"]["frames"]:
        frame["file"] = short(frame.get("file") or "")
    told["name"] = name
    file.write_text(json.dumps(told, separators=(",", ":")))


def summed(file: Path) -> dict[str, Any]:
    """Return the shares of self time in a profile, per cent: by room, and the first functions."""
    told = json.loads(file.read_bytes())
    frames = told["shared"]["frames"]
    by_function: Counter[str] = Counter()
    by_room: Counter[str] = Counter()
    for profile in told["profiles"]:
        for stack, weight in zip(profile["samples"], profile["weights"], strict=True):
            if stack and (frame := frames[stack[-1]])["name"] not in WAITING:
                by_function[f"{frame['name']} ({short(frame.get('file', ''))})"] += weight
                by_room[room_of(frame.get("file", ""))] += weight
    total = sum(by_room.values()) or 1
    return {
        "rooms": {name: round(100 * weight / total, 1) for name, weight in by_room.most_common()},
        "functions": {name: round(100 * w / total, 1) for name, w in by_function.most_common(FUNCTIONS)},
    }  # fmt: skip


def short(file: str) -> str:
    """Return the end of a path that says enough: from `app/` on, or the library's own.

    What is no path from the root on is short already, or no file (`<string>`), and stays as it is: a path that was
    shortened once must not lose its library the second time.
    """
    path = Path(file)
    if not path.is_absolute():
        return file
    if LIBRARY_FOLDER in path.parts:
        above = len(path.parts) - path.parts[::-1].index(LIBRARY_FOLDER)
        return "/".join(path.parts[above:])
    if path.is_relative_to(ROOT):
        return path.relative_to(ROOT).as_posix()
    begins = path.parts.index("app") if "app" in path.parts else -2
    return "/".join(path.parts[begins:])


def room_of(file: str) -> str:
    """Return the room of a file of ours, or what a library is for."""
    parts = short(file).split("/")
    if parts[0] == "app":
        name = parts[1].removesuffix(".py") if len(parts) > 1 else ""
        return f"app/{name}"
    for part in parts:
        if (stem := part.removesuffix(".py")) in LIBRARIES:
            return LIBRARIES[stem]
    return parts[0].removesuffix(".py") or "other"
