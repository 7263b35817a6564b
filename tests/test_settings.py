"""The environment: what is missing or wrong is named, and no secret is ever repeated."""

from pathlib import Path

import pytest

from conftest import settings_for
from core.app import create_app
from core.settings import SHIPPED, Settings, SettingsError, load_settings

KEY = "k" * 32


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """Start from an environment that says nothing but the key."""
    for name in Settings.model_fields:
        monkeypatch.delenv(f"PARLEY_{name.upper()}", raising=False)
    monkeypatch.setenv("PARLEY_SECRET_KEY", KEY)
    return monkeypatch


def refused(environment, **variables):
    for name, value in variables.items():
        environment.setenv(f"PARLEY_{name.upper()}", value)
    with pytest.raises(SettingsError) as error:
        load_settings()
    return str(error.value).splitlines()


def test_without_anything_else_it_starts_on_sqlite():
    settings = load_settings()
    assert settings.database_url == "sqlite:///var/parley.db"
    assert (settings.plugins, settings.data_dir) == (SHIPPED, Path("var"))
    assert settings.secret_key.get_secret_value() == KEY


def test_a_missing_key_says_what_it_is_for_and_what_to_do(environment):
    environment.delenv("PARLEY_SECRET_KEY")
    [line] = refused(environment)
    assert line == (
        "PARLEY_SECRET_KEY is missing. Without it sessions cannot be signed "
        "and channel secrets cannot be read. Set it, or start with `parley run`, which makes a local one."
    )


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("secret_key", "too short to hush", "is shorter than 32 characters"),
        ("secret_key", "", "is shorter than 32 characters"),
        ("database_url", "mysql://root:hush@host/x", "must start with sqlite:/// or postgresql://"),
        ("database_url", "", "must start with sqlite:/// or postgresql://"),
        ("public_url", "ftp://hush", "must start with http:// or https://"),
        ("max_body", "hush", "valid integer"),
        ("max_body", "0", "greater than or equal to 1"),
        ("trusted_proxies", "-1", "greater than or equal to 0"),
        ("database_connections", "1", "greater than or equal to 2"),
        ("claim_minutes", "0", "greater than or equal to 1"),
        ("worker_threads", "0", "greater than or equal to 1"),
        ("worker_threads", "1.5", "valid integer"),
        ("demo", "hush", "valid boolean"),
    ],
)
def test_what_is_wrong_names_its_variable_and_repeats_no_value(environment, name, value, says):
    [line] = refused(environment, **{name: value})
    assert line.startswith(f"PARLEY_{name.upper()}: ")
    assert says in line
    assert "hush" not in line


def test_everything_that_is_wrong_is_said_at_once(environment):
    lines = refused(environment, secret_key="short", max_body="x", demo="perhaps")
    assert [line.partition(":")[0] for line in lines] == [
        "PARLEY_SECRET_KEY",
        "PARLEY_DEMO",
        "PARLEY_MAX_BODY",
    ]


def test_the_cause_of_a_refusal_is_not_shown_with_its_values(environment):
    environment.setenv("PARLEY_SECRET_KEY", "hush")
    with pytest.raises(SettingsError) as error:
        load_settings()
    assert error.value.__cause__ is None
    assert error.value.__suppress_context__


@pytest.mark.parametrize(
    "url", ["postgresql://user:hush@[bad/x", "postgresql://user:hush@h/x?foo=1", "postgresql://u:hush%zz@h/x"]
)
def test_a_database_url_that_cannot_be_read_is_named_and_its_password_is_not(url):
    with pytest.raises(SettingsError, match=r"^PARLEY_DATABASE_URL: ") as error:
        create_app(settings_for(url, Path(), plugins=()))
    assert "hush" not in str(error.value)
    assert error.value.__suppress_context__


def test_secrets_are_in_no_representation(environment):
    environment.setenv("PARLEY_DATABASE_URL", "postgresql://user:hush@host/name")
    settings = load_settings()
    for text in (repr(settings), str(settings), f"{settings!r}"):
        assert KEY not in text
        assert "hush" not in text


def test_plugins_are_a_list_with_commas(environment):
    environment.setenv("PARLEY_PLUGINS", " channels.web , my_line ,")
    assert load_settings().plugins == ("channels.web", "my_line")
    environment.setenv("PARLEY_PLUGINS", "")
    assert load_settings().plugins == ()


def test_the_demo_workspace_is_loaded_where_it_is_served_and_once(environment):
    assert load_settings().modules == SHIPPED
    environment.setenv("PARLEY_DEMO", "1")
    assert load_settings().modules == (*SHIPPED, "plugins.demo")
    environment.setenv("PARLEY_PLUGINS", "plugins.demo")
    assert load_settings().modules == ("plugins.demo",)


def test_a_public_url_loses_its_last_slash(environment):
    environment.setenv("PARLEY_PUBLIC_URL", "https://chat.example.com/")
    assert load_settings().public_url == "https://chat.example.com"


def test_every_setting_says_what_it_is():
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []
