"""The one set-up step behind scripts/setup: a virtual environment that matches requirements-dev.lock, and a browser.

A stamp inside .venv remembers the lock, the Python and the folder it was made for; while all three hold,
this returns at once and touches nothing. A mark stands in .venv while packages are being installed: whoever
finds it there knows that the last run was cut off, and starts afresh. Two runs at once wait for each other
on a lock of the kernel, which a killed run cannot leave behind.

The tests of pages need a Chromium. Where none is found, the system's package is installed (as root) or
Playwright's own download; when neither can be had, this says so and goes on, for the service needs none.
The tests of time stamps run an authority made by the `openssl` program; as root its package is installed where it
is missing. `--without-browser`, which scripts/run gives, leaves all that out.

Needs nothing but the standard library.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements-dev.lock"
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "set-up.stamp"
UNFINISHED = VENV / "set-up.unfinished"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WITHOUT_BROWSER = "--without-browser"


def main() -> None:
    """Bring .venv up to date, or find that it is; then see to the programs that tests drive."""
    make_sure_of_packages()
    if WITHOUT_BROWSER in sys.argv[1:]:
        return
    if find_browser() is None:
        install_browser()
    if find_openssl() is None:
        install_openssl()


def make_sure_of_packages() -> None:
    """Bring .venv up to date, or find that it is."""
    if is_ready():
        return
    if not os.access(ROOT, os.W_OK) or (VENV.exists() and not os.access(VENV, os.W_OK)):
        sys.exit(f"scripts/setup: {VENV} is to be set up, but you may not write there: run it as its owner.")
    folder = os.open(ROOT, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("another set-up is running here; waiting for it")
        fcntl.flock(folder, fcntl.LOCK_EX)
    if not is_ready():
        make_ready(folder)


def make_ready(held: int) -> None:
    """Create the environment where it is missing, moved, of another Python or cut off; install the lock.

    Args:
        held: Descriptor of the kernel's lock; pip inherits it, so a killed set-up holds others off until its
            pip is gone too.
    """
    if not can_be_kept():
        make_environment()
    UNFINISHED.touch()
    STAMP.unlink(missing_ok=True)
    say(f"installing {count_packages()} packages into .venv (once; later runs need no network)")
    elsewhere = {"PIP_USER", "PIP_TARGET", "PIP_PREFIX"}
    clean = {name: value for name, value in os.environ.items() if name not in elsewhere}
    pip = [str(PYTHON), "-I", "-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
    pip += ["--require-hashes", "--requirement", str(LOCK)]
    done = subprocess.run(pip, env=clean, pass_fds=(held,), check=False)
    if done.returncode != 0:
        sys.exit("scripts/setup: the packages could not be installed, see above; run it again to go on.")
    STAMP.write_text(wanted_stamp(python_of_venv()), encoding="utf-8")
    UNFINISHED.unlink()
    say("ready")


def find_browser() -> str | None:
    """Return the Chromium that the tests will find: the named one, the system's, or Playwright's; tests/browser.py."""
    named = os.environ.get("CUSTODY_CHROMIUM")
    if named:
        return shutil.which(named)
    downloads = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH") or Path.home() / ".cache" / "ms-playwright")
    own = next(map(str, downloads.glob("chromium-*/*/chrome")), None)
    return next(filter(None, map(shutil.which, BROWSERS)), own)


def install_browser() -> None:
    """Install Chromium: the system's package as root, else Playwright's download into the home folder."""
    if os.geteuid() == 0 and shutil.which("apt-get"):
        say("installing Chromium for the tests of pages (once; apt-get)")
        install_system_packages("chromium", "fonts-dejavu-core")
    else:
        say("downloading Chromium for the tests of pages (once; Playwright)")
        subprocess.run([str(PYTHON), "-I", "-m", "playwright", "install", "chromium"], check=False)
    if find_browser() is None:
        say("no Chromium could be installed; tests of pages will say so. CUSTODY_CHROMIUM=path names one.")


def find_openssl() -> str | None:
    """Return the `openssl` program that the tests will find; tests/tsa.py."""
    return shutil.which("openssl")


def install_openssl() -> None:
    """Install the system's package as root, or say what is missing."""
    if os.geteuid() == 0 and shutil.which("apt-get"):
        say("installing openssl for the tests of time stamps (once; apt-get)")
        install_system_packages("openssl")
    if find_openssl() is None:
        say("there is no openssl program; the tests of time stamps will fail. Install the package `openssl`.")


def install_system_packages(*names: str) -> None:
    """Install packages of Debian or Ubuntu; whoever calls looks whether it worked."""
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *names]
    for command in (["apt-get", "update", "-q"], install):
        subprocess.run(command, env=quiet, stdout=subprocess.DEVNULL, check=False)


def make_environment() -> None:
    """Create an empty environment in the place of whatever is there."""
    if find_spec("venv") is None or find_spec("ensurepip") is None:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        sys.exit(
            f"scripts/setup: this Python {version} lacks `venv`, so it cannot make virtual environments.\n"
            f"Debian, Ubuntu: apt install python3-venv (or python{version}-venv). Then run this again."
        )
    base = getattr(sys, "_base_executable", sys.executable)  # ours may be the very environment that goes away
    say(f"creating .venv with Python {sys.version.split()[0]}")
    VENV.mkdir(exist_ok=True)
    UNFINISHED.touch()
    for old in set(VENV.iterdir()) - {UNFINISHED}:
        if old.is_dir() and not old.is_symlink():
            shutil.rmtree(old)
        else:
            old.unlink()
    made = subprocess.run([base, "-I", "-m", "venv", str(VENV)], check=False)
    if made.returncode != 0:
        sys.exit("scripts/setup: .venv could not be created, see above (Debian: apt install python3-venv).")


def is_ready() -> bool:
    """Say whether nothing changed since the last run that finished."""
    try:
        stamp = STAMP.read_text(encoding="utf-8")
    except OSError:
        return False
    return not UNFINISHED.exists() and stamp == wanted_stamp(python_of_venv())


def can_be_kept() -> bool:
    """Say whether installing over what is there gives the same as starting afresh, but for extra packages."""
    if UNFINISHED.exists() or python_of_venv() is None:
        return False
    try:
        stamp = STAMP.read_text(encoding="utf-8")
    except OSError:
        return True  # made by hand: pip compares every version and hash-checks what it adds
    return stamp.splitlines()[1:] == wanted_stamp(python_of_venv()).splitlines()[1:]


def python_of_venv() -> str | None:
    """Return the exact version of the environment's Python; None when it cannot run pip."""
    if sys.prefix == str(VENV) and find_spec("pip") is not None:
        return sys.version
    if not PYTHON.exists():
        return None
    ask = "import pip, sys; print(sys.version, end='')"
    answer = subprocess.run([str(PYTHON), "-I", "-c", ask], capture_output=True, text=True, check=False)
    return answer.stdout if answer.returncode == 0 else None


def wanted_stamp(python: str | None) -> str:
    """Describe the environment that this lock, this Python and this folder ask for."""
    lock = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    return f"{lock}\n{' '.join((python or 'none').split())}\n{ROOT}\n"


def count_packages() -> int:
    """Count the pins of the lock."""
    lines = LOCK.read_text(encoding="utf-8").splitlines()
    return sum(1 for line in lines if "==" in line and line[0].isalnum())


def say(text: str) -> None:
    """Tell a person what is going on."""
    print(f"scripts/setup: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
