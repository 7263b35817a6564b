"""Run a module as a child of `parley run`, which ends when its supervisor does: `python -m core.supervised FD
MODULE ARGUMENTS...`.

FD is the reading end of a pipe that only the supervisor can write to. However the supervisor ends, even by
SIGKILL, the system closes the other end, and the read here returns. That also works where there is no
parent-death signal.
"""

import os
import runpy
import signal
import sys
import threading
import time

GRACE_SECONDS = 10


def main() -> None:
    """Watch the supervisor from a thread, and run the module in its place."""
    descriptor, module, *arguments = sys.argv[1:]
    threading.Thread(target=_watch, args=(int(descriptor),), daemon=True).start()
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _watch(descriptor: int) -> None:
    os.read(descriptor, 1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
