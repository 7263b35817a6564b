"""What `parley run` keeps alive beside the web process and the worker; values only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Program:
    """A Python module that runs as a process of its own, `python -m module arguments...`; `name` stands
    before each of its log lines.
    """

    name: str
    module: str
    arguments: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    descriptors: Sequence[int] = ()
    """Open files that the process inherits under their numbers."""


@dataclass(frozen=True)
class Companions:
    """What a plugin adds to a run: programs to keep alive, lines to print once the page answers, variables
    for all processes.
    """

    programs: Sequence[Program] = ()
    lines: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
