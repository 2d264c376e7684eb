"""Where a run lies: on which file system, and whether the files that it is to write can be written.

What a commit waits for is the disk below the run's folder. A folder in memory has none, and a figure from there says
nothing of durable commits: it is only used when it is named.
"""

import os
import re
import tempfile
from pathlib import Path

import typer

IN_MEMORY = frozenset({"tmpfs", "ramfs"})
MOUNTS = Path("/proc/self/mountinfo")
_ESCAPED = re.compile(r"\\([0-7]{3})")


def file_system(folder: Path, mounts: str | None = None) -> str:
    """Return the type of the file system that a folder lies on, such as `ext4`; `unknown` where Linux does not say.

    Args:
        folder: One that exists.
        mounts: What /proc/self/mountinfo says (proc(5)); read there when absent.
    """
    place, found = folder.resolve(), (0, "unknown")
    for line in (_mounts() if mounts is None else mounts).splitlines():
        mounted, _, rest = line.partition(" - ")
        if not rest:
            continue
        point = Path(_ESCAPED.sub(lambda match: chr(int(match[1], 8)), mounted.split()[4]))
        if place.is_relative_to(point) and len(point.parts) >= found[0]:  # of two at one point the later one counts
            found = len(point.parts), rest.split()[0]
    return found[1]


def _mounts() -> str:
    try:
        return MOUNTS.read_text()
    except OSError:
        return ""


def parent_of_run(named: Path | None, *, is_ours: bool) -> Path:
    """Return the folder below which a run makes its own.

    Args:
        named: What the command line names; the system's folder for temporary files when absent.
        is_ours: The database will lie there, too, and not on a server.

    Raises:
        typer.BadParameter: It is no folder that can be written; or nobody named it, and it is memory.
    """
    folder = named or Path(tempfile.gettempdir())
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise typer.BadParameter(f"{folder} is no folder that can be written.")
    kind = file_system(folder)
    if named is None and is_ours and kind in IN_MEMORY:
        raise typer.BadParameter(
            f"{folder} is memory ({kind}), where a commit waits for no disk: name a folder on a disk with --folder."
        )
    return folder


def refuse_unwritable(*files: Path | None) -> None:
    """Refuse files that cannot be written, before the work and not after it.

    Raises:
        typer.BadParameter: One is a folder, or there is no folder for it, or the system would not let us.
    """
    for file in filter(None, files):
        folder = file.absolute().parent
        if not folder.is_dir():
            raise typer.BadParameter(f"There is no folder {folder}.")
        if file.is_dir():
            raise typer.BadParameter(f"{file} is a folder.")
        if not os.access(folder, os.W_OK) or (file.exists() and not os.access(file, os.W_OK)):
            raise typer.BadParameter(f"{file} cannot be written.")
