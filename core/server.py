"""How gunicorn serves Parley, as its configuration: `gunicorn --config python:core.server wsgi:app`.

One process with many threads: an open page holds a stream, and each stream holds a thread, which costs 70 kB.
On PostgreSQL more processes can serve beside it (`--workers`).
"""

import logging
import signal
from types import FrameType
from typing import Any

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

worker_class = "gthread"
workers = 1
threads = 1000
worker_connections = 2000
graceful_timeout = 5  # streams end within a second; what takes longer is cut
control_socket_disable = True  # it is one per user: a second Parley would silently take it over


def post_fork(server: Any, worker: Any) -> None:
    """Say in the log what the app itself says."""
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT)


def post_worker_init(worker: Any) -> None:
    """Let a stopping process end its streams first, so that no restart waits for open pages."""
    stopping = worker.wsgi.extensions["parley"].hub.stopping

    def end_streams(number: int, frame: FrameType | None) -> None:
        stopping.set()
        worker.handle_exit(number, frame)

    signal.signal(signal.SIGTERM, end_streams)
