"""The command line, and `parley run` as a person starts it: real processes, real signals."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from flask import Flask

from core import clock
from core.cli import parley as command
from core.deployments import UnknownDeployment, add_deployment, channel_of, deployment_called
from core.models import Deployment, LogState, Message, Template, WebhookLog
from core.programs import Program
from core.supervisor import Supervisor
from plugins.demo.whatsapp_provider import WhatsAppProvider
from running import Running, environment, is_alive, wait_for


def parley(*arguments: str, given: str = "") -> Result:
    """Run a command in the app of the test."""
    return CliRunner().invoke(command, arguments, input=given)


def shell(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a process of its own; a variable given as "" is left out."""
    given = {name: value for name, value in environment(folder, **variables).items() if value}
    return subprocess.run(
        [sys.executable, "-m", "core.cli", *arguments],
        cwd=Path(__file__).parent.parent,
        env=given,
        capture_output=True,
        text=True,
        timeout=60,
    )


# ── Deployments ───────────────────────────────────────────────────────────────────────────────────

SECRETS = {"app_secret": "an-app-secret", "verify_token": "some-words", "access_token": "an-access-token"}


@pytest.fixture
def played(app: Flask) -> Any:
    with WhatsAppProvider(number="+1 555-010-0000", **SECRETS) as provider:
        yield provider


def whatsapp(provider: WhatsAppProvider, folder: Path, *more: str) -> tuple[str, ...]:
    (folder / "secret").write_text(SECRETS["app_secret"] + "\n")
    return (
        "deployment", "add", "whatsapp", "--label", "Support line",
        "--set", f"phone_number_id={provider.phone_number_id}", "--set", f"waba_id={provider.waba_id}",
        "--set", f"base_url={provider.url}", "--set-file", f"app_secret={folder}/secret",
        "--set-env", "verify_token=WORDS", *more,
    )  # fmt: skip


def test_a_deployment_is_checked_named_and_its_secrets_are_never_shown(
    played: WhatsAppProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORDS", SECRETS["verify_token"])
    result = parley(*whatsapp(played, tmp_path), given=SECRETS["access_token"] + "\n")
    assert result.exit_code == 0, result.output
    found = Deployment.get()
    assert found.place == "+1 555-010-0000 · Lumen & Oak"
    assert found.account == played.phone_number_id
    assert f"/webhooks/{found.key}" in result.output
    assert Template.select().count() == len(played.templates)
    config: Any = channel_of(found).config
    assert {name: getattr(config, name).get_secret_value() for name in SECRETS} == SECRETS
    shown = result.output + json.dumps(found.config) + parley("deployment", "list").output
    assert not any(secret in shown for secret in SECRETS.values())


def test_what_the_provider_refuses_is_not_added(
    played: WhatsAppProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORDS", SECRETS["verify_token"])
    result = parley(*whatsapp(played, tmp_path), given="another-token\n")
    assert result.exit_code == 1
    assert "Nothing was added" in result.output
    assert not Deployment.select().exists()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--set", "access_token=x"), "access_token is a secret"),
        (("--set", "colour=red"), "WhatsApp has no field colour"),
        (("--set", "nonsense"), "not of the form NAME=VALUE"),
        (("--set-file", "access_token=/does/not/exist"), "cannot be read"),
        (("--set-env", "access_token=NOT_THERE"), "the environment has no NOT_THERE"),
        (("--set-env", "access_token=WORDS", "--set", "api_version=9"), "api_version"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_added(
    played: WhatsAppProvider,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    sentence: str,
) -> None:
    monkeypatch.setenv("WORDS", "words")
    result = parley(*whatsapp(played, tmp_path, *options))
    assert result.exit_code != 0
    assert sentence in " ".join(result.output.replace("│", "").split())
    assert not Deployment.select().exists()


def test_an_account_is_served_once(app: Flask) -> None:
    first = parley(
        "deployment", "add", "web", "--label", "Shop", "--account", "shop", "--place", "shop.example"
    )
    again = parley("deployment", "add", "web", "--label", "Other", "--account", "shop")
    assert first.exit_code == 0, first.output
    assert again.exit_code == 1
    assert "already has a deployment for the account shop" in again.output
    (row,) = json.loads(parley("deployment", "list", "--json").output)
    assert (row["label"], row["place"], row["state"]) == ("Shop", "shop.example", "on")


def test_a_deployment_is_called_by_key_or_by_label(app: Flask) -> None:
    one = add_deployment("web", "a", "Shop", "a", {})
    assert deployment_called("Shop").id == deployment_called(one.key).id == one.id
    add_deployment("web", "b", "Shop", "b", {})
    with pytest.raises(UnknownDeployment, match="Several deployments are called “Shop”"):
        deployment_called("Shop")
    with pytest.raises(UnknownDeployment, match="No deployment is called “x”"):
        deployment_called("x")


# ── Webhooks ──────────────────────────────────────────────────────────────────────────────────────


def logged(provider: WhatsAppProvider, body: bytes | None = None) -> WebhookLog:
    """Log a body as the web process does just before it dies, and mark it as failed."""
    config = {
        **SECRETS,
        "phone_number_id": provider.phone_number_id,
        "waba_id": provider.waba_id,
        "base_url": provider.url,
    }
    found = Deployment.get_or_none() or add_deployment(
        "whatsapp", provider.phone_number_id, "Line", "Line", config
    )
    message = {
        "from": "15550100200",
        "id": "wamid.1",
        "timestamp": "1790000000",
        "type": "text",
        "text": {"body": "hi"},
    }
    contact = {"wa_id": "15550100200", "profile": {"name": "Asha"}}
    whole = json.dumps(provider.envelope({"messages": [message], "contacts": [contact]})).encode()
    return WebhookLog.create(
        deployment=found,
        received=clock.now(),
        method="POST",
        body=body or whole,
        state=LogState.FAILED,
        error="why",
    )


def test_failed_webhooks_are_listed_shown_and_replayed(played: WhatsAppProvider) -> None:
    entry = logged(played)
    (row,) = json.loads(parley("webhook", "list", "--state", "failed", "--json").output)
    assert (row["id"], row["remark"]) == (entry.id, "why")
    assert '"body": "hi"' in parley("webhook", "show", str(entry.id)).output
    result = parley("webhook", "replay", str(entry.id))
    assert result.exit_code == 0, result.output
    assert Message.get(Message.author == "user").text == "hi"
    assert parley("webhook", "replay", str(entry.id)).exit_code == 0
    assert Message.select().where(Message.author == "user").count() == 1


def test_all_failed_webhooks_are_replayed_and_those_that_fail_again_are_counted(
    played: WhatsAppProvider,
) -> None:
    logged(played)
    logged(played, b"not JSON")
    result = parley("webhook", "replay", "--all-failed")
    assert result.exit_code == 1
    assert "1 of 2 webhooks are processed now" in result.output
    assert "1 failed again" in result.output


@pytest.mark.parametrize("arguments", [("replay",), ("replay", "1", "--all-failed"), ("show", "99")])
def test_a_webhook_that_is_not_named_is_not_touched(app: Flask, arguments: tuple[str, ...]) -> None:
    assert parley("webhook", *arguments).exit_code != 0


# ── What cannot be done is said ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "run",
        "worker",
        "migrate",
        *("deployment", "deployment add", "deployment list", "deployment templates"),
        *("webhook", "webhook list", "webhook show", "webhook replay"),
        *("bot", "bot set", "bot list", "bot remove"),
        "operator",
        "demo load",
    ],
)
def test_every_command_has_help(arguments: str) -> None:
    result = parley(*arguments.split(), "--help")
    assert result.exit_code == 0, result.output
    assert "Usage:" in result.output


def test_settings_that_are_missing_are_said_without_a_traceback(tmp_path: Path) -> None:
    result = shell(tmp_path, "migrate", PARLEY_SECRET_KEY="")
    assert result.returncode == 1
    assert result.stderr.startswith("PARLEY_SECRET_KEY is missing.")
    assert "Traceback" not in result.stderr


def test_a_database_that_cannot_be_used_is_said_without_its_password(tmp_path: Path) -> None:
    url = "postgresql://someone:s3cret@127.0.0.1:1/parley"
    result = shell(tmp_path, "deployment", "list", PARLEY_DATABASE_URL=url)
    assert result.returncode == 1
    assert "The database cannot be used" in result.stderr
    assert "Traceback" not in result.stderr
    assert "s3cret" not in result.stderr


def test_migrate_says_what_it_did_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/parley.db"
    first, second = (shell(tmp_path, "migrate", PARLEY_DATABASE_URL=url) for _ in range(2))
    assert "core/0001_initial" in first.stderr
    assert "migrated" not in second.stderr
    assert second.stdout == "The database is up to date.\n"


def test_version(tmp_path: Path) -> None:
    assert shell(tmp_path, "--version").stdout.startswith("parley, version ")


# ── The supervisor ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--demo", "--host", "0.0.0.0"), "The demo workspace is for this machine only"),
        (("--host", "192.0.2.1"), "cannot be used"),
    ],
)
def test_an_address_that_will_not_do_is_refused(
    tmp_path: Path, options: tuple[str, ...], sentence: str
) -> None:
    result = shell(tmp_path, "run", "--port", "0", *options)
    assert result.returncode == 1
    assert sentence in result.stderr
    assert not (tmp_path / "parley.db").exists()


def test_a_port_that_is_in_use_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = shell(tmp_path, "run", "--port", str(port))
    assert result.returncode == 1
    assert f"127.0.0.1:{port} cannot be used: address already in use. Nothing was started." in result.stderr
    assert "Traceback" not in result.stderr


@pytest.fixture
def run(tmp_path: Path) -> Any:
    """A plain `parley run` on an embedded database, with a key of its own."""
    url = f"sqlite:///{tmp_path}/parley.db"
    running = Running(tmp_path, variables={"PARLEY_SECRET_KEY": "", "PARLEY_DATABASE_URL": url})
    yield running
    running.stop(signal.SIGKILL)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=20) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def test_a_run_makes_a_key_serves_and_ends_with_all_its_processes(run: Running, tmp_path: Path) -> None:
    assert answers(run.url)
    assert stat.S_IMODE((tmp_path / "secret.key").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "parley.db").stat().st_mode) == 0o600
    assert (tmp_path / "secret.key").read_text().strip() not in run.log
    pids = run.pids()
    assert pids.keys() == {"web", "worker", "serving"}
    began = time.monotonic()
    assert run.stop() == 0
    assert time.monotonic() - began < 15
    assert not any(map(is_alive, pids.values()))


def test_what_dies_starts_again(run: Running) -> None:
    url = run.url
    for name in ("worker", "web"):
        before = run.pids()[name]
        os.kill(before, signal.SIGKILL)
        wait_for(lambda name=name, before=before: run.pids()[name] != before, 20, lambda: run.log)
        assert f"{name} ended by signal 9; it starts again in" in run.log
    serving = run.pids()["serving"]
    os.kill(serving, signal.SIGKILL)
    wait_for(lambda: answers(url), 30, lambda: run.log)


def test_all_processes_end_when_the_supervisor_is_killed(run: Running) -> None:
    assert run.url
    pids = run.pids()
    run.stop(signal.SIGKILL)
    wait_for(lambda: not any(map(is_alive, pids.values())), 15, lambda: run.log)


def test_a_program_that_never_comes_up_ends_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    supervisor = Supervisor({**os.environ})
    supervisor.start([Program("broken", "no_such_module")])
    assert supervisor.run() == 1
    said = capsys.readouterr().out
    assert "No module named no_such_module" in said
    assert "broken cannot start" in said


def test_an_open_stream_does_not_hold_up_the_end(run: Running, tmp_path: Path) -> None:
    url = run.url
    added = shell(
        tmp_path,
        "deployment", "add", "web", "--label", "Shop",
        PARLEY_SECRET_KEY=(tmp_path / "secret.key").read_text().strip(),
        PARLEY_DATABASE_URL=f"sqlite:///{tmp_path}/parley.db",
    )  # fmt: skip
    assert added.returncode == 0, added.stderr
    token = _post(_web(url, added.stdout), "token", {}, None)["token"]
    message = {"client_id": "0e4e9a4c-0f0c-4b0c-8c0a-0a0b0c0d0e0f", "text": "hi"}
    _post(_web(url, added.stdout), "messages", message, token)
    request = urllib.request.Request(
        f"{_web(url, added.stdout)}stream", headers={"Authorization": f"Bearer {token}"}
    )
    with urllib.request.urlopen(request, timeout=20) as stream:
        assert stream.readline().startswith(b"retry")
        assert run.stop() == 0
        stream.read()  # raises IncompleteRead for a stream that was cut off, and not ended by Parley itself


def _web(url: str, said: str) -> str:
    """Return where the widget's API is, from what the command said."""
    found = re.search(r"/web/\w+/", said)
    assert found is not None
    return url + found[0]


def _post(base: str, name: str, body: dict[str, Any], token: str | None) -> dict[str, Any]:
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    request = urllib.request.Request(base + name, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=20) as response:
        found: dict[str, Any] = json.load(response)
        return found
