"""Plugins: loaded by name, held to the hooks that there are, and one apart from the other."""

import sys
from types import ModuleType

import pytest
from click import ClickException
from flask import current_app, request
from werkzeug.local import LocalProxy

from core import hookimpl
from core.manager import Failed, PluginError, PluginManager, plugin_name
from fake_channel import Fake


def unbound():
    raise RuntimeError("outside of any context")


@pytest.fixture
def plugin(monkeypatch):
    """Make a plugin module of functions; its name is that by which it is loaded."""

    def make(name, **content):
        module = ModuleType(name)
        for attribute, value in content.items():
            setattr(module, attribute, value)
        monkeypatch.setitem(sys.modules, name, module)
        return name

    return make


def loaded(*names):
    manager = PluginManager()
    manager.load(names)
    return manager


def implementation(name, source="()", body="return None"):
    """Return a hook implementation with these arguments."""
    space = {}
    exec(f"def {name}{source}:\n    {body}", space)
    return hookimpl(space[name])


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("channels.web", "channel:web"),
        ("plugins.bots", "plugin:bots"),
        ("admin", "plugin:admin"),
        ("my_line", "plugin:my_line"),
        ("plugins.demo.extra", "plugin:demo.extra"),
    ],
)
def test_a_plugin_is_named_after_its_module(module, name):
    assert plugin_name(module) == name


def test_plugins_are_loaded_in_their_order(plugin):
    assert loaded(plugin("b"), plugin("a")).names == ["plugin:b", "plugin:a"]


def test_one_that_cannot_be_imported_is_kept_as_failed_and_the_others_run(plugin, tmp_path, monkeypatch):
    (tmp_path / "broken_at_import.py").write_text("1 / 0")
    (tmp_path / "no_python.py").write_text("def :")
    monkeypatch.syspath_prepend(tmp_path)
    manager = loaded("not_there", "broken_at_import", "no_python", plugin("good"))
    assert manager.names == ["plugin:good"]
    assert [failed.plugin for failed in manager.failed] == [
        "plugin:not_there",
        "plugin:broken_at_import",
        "plugin:no_python",
    ]
    assert manager.failed[1].reason == "it cannot be imported: ZeroDivisionError: division by zero."


def test_a_misspelt_hook_is_named_with_the_one_that_was_meant(plugin, caplog):
    manager = loaded(plugin("line", on_message=implementation("on_message")), plugin("good"))
    assert manager.names == ["plugin:good"]
    manager = loaded(plugin("line", mesage_received=implementation("mesage_received")))
    assert manager.failed == [
        Failed(
            "plugin:line",
            "it declares the hook `mesage_received`, which Parley does not have. "
            "Did it mean `message_received`?",
        )
    ]
    assert "plugin `plugin:line` was not loaded" in caplog.text
    assert "The other plugins run." in caplog.text


def test_an_argument_that_a_hook_does_not_have_is_refused_and_none_of_its_hooks_is_called(plugin):
    called = []
    manager = loaded(
        plugin(
            "odd",
            message_received=hookimpl(lambda message: called.append(message)),
            refuse_message=implementation("refuse_message", "(identity, weather)"),
        )
    )
    assert "weather" in manager.failed[0].reason
    assert manager.names == []
    assert manager.notify("message_received", message=1, user=2, identity=3) == []
    assert called == []


def test_a_hook_may_be_implemented_under_another_name(plugin):
    called = []
    function = hookimpl(specname="message_received")(lambda message: called.append(message))
    manager = loaded(plugin("renamed", anything=function))
    assert manager.failed == []
    manager.notify("message_received", message=1, user=2, identity=3)
    assert called == [1]


def test_what_stands_in_for_something_else_is_no_hook(plugin):
    """A plugin imports `request` and the like, which raise when they are looked at outside of a request."""
    names = {"request": request, "current_app": current_app, "proxy": LocalProxy(unbound)}
    assert loaded(plugin("flasky", **names)).names == ["plugin:flasky"]


def test_the_same_name_twice_is_refused_the_second_time(plugin):
    name = plugin("plugins.twice")
    manager = loaded(name, name)
    assert manager.names == ["plugin:twice"]
    assert manager.failed == [Failed("plugin:twice", "there is a plugin of this name already.")]


def test_two_that_bring_the_same_channel_are_both_named(plugin):
    names = [plugin(name, register_channels=hookimpl(lambda: [Fake])) for name in ("one", "two")]
    with pytest.raises(PluginError) as error:
        loaded(*names)
    assert str(error.value) == (
        "The channel `fake` is claimed by plugin:one and by plugin:two. "
        "Take one of them out of PARLEY_PLUGINS."
    )


def test_two_that_do_the_same_job_are_both_named(plugin):
    names = [plugin(name, register_jobs=hookimpl(lambda: {"fax": print})) for name in ("one", "two")]
    with pytest.raises(PluginError, match="job `fax` is claimed by plugin:one and by plugin:two"):
        loaded(*names)


def test_one_that_fails_while_it_is_set_up_is_named(plugin):
    with pytest.raises(PluginError) as error:
        loaded(plugin("broken", register_channels=implementation("register_channels", body="return 1 / 0")))
    assert str(error.value) == (
        "The plugin plugin:broken failed in register_channels: ZeroDivisionError: division by zero. "
        "Mend it, or take it out of PARLEY_PLUGINS."
    )


@pytest.mark.parametrize("hook", ["prepare_app", "register_commands", "prepare_run"])
def test_plugins_set_up_in_the_order_of_the_settings(plugin, hook):
    argument = {"prepare_app": "app", "register_commands": "group", "prepare_run": "url"}[hook]
    names = [
        plugin(name, **{hook: implementation(hook, f"({argument})", f"return {argument}.append('{name}')")})
        for name in ("b", "c", "a")
    ]
    called = []
    assert loaded(*names).ask(hook, **{argument: called}) == []
    assert called == ["b", "c", "a"]


def test_one_that_fails_to_prepare_the_app_is_named_and_ends_the_start(plugin):
    called = []
    manager = loaded(
        plugin("broken", prepare_app=implementation("prepare_app", "(app)", "app.nothing")),
        plugin("after", prepare_app=hookimpl(lambda app: called.append(app))),
    )
    with pytest.raises(PluginError, match=r"The plugin plugin:broken failed in prepare_app: AttributeError"):
        manager.ask("prepare_app", app=None)
    assert called == []


def test_what_a_plugin_says_itself_of_its_failure_stays_as_it_is(plugin):
    def refuse(url):
        raise ClickException("No free ports were found. Nothing was started.")

    manager = loaded(plugin("line", prepare_run=hookimpl(refuse)))
    with pytest.raises(ClickException, match=r"^No free ports were found. Nothing was started.$"):
        manager.ask("prepare_run", url="http://127.0.0.1")


def test_an_event_reaches_every_plugin_though_one_raises(plugin):
    called = []
    manager = loaded(
        plugin("first", message_received=hookimpl(lambda message: called.append(("first", message)))),
        plugin("broken", message_received=implementation("message_received", body="raise KeyError('x')")),
        plugin("last", message_received=hookimpl(lambda user, identity: called.append(("last", user)))),
    )
    failed = manager.notify("message_received", message=1, user=2, identity=3)
    assert failed == [Failed("plugin:broken", "KeyError: 'x'")]
    assert sorted(called) == [("first", 1), ("last", 2)]


def test_an_event_can_be_told_to_one_alone(plugin):
    called = []
    one, two = (
        plugin(name, message_received=hookimpl(lambda name=name: called.append(name)))
        for name in ("one", "two")
    )
    manager = loaded(one, two)
    assert manager.notify("message_received", "plugin:two", message=1, user=2, identity=3) == []
    assert called == ["two"]


def test_two_apps_share_no_plugins(plugin):
    first, second = loaded(plugin("one")), loaded(plugin("two"))
    assert (first.names, second.names) == (["plugin:one"], ["plugin:two"])
