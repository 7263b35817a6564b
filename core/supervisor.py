"""Keep programs alive: start them, print what they say with their name before it, start the dead again, and
end with all of them.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from types import FrameType
from typing import IO

import click

from core.programs import Program

LOOK_SECONDS = 0.1
GRACE_SECONDS = 25.0  # longer than a worker's call to a provider may take
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
HEALTHY_SECONDS = 30.0
TRIES_AT_START = 3
COLOURS = ("cyan", "magenta", "green", "yellow", "blue")


class Child:
    """One program, through all its lives."""

    def __init__(self, program: Program, colour: str) -> None:
        self.program = program
        self.colour = colour
        self.process: subprocess.Popen[bytes] | None = None
        self.started = 0.0
        self.due = 0.0
        self.deaths = 0

    @property
    def is_running(self) -> bool:
        """Say whether the process is there."""
        return self.process is not None and self.process.poll() is None


class Supervisor:
    """The programs of one run. Start and watch them from the main thread, which receives the signals."""

    def __init__(self, environment: Mapping[str, str], out: IO[str] | None = None) -> None:
        self._environment = dict(environment)
        self._out = out or sys.stdout
        self._write_lock = threading.Lock()
        self._children: list[Child] = []
        self._lifeline, self._held = os.pipe()
        self._signals = 0
        self.settled = False
        """Set once everything runs; before, a program that dies again and again ends the run instead of being
        tried for ever.
        """

    def start(self, programs: Iterable[Program]) -> None:
        """Start programs, and keep them alive from now on."""
        for program in programs:
            child = Child(program, COLOURS[len(self._children) % len(COLOURS)])
            self._children.append(child)
            self._spawn(child)

    def run(self) -> int:
        """Watch until a signal says stop, then stop everything; returns the exit code of the run."""
        code = 0
        try:
            while not self._signals:
                if (broken := self._revive()) is not None:
                    self.say(f"{broken} cannot start; its last lines above say why. Everything stops.")
                    code = 1
                    break
                time.sleep(LOOK_SECONDS)
        finally:
            self.stop()
        return code

    def stop(self) -> None:
        """End all programs: with SIGTERM, and with SIGKILL those that do not follow in time or when a second
        signal comes.
        """
        for child in self._children:
            if child.process is not None and child.is_running:
                child.process.send_signal(signal.SIGTERM)
        heard = self._signals
        deadline = time.monotonic() + GRACE_SECONDS
        while any(child.is_running for child in self._children):
            if time.monotonic() > deadline or self._signals > heard:
                for child in self._children:
                    if child.process is not None:
                        child.process.kill()
            time.sleep(LOOK_SECONDS / 2)
        self._children.clear()

    def end(self) -> None:
        """Let `run` stop everything; asked a second time, it no longer waits for anybody."""
        self._signals += 1

    def listen(self) -> None:
        """Stop on SIGINT, SIGTERM and SIGHUP."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)

    def say(self, line: str, name: str = "parley", colour: str | None = None) -> None:
        """Print a line with the name of who says it."""
        prefix = f"{name:<8} │ "
        if colour and self._out.isatty():
            prefix = click.style(prefix, fg=colour)
        with self._write_lock:
            try:
                self._out.write(f"{prefix}{line}\n")
                self._out.flush()
            except (OSError, ValueError):  # nobody listens any more; the programs go on
                return

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.end()

    def _revive(self) -> str | None:
        """Start again what has died, after a pause that grows; returns the name of a program that never came
        up.
        """
        now = time.monotonic()
        for child in self._children:
            if child.is_running:
                continue
            if not child.due:
                if now - child.started > HEALTHY_SECONDS:
                    child.deaths = 0
                child.deaths += 1
                if not self.settled and child.deaths >= TRIES_AT_START:
                    return child.program.name
                pause = min(FIRST_PAUSE * 2 ** (child.deaths - 1), LONGEST_PAUSE)
                child.due = now + pause
                self.say(f"{child.program.name} ended{_how(child)}; it starts again in {pause:g} s")
            elif now >= child.due:
                self._spawn(child)
        return None

    def _spawn(self, child: Child) -> None:
        program = child.program
        child.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "core.supervised",
                str(self._lifeline),
                program.module,
                *program.arguments,
            ],
            env={**self._environment, **program.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(self._lifeline, *program.descriptors),
            start_new_session=True,  # Ctrl-C reaches the supervisor alone, which then stops the others
        )
        child.started, child.due = time.monotonic(), 0.0
        self.say(f"{program.name} started (pid {child.process.pid})")
        threading.Thread(target=self._relay, args=(child, child.process.stdout), daemon=True).start()

    def _relay(self, child: Child, stream: IO[bytes] | None) -> None:
        with stream or open(os.devnull, "rb") as lines:
            for line in lines:
                self.say(line.decode(errors="replace").rstrip(), child.program.name, child.colour)


def _how(child: Child) -> str:
    code = child.process.returncode if child.process is not None else None
    if code is None or code == 0:
        return ""
    return f" by signal {-code}" if code < 0 else f" with code {code}"


def when_answers(ask: Callable[[], bool], then: Callable[[], None]) -> None:
    """Call `then` once `ask` says yes; both run in a thread of their own."""

    def wait() -> None:
        while not ask():
            time.sleep(LOOK_SECONDS)
        then()

    threading.Thread(target=wait, daemon=True).start()
