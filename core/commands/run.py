"""`parley run`: everything on one machine, in one command."""

import http.client
import os
import socket
import time
from collections.abc import MutableMapping
from ipaddress import ip_address
from pathlib import Path

import click

from core import environment
from core.app import create_app
from core.context import EXTENSION
from core.db import database
from core.programs import Companions, Program
from core.supervisor import Supervisor, when_answers

_ROOT = Path(__file__).resolve().parent.parent.parent
_PAGE_SECONDS = 60


@click.command()
@click.option("--demo", is_flag=True, help="Serve a workspace of made-up people, to this machine only.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 takes a free one."
)
def run(demo: bool, host: str, port: int) -> None:
    """Run Parley here: one web process and one worker, kept alive until you stop this.

    Without PARLEY_SECRET_KEY a key is made and kept in the data folder; without PARLEY_DATABASE_URL the
    database is a file there.
    """
    if demo and not _is_loopback(host):
        raise click.ClickException(
            f"The demo workspace is for this machine only, and others can reach {host}. Leave --host out."
        )
    with listening(host, port) as listener:
        url = f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"
        made = _complete(os.environ, url, demo)
        companions = _prepare(url)
        supervisor = Supervisor({**os.environ, **companions.environment})
        supervisor.listen()
        if made:
            supervisor.say(f"made a secret key for this folder: {made}")
        supervisor.start(
            [web_program(listener), Program("worker", "core.cli", ["worker"]), *companions.programs]
        )

        def announce() -> None:
            supervisor.settled = True
            lines = (f"Parley is at {os.environ['PARLEY_PUBLIC_URL']}", *companions.lines, "Ctrl-C stops it.")
            for line in lines:
                supervisor.say(line)

        when_answers(lambda: _answers(listener.getsockname()), announce)
        code = supervisor.run()
    raise SystemExit(code)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def listening(host: str, port: int) -> socket.socket:
    """Open the socket that the web process will serve.

    It stays open while that process is replaced, so that requests wait instead of being refused.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise click.ClickException(f"{host} is no address of this machine: {error.strerror}.") from error
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise click.ClickException(
            f"{host}:{port} cannot be used: {(error.strerror or 'unknown reason').lower()}. "
            "Nothing was started. Stop what uses it, or choose another port with --port."
        ) from error
    listener.listen(2048)
    return listener


def _complete(variables: MutableMapping[str, str], url: str, demo: bool) -> Path | None:
    """Say in the environment what all processes of this run share; returns the key file if one was made."""
    environment.use_absolute_paths(variables)
    made = environment.make_local_key(variables)
    variables.setdefault("PARLEY_PUBLIC_URL", url)
    if demo:
        variables["PARLEY_DEMO"] = "1"
    # Calls to this machine never go through a proxy: the demo's provider and bot are here.
    local = "127.0.0.1,localhost,::1"
    for name in ("NO_PROXY", "no_proxy"):
        variables[name] = ",".join(filter(None, (variables.get(name), local)))
    return made


def _prepare(url: str) -> Companions:
    """Migrate the database, and let the plugins prepare the run."""
    app = create_app()
    manager = app.extensions[EXTENSION].manager
    with app.app_context(), database.connection_context():
        answers = manager.ask("prepare_run", url=url)
    if hasattr(database.obj, "close_all"):
        database.obj.close_all()
    return Companions(
        [program for answer in answers for program in answer.programs],
        [line for answer in answers for line in answer.lines],
        {name: value for answer in answers for name, value in answer.environment.items()},
    )


def web_program(listener: socket.socket) -> Program:
    """Return the web process, which serves `listener`."""
    number = listener.fileno()
    arguments = [
        "--config",
        "python:core.server",
        "--bind",
        f"fd://{number}",
        "--chdir",
        str(_ROOT),
        "wsgi:app",
    ]
    return Program("web", "gunicorn", arguments, descriptors=(number,))


def _answers(address: tuple[str, int]) -> bool:
    """Say whether the web process answers; the request waits in the socket's queue until there is one."""
    connection = http.client.HTTPConnection(address[0], address[1], timeout=_PAGE_SECONDS)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        time.sleep(0.2)
        return False
    finally:
        connection.close()
