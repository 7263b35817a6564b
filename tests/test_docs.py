"""The documents say what the code has: a hook that they do not show fails here."""

import inspect
import re
import sys
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import core
from core import Author, AuthorKind, ReachKind, hookspecs
from core.manager import PluginManager
from core.settings import DEMO, SHIPPED

ROOT = Path(__file__).parent.parent
DOCUMENT = (ROOT / "docs" / "hooks.md").read_text()
SECTIONS = dict(re.findall(r"^### (\S+)\n(.*?)(?=^##|\Z)", DOCUMENT, re.MULTILINE | re.DOTALL))
HOOKS = {
    name: function
    for name, function in inspect.getmembers(hookspecs, inspect.isfunction)
    if hasattr(function, f"{hookspecs.PROJECT}_spec")
}


def test_every_hook_is_shown_and_no_other():
    assert SECTIONS.keys() == HOOKS.keys()


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_is_shown_with_its_signature(hook):
    signature = str(inspect.signature(HOOKS[hook])).replace("'", "")
    assert f"```python\ndef {hook}{signature}\n```" in SECTIONS[hook]


@pytest.mark.parametrize("hook", HOOKS)
def test_every_argument_of_a_hook_is_explained_and_no_other(hook):
    explained = re.findall(r"^- `(\w+)`: \S", SECTIONS[hook], re.MULTILINE)
    assert explained == list(inspect.signature(HOOKS[hook]).parameters)


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_says_when_it_is_called_what_comes_back_and_what_several_do(hook):
    for part in ("When", "Returns", "Several plugins"):
        assert re.search(rf"^- \*\*{part}:\*\* \S", SECTIONS[hook], re.MULTILINE), part
    assert inspect.getdoc(HOOKS[hook])


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_is_there_because_a_plugin_that_ships_uses_it(hook):
    manager = PluginManager()
    manager.load((*SHIPPED, DEMO))
    assert manager.failed == []
    assert manager._implementations(hook)


def test_the_example_of_a_plugin_works(monkeypatch):
    [source, *_] = re.findall(r"```python\n(\"\"\".*?)```", DOCUMENT, re.DOTALL)
    module = ModuleType("quiet_hours")
    exec(source, module.__dict__)
    monkeypatch.setitem(sys.modules, "quiet_hours", module)
    manager = PluginManager()
    manager.load(["quiet_hours"])
    assert manager.failed == []

    def refused(kind, hour):
        now = datetime(2026, 11, 24, hour, tzinfo=UTC)
        return [answer.kind for answer in manager.refusals(None, core.Outbound(), Author(kind), now)]

    assert refused(AuthorKind.BOT, 3) == [ReachKind.HUMAN_ONLY]
    assert refused(AuthorKind.BOT, 7) == refused(AuthorKind.AGENT, 3) == []


@pytest.mark.parametrize("document", sorted((ROOT / "docs").glob("*.md")), ids=lambda path: path.name)
def test_what_a_document_names_is_there(document):
    text = document.read_text()
    named = re.findall(r"`((?:core|admin|channels|plugins)/[\w/.]*)`", text)
    assert [path for path in named if not (ROOT / path).exists()] == []
    links = re.findall(r"\]\(([^)#:]+)\)", text)
    assert [link for link in links if not (document.parent / link).exists()] == []
    for place in re.findall(r"`(core\.[\w.]+)`", text):
        module, _, name = place.rpartition(".")
        assert hasattr(import_module(module), name), place


def test_what_core_exports_is_all_there_and_in_order():
    assert list(core.__all__) == sorted(core.__all__, key=lambda name: (not name.isupper(), name))
    assert [name for name in core.__all__ if not hasattr(core, name)] == []
