#!/usr/bin/env python3
"""Make the environment that Parley runs in: `.venv` in this folder, from the hash-locked requirements.

Standard library alone, so that a fresh clone needs nothing but Python 3.11 or later with venv. Stamps in
`.venv` say what was installed; while they hold, there is nothing to do. `--test` adds the test tools and a
browser.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

OLDEST = (3, 11)
ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
CHROMIUM_PATH = VENV / "chromium-path"
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
NETWORK_SIGNS = ("ConnectionError", "ConnectTimeout", "ReadTimeout", "timed out", "SSLError")

PLAYWRIGHT_PATH = """
from playwright.sync_api import sync_playwright
with sync_playwright() as playwright:
    print(playwright.chromium.executable_path)
"""


class Failure(Exception):
    """What went wrong and what to do, in words for the person at the terminal."""


def say(text: str) -> None:
    """Tell the person at the terminal what is going on."""
    print(f"parley: {text}", file=sys.stderr, flush=True)


def check_python() -> None:
    """Go on under a newer Python on PATH where this one is too old; refuse where there is none."""
    if sys.version_info >= OLDEST:
        return
    for minor in range(19, OLDEST[1] - 1, -1):
        newer = shutil.which(f"python3.{minor}")
        if newer:
            os.execv(newer, [newer, *sys.argv])
    found = ".".join(map(str, sys.version_info[:3]))
    raise Failure(
        f"Python {found} is too old: Parley needs Python 3.11 or later. Nothing was changed. Install one "
        "(Debian 12 or later, as root: apt-get install python3 python3-venv), or name yours: "
        "make run PYTHON=/path/to/python3"
    )


def check_venv() -> None:
    """Refuse where the distribution ships Python without venv or pip, and name the package that has them."""
    if importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip"):
        return
    raise Failure(
        "This Python comes without venv and ensurepip. Nothing was changed. Install them (Debian, as root: "
        f"apt-get install python3.{sys.version_info[1]}-venv) and start again."
    )


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Let one bootstrap at a time work on `.venv`; a second one waits."""
    import fcntl

    VENV.mkdir(exist_ok=True)
    with (VENV / "bootstrap.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another start is preparing .venv; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run(*command: str | Path, total: int = 0) -> tuple[int, str]:
    """Run a command quietly; return its exit code and what it printed.

    Where somebody watches, show how many of `total` packages pip has in hand.
    """
    lines: list[str] = []
    collected = 0
    watched = total and sys.stderr.isatty()
    with subprocess.Popen(
        [str(part) for part in command],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        for line in process.stdout or ():
            lines.append(line)
            collected += line.startswith("Collecting ")
            if watched:
                done = "unpacking" if line.startswith("Installing ") else f"{min(collected, total)}/{total}"
                print(f"\r  {done:<12}", end="", file=sys.stderr, flush=True)
    if watched:
        print("\r" + " " * 14 + "\r", end="", file=sys.stderr, flush=True)
    return process.returncode, "".join(lines)


def pip_install(*arguments: str, what: str, total: int = 0) -> None:
    """Install with the pip of `.venv`; show what it said when it fails."""
    flags = ["--disable-pip-version-check", "--no-input", "--progress-bar", "off"]
    code, output = run(PYTHON, "-m", "pip", "install", *flags, *arguments, total=total)
    if code == 0:
        return
    lines = [line for line in output.splitlines() if "WARNING:" not in line]
    tail = "\n".join(f"  {line}" for line in lines[-12:])
    raise Failure(f"installing {what} failed; pip said:\n{tail}\n{advice(output)} Nothing has to be undone.")


def install_lock(lock: str) -> None:
    """Install the packages that a lock file names, and no others: each must have one of its hashes."""
    total = sum("==" in line for line in (ROOT / lock).read_text().splitlines())
    pip_install("--require-hashes", "-r", lock, what=lock, total=total)


def advice(output: str) -> str:
    """Say what to do about a failure of pip, from what it printed."""
    if "DO NOT MATCH THE HASHES" in output:
        return "A package is not the one that the lock names. Clear pip's cache and start again."
    if "No space left" in output:
        return "The disk is full. Make room and start again."
    if any(sign in output for sign in NETWORK_SIGNS):
        return "The package index was not reached. Look at connection, proxy and certificates; start again."
    if "No matching distribution" in output or "Could not find a version" in output:
        return "The package index does not have it. Look at pip's settings and start again."
    return "Mend that and start again; `make clean` starts from nothing."


def fingerprint(*files: str) -> str:
    """Return what an installation depends on: these files, the Python in use, and where the folder stands."""
    digest = hashlib.sha256(f"{ROOT}\n{PYTHON.resolve()}\n".encode())
    for name in files:
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def holds(stamp: Path, wanted: str) -> bool:
    """Say whether what `stamp` vouches for is `wanted`, and still there."""
    return stamp.is_file() and stamp.read_text() == wanted and PYTHON.exists()


def make_venv() -> None:
    """Create `.venv`, or create it anew when its Python is gone or the folder has moved."""
    stamp = VENV / "stamp-venv"
    if holds(stamp, fingerprint()):
        return
    say(f"making .venv with Python {sys.version.split()[0]}")
    for child in VENV.iterdir():
        if child.is_dir() and not child.is_symlink():
            shutil.rmtree(child)
        elif child.name != "bootstrap.lock":
            child.unlink()
    code, output = run(sys.executable, "-m", "venv", VENV)
    if code:
        raise Failure(f"Python could not make .venv; it said:\n{output}\nMend that and start again.")
    stamp.write_text(fingerprint())


def install_product() -> None:
    """Install the run-time lock and, over it, this folder itself."""
    stamp, wanted = VENV / "stamp-run", fingerprint("requirements.lock", "pyproject.toml")
    if holds(stamp, wanted):
        return
    stamp.unlink(missing_ok=True)
    say("installing what Parley needs (once; about half a minute)")
    install_lock("requirements.lock")
    pip_install("--no-deps", "--no-build-isolation", "-e", ".", what="Parley itself")
    stamp.write_text(wanted)


def install_tests() -> None:
    """Install the test lock and find a browser."""
    stamp, wanted = VENV / "stamp-test", fingerprint("requirements.lock", "requirements-test.lock")
    if not holds(stamp, wanted):
        stamp.unlink(missing_ok=True)
        say("installing the test tools (once; about a minute)")
        install_lock("requirements-test.lock")
        stamp.write_text(wanted)
    if not browser_is_known():
        CHROMIUM_PATH.write_text(find_browser())


def browser_is_known() -> bool:
    """Say whether the browser that was found before is still there, and still the one asked for."""
    asked = os.environ.get("PARLEY_CHROMIUM")
    known = CHROMIUM_PATH.read_text() if CHROMIUM_PATH.is_file() else ""
    return bool(known) and os.access(known, os.X_OK) and asked in (None, "", known)


def find_browser() -> str:
    """Return the path of a Chromium that runs: the one named, one on PATH, Debian's, or Playwright's own."""
    asked = os.environ.get("PARLEY_CHROMIUM")
    if asked and not browser_runs(asked):
        raise Failure(f"PARLEY_CHROMIUM names {asked}, which does not run. Name one that does, or unset it.")
    found = asked or browser_on_path() or debians_browser() or playwrights_browser()
    if found:
        return found
    raise Failure(
        "The browser tests need Chromium, and none was found or could be installed. Install it (Debian, as "
        "root: apt-get install chromium), or set PARLEY_CHROMIUM to the path of one, and start again."
    )


def browser_on_path() -> str | None:
    """Return the first Chromium on PATH that runs, or None."""
    paths = (shutil.which(name) for name in CHROMIUM_NAMES)
    return next((path for path in paths if path and browser_runs(path)), None)


def debians_browser() -> str | None:
    """Install Debian's Chromium, where we may, and return its path, or None."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return None
    say("installing Chromium for the browser tests (apt-get install chromium)")
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    run("apt-get", "update")
    run("apt-get", "install", "-y", "chromium")
    return browser_on_path()


def playwrights_browser() -> str | None:
    """Let Playwright download its Chromium, and return its path, or None."""
    say("installing Chromium for the browser tests (playwright install chromium)")
    run(PYTHON, "-m", "playwright", "install", "chromium")
    code, output = run(PYTHON, "-c", PLAYWRIGHT_PATH)
    path = output.strip()
    return path if code == 0 and browser_runs(path) else None


def browser_runs(path: str) -> bool:
    """Say whether the browser at `path` starts at all (a snap's stand-in, for one, may not)."""
    try:
        return run(path, "--version")[0] == 0
    except OSError:
        return False


def main() -> int:
    """Prepare `.venv`, or say in a sentence or two what went wrong."""
    parser = argparse.ArgumentParser(description="Prepare .venv from the locked requirements.")
    parser.add_argument("--test", action="store_true", help="add the test tools and a browser")
    options = parser.parse_args()
    started = time.monotonic()
    try:
        check_python()
        check_venv()
        with alone():
            make_venv()
            install_product()
            if options.test:
                install_tests()
    except Failure as failure:
        say(str(failure))
        return 1
    except OSError as error:
        say(f".venv could not be made: {error}. Mend that and start again; `make clean` starts from nothing.")
        return 1
    except KeyboardInterrupt:
        say("stopped; start again to go on")
        return 130
    took = time.monotonic() - started
    if took > 2:
        say(f".venv is ready ({took:.0f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
