"""Parley as it really runs: `parley run` and all its processes, started and ended by a test."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

Found = TypeVar("Found")

KEY = "a secret key for the tests, long enough"


def wait_for(what: Callable[[], Found | None], seconds: float = 30, saying: Callable[[], str] = str) -> Found:
    """Return what `what` returns once that is something; fails after `seconds`, with what `saying` says."""
    deadline = time.monotonic() + seconds
    while True:
        if found := what():
            return found
        assert time.monotonic() < deadline, f"waited {seconds} s in vain\n{saying()}"
        time.sleep(0.05)


def environment(folder: Path, **variables: str) -> dict[str, str]:
    """Return an environment for a Parley in `folder`, with nothing of the one that the tests run in."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PARLEY_", "PYTEST_"))}
    return {**kept, "PARLEY_DATA_DIR": str(folder), "PARLEY_SECRET_KEY": KEY, **variables}


class Running:
    """One `parley run`, on a free port."""

    def __init__(self, folder: Path, *arguments: str, variables: Mapping[str, str]) -> None:
        self._lines: list[str] = []
        self._process = subprocess.Popen(
            [sys.executable, "-m", "core.cli", "run", "--port", "0", *arguments],
            cwd=Path(__file__).parent.parent,
            env=environment(folder, **variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    @property
    def log(self) -> str:
        """Return everything that was printed."""
        return "".join(self._lines)

    @property
    def pid(self) -> int:
        """Return the process id of the supervisor."""
        return self._process.pid

    @property
    def url(self) -> str:
        """Return where it is, once it answers."""
        return wait_for(lambda: self.last(r"Parley is at (http://\S+)"), 60, lambda: self.log)

    def last(self, pattern: str) -> str | None:
        """Return the first group of the last line that holds `pattern`."""
        found = re.findall(pattern, self.log)
        return found[-1] if found else None

    def pids(self) -> dict[str, int]:
        """Return the process ids of the programs; `serving` is the process behind gunicorn that answers."""
        found = {name: int(pid) for name, pid in re.findall(r"(\w+) started \(pid (\d+)\)", self.log)}
        if serving := self.last(r"Booting worker with pid: (\d+)"):
            found["serving"] = int(serving)
        return found

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it, and return its exit code."""
        self._process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Wait for its end, and return its exit code."""
        try:
            code = self._process.wait(40)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._reader.join(20)
        assert self._process.stdout is not None
        self._process.stdout.close()
        return code

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.append(line)


def is_alive(pid: int) -> bool:
    """Say whether a process is there, and more than a remainder that nobody has taken note of."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
