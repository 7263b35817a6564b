"""Keys and secrets: one key a purpose, and nothing readable at rest or in a message."""

import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from core.context import parley
from core.db import database
from core.deployments import channel_of
from core.models import Deployment
from core.secrets import Keys, SecretUnreadable
from fake_channel import SECRET, deploy

PLUGINS = ("fake_channel",)
KEYS = Keys("one secret key of an installation, long enough")
OTHER = Keys("another secret key of an installation")


@effort(max_examples=30)
@given(text=st.text(st.characters(codec="utf-8")))
def test_what_was_encrypted_comes_back(text):
    assert KEYS.decrypt(KEYS.encrypt(text)) == text


def test_the_same_secret_is_never_written_alike():
    assert KEYS.encrypt("hush") != KEYS.encrypt("hush")
    assert "hush" not in KEYS.encrypt("hush")


def test_each_purpose_has_a_key_of_its_own_that_stays():
    purposes = ("cookies", "encryption", "visitor-tokens", "")
    keys = {KEYS.derive(purpose) for purpose in purposes}
    assert len(keys) == len(purposes)
    assert {len(key) for key in keys} == {32}
    assert KEYS.derive("cookies") == Keys("one secret key of an installation, long enough").derive("cookies")
    assert KEYS.derive("cookies") != OTHER.derive("cookies")


TOKENS = {
    "another key": OTHER.encrypt("hush"),
    "plain": "hush",
    "empty": "",
    "cut off": "gAAAA",
    "changed": KEYS.encrypt("x")[:-2] + "xx",
    "not ASCII": "ü",
}


@pytest.mark.parametrize("token", TOKENS.values(), ids=TOKENS)
def test_what_another_key_wrote_is_refused_with_what_to_do(token):
    with pytest.raises(SecretUnreadable) as error:
        KEYS.decrypt(token)
    assert "PARLEY_SECRET_KEY is not the key it was written with" in str(error.value)
    assert "Nothing was changed." in str(error.value)
    assert "hush" not in str(error.value)


def test_keys_show_nothing():
    assert "one secret key" not in repr(KEYS) + str(KEYS)


def test_a_deployment_s_secret_is_encrypted_at_rest_and_read_for_its_channel(app):
    shop = deploy()
    [(stored,)] = database.execute_sql("SELECT CAST(config AS TEXT) FROM deployment").fetchall()
    assert SECRET not in stored
    assert "encrypted:" in stored
    channel = channel_of(Deployment.get_by_id(shop.id))
    assert channel.config.secret.get_secret_value() == SECRET
    assert SECRET not in repr(channel.config)


def test_the_cookies_of_the_app_are_signed_with_their_own_key(app):
    assert app.config["SECRET_KEY"] == parley().keys.derive("cookies")


def test_a_channel_is_kept_until_its_deployment_changes(app, clock):
    shop = deploy()
    kept = channel_of(shop)
    assert channel_of(Deployment.get_by_id(shop.id)) is kept
    clock.advance(seconds=1)
    Deployment.update(place="elsewhere", changed=clock.now()).execute()
    changed = channel_of(Deployment.get_by_id(shop.id))
    assert changed is not kept
    assert changed.place == "elsewhere"
