#!/usr/bin/env python3
"""Make the environment that Parley runs in: `.venv` beside this folder, from the hash-locked requirements.

Standard library alone, so that a fresh clone needs nothing but Python 3.11 or later with venv. A stamp in `.venv`
says what was installed; when it still holds, there is nothing to do. `--test` adds the test tools and a browser.
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


class Failure(Exception):
    """What went wrong and what to do, in words for the person at the terminal."""


def say(text: str) -> None:
    """Tell the person at the terminal what is going on."""
    print(f"parley: {text}", file=sys.stderr, flush=True)


def check_python() -> None:
    """Go on under the newest Python on PATH where this one is too old; refuse where there is none."""
    if sys.version_info >= OLDEST:
        return
    for minor in range(19, OLDEST[1] - 1, -1):
        newer = shutil.which(f"python3.{minor}")
        if newer:
            os.execv(newer, [newer, *sys.argv])
    found = ".".join(map(str, sys.version_info[:3]))
    raise Failure(
        f"Python {found} is too old: Parley needs Python 3.11 or later. Nothing was changed. "
        "Install one (Debian 12 and later: apt-get install python3 python3-venv), or name yours: make run PYTHON=/path/to/python3"
    )


def check_venv() -> None:
    """Refuse where the distribution ships Python without venv or pip, and name the package that has them."""
    if importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip"):
        return
    raise Failure(
        "This Python comes without venv and ensurepip. Nothing was changed. "
        f"Install them (Debian, as root: apt-get install python3.{sys.version_info[1]}-venv) and start again."
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


def pip(*arguments: str, doing: str) -> None:
    """Run pip of `.venv`, quietly; show what it said when it fails."""
    command = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )
    if done.returncode == 0:
        return
    tail = "\n".join(f"  {line}" for line in done.stdout.splitlines()[-25:])
    raise Failure(
        f"{doing} failed; pip said:\n{tail}\n{advice(done.stdout)} What was installed before is kept."
    )


def advice(output: str) -> str:
    """Say what to do about a failure of pip, from what it printed."""
    if "DO NOT MATCH THE HASHES" in output:
        return "A package is not the one that the lock names. Clear pip's cache, look at your package index, and start again."
    if "No space left" in output:
        return "The disk is full. Make room and start again."
    if "No matching distribution" in output or "Could not find a version" in output:
        return "The package index does not have it, or was not reached. Look at your connection and pip's settings, and start again."
    if any(
        sign in output
        for sign in ("ConnectionError", "NewConnectionError", "timed out", "ReadTimeout", "SSLError")
    ):
        return "The package index was not reached. Look at your connection, proxy and certificates, and start again."
    return "Mend that and start again; `make clean` starts from nothing."


def fingerprint(*files: str) -> str:
    """Return what an installation depends on: these files, the Python, and where the folder stands."""
    digest = hashlib.sha256(f"{sys.version}\n{sys.base_prefix}\n{ROOT}\n".encode())
    for name in files:
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def holds(stamp: Path, wanted: str) -> bool:
    """Say whether what `stamp` vouches for is `wanted`, and still there."""
    return stamp.is_file() and stamp.read_text() == wanted and PYTHON.exists()


def make_venv() -> None:
    """Create `.venv`, or create it anew when another Python or another folder made it."""
    stamp, wanted = VENV / "stamp-venv", fingerprint()
    if holds(stamp, wanted):
        return
    say(f"making .venv with Python {sys.version.split()[0]}")
    for child in VENV.iterdir():
        if child.name == "bootstrap.lock":
            continue
        if child.is_dir() and not child.is_symlink():
            shutil.rmtree(child)
        else:
            child.unlink()
    done = subprocess.run(
        [sys.executable, "-m", "venv", str(VENV)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        raise Failure(f"Python could not make .venv; it said:\n{done.stdout}\nMend that and start again.")
    stamp.write_text(wanted)


def install_product() -> None:
    """Install the run-time lock and, over it, this folder itself."""
    stamp, wanted = VENV / "stamp-run", fingerprint("requirements.lock", "pyproject.toml")
    if holds(stamp, wanted):
        return
    stamp.unlink(missing_ok=True)
    say("installing what Parley needs (once; about half a minute)")
    pip("install", "--require-hashes", "-r", "requirements.lock", doing="Installing requirements.lock")
    pip("install", "--no-deps", "--no-build-isolation", "-e", ".", doing="Installing Parley itself")
    stamp.write_text(wanted)


def install_tests() -> None:
    """Install the test lock and find a browser."""
    stamp, wanted = VENV / "stamp-test", fingerprint("requirements.lock", "requirements-test.lock")
    if not holds(stamp, wanted):
        stamp.unlink(missing_ok=True)
        say("installing the test tools (once; about a minute)")
        pip(
            "install",
            "--require-hashes",
            "-r",
            "requirements-test.lock",
            doing="Installing requirements-test.lock",
        )
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
    if asked:
        if browser_runs(asked):
            return asked
        raise Failure(
            f"PARLEY_CHROMIUM names {asked}, which does not run. Name a Chromium that does, or unset it."
        )
    found = browser_on_path()
    if found:
        return found
    if os.geteuid() == 0 and shutil.which("apt-get"):
        say("installing Chromium for the browser tests (apt-get install chromium)")
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["apt-get", "update"], ["apt-get", "install", "-y", "chromium"]):
            subprocess.run(command, env=quiet, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        found = browser_on_path()
        if found:
            return found
    say("installing Chromium for the browser tests (playwright install chromium)")
    subprocess.run([str(PYTHON), "-m", "playwright", "install", "chromium"], stdin=subprocess.DEVNULL)
    found = playwrights_browser()
    if found:
        return found
    raise Failure(
        "The browser tests need Chromium, and none was found or could be installed. Install it (Debian, as root: "
        "apt-get install chromium), or set PARLEY_CHROMIUM to the path of a Chromium or Chrome, and start again."
    )


def browser_on_path() -> str | None:
    """Return the first Chromium on PATH that runs, or None."""
    for name in CHROMIUM_NAMES:
        path = shutil.which(name)
        if path and browser_runs(path):
            return path
    return None


def playwrights_browser() -> str | None:
    """Return the Chromium that Playwright downloaded, or None when it has none that runs."""
    ask = (
        "from playwright.sync_api import sync_playwright\n"
        "with sync_playwright() as p: print(p.chromium.executable_path)"
    )
    done = subprocess.run([str(PYTHON), "-c", ask], stdout=subprocess.PIPE, text=True)
    path = done.stdout.strip()
    return path if path and browser_runs(path) else None


def browser_runs(path: str) -> bool:
    """Say whether the browser at `path` starts at all (a snap's stand-in, for one, may not)."""
    try:
        done = subprocess.run(
            [path, "--version"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=30,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def main() -> int:
    """Prepare `.venv` and say in one sentence what went wrong, if something did."""
    parser = argparse.ArgumentParser(description="Prepare .venv from the locked requirements.")
    parser.add_argument("--test", action="store_true", help="also the test tools and a browser")
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
    except KeyboardInterrupt:
        say("stopped; start again to go on")
        return 130
    except OSError as error:
        say(
            f"the environment could not be made: {error}. Mend that and start again; `make clean` starts from nothing."
        )
        return 1
    took = time.monotonic() - started
    if took > 2:
        say(f".venv is ready ({took:.0f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
