"""`parley property`: definitions from the command line, with sentences for what cannot be done."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from flask import Flask

from core import properties
from core.catalogue import Writer, catalogue
from core.cli import parley as command
from core.models import Origin, User
from core.worker import Worker

PLUGINS = ("channels.web",)


def property_(*arguments: str, given: str = "") -> Result:
    """Run a command in the app of the test."""
    return CliRunner().invoke(command, ("property", *arguments), input=given)


def listed() -> dict[str, Any]:
    return {one["key"]: one for one in json.loads(property_("list", "--json").output)}


def test_a_key_is_listed_in_one_piece(app: Flask) -> None:
    key = "preferred_delivery_morning_or_evening"
    assert property_("add", key, "--label", "When it is to be brought to the user").exit_code == 0
    assert key in property_("list").output


def test_a_property_is_added_edited_archived_restored_and_purged(app: Flask) -> None:
    result = property_(
        "add", "plan", "--choice", "free", "--choice", "pro=Pro plan", "--pinned",
        "--editable-by", "admin,bot", "--group", "Sales", "--default", "free",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert result.output == "Defined `plan`: Plan, Choice (2). It is in use.\n"
    plan = listed()["plan"]
    assert plan["options"] == {"choices": [{"value": "free"}, {"value": "pro", "label": "Pro plan"}]}
    assert (plan["editable_by"], plan["group"], plan["default"]) == (["admin", "bot"], "Sales", "free")
    assert plan["pinned"]
    result = property_("edit", "plan", "--label", "Tariff", "--option", "allow_other=yes", "--default", "")
    assert result.exit_code == 0, result.output
    plan = listed()["plan"]
    assert (plan["label"], plan["default"], plan["group"]) == ("Tariff", None, "Sales")
    assert plan["options"]["allow_other"] is True
    assert len(plan["options"]["choices"]) == 2
    assert property_("archive", "plan").exit_code == 0
    assert "plan" not in listed()
    assert "plan" in property_("list", "--archived").output
    assert property_("restore", "plan").exit_code == 0
    assert "plan" in listed()
    assert "is not archived" in property_("purge", "plan", "--yes").output
    property_("archive", "plan")
    assert property_("purge", "plan", given="n\n").exit_code == 1
    assert "plan" in catalogue(fresh=True).by_key
    assert property_("purge", "plan", "--yes").exit_code == 0
    assert "plan" not in catalogue(fresh=True).by_key


def test_numbers_of_options_are_read_by_the_type(app: Flask) -> None:
    result = property_("add", "age", "--type", "integer", "--option", "max=99", "--option", "unit=5")
    assert result.exit_code == 0, result.output
    assert listed()["age"]["options"] == {"max": 99, "unit": "5"}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("add", "Plan"), "key: A key is made of"),
        (("add", "country"), "`country` is the key of Parley’s own property “Country” already"),
        (("add", "x", "--type", "mood"), "There is no type “mood”"),
        (("add", "x", "--type", "integer", "--option", "max=tall"), "`max` takes a whole number."),
        (("add", "x", "--type", "integer", "--option", "max"), "not of the form NAME=VALUE"),
        (("add", "x", "--editable-by", "boss"), "“boss” cannot edit"),
        (("edit", "nowhere", "--label", "x"), "There is no property `nowhere`."),
        (("edit", "country", "--label", "x"), "`country` is locked"),
        (("edit", "name"), "Say what to change"),
        (("edit", "name", "--label", ""), "label: A label has 1 to 80 characters."),
        (("archive", "name"), "belongs to Parley or to a channel"),
        (("archive", "nowhere"), "There is no property `nowhere`."),
        (("import", "/does/not/exist"), "No such file"),
    ],
)
def test_what_cannot_be_done_is_said(app: Flask, arguments: tuple[str, ...], sentence: str) -> None:
    number = catalogue(fresh=True).number
    result = property_(*arguments)
    assert result.exit_code != 0
    assert sentence in " ".join(result.output.replace("│", "").split())
    assert "Traceback" not in result.output
    assert catalogue(fresh=True).number == number


def test_definitions_go_from_one_file_into_another_installation(app: Flask, tmp_path: Path) -> None:
    property_("add", "plan", "--choice", "free")
    for name in ("all.json", "all.yml"):
        assert property_("export", str(tmp_path / name)).exit_code == 0
        result = property_("import", str(tmp_path / name))
        assert result.exit_code == 0
        assert "There is nothing to change." in result.output
    assert (tmp_path / "all.json").read_text() == property_("export").output
    assert (tmp_path / "all.yml").read_text() == property_("export", "--yaml").output
    assert property_("export", "-").output == property_("export").output
    assert (tmp_path / "all.yml").read_text().startswith("pinned:\n")
    assert "cannot be written" in property_("export", str(tmp_path / "no" / "all.json")).output


def test_an_import_shows_its_plan_and_asks(app: Flask) -> None:
    property_("add", "city", "--label", "City")
    text = json.dumps([{"key": "plan", "type": "text"}, {"key": "city", "label": "Town"}])
    shown = property_("import", "-", "--plan", given=text)
    assert shown.exit_code == 0
    said = " ".join(shown.output.split())
    assert "create plan Plan (text)" in said
    assert "change city label: City → Town" in said
    assert "1 created, 1 changed, 0 in conflict, 0 left as they are." in said
    assert "plan" not in listed()
    unasked = property_("import", "-", given=text)  # there is nobody to ask
    assert unasked.exit_code == 1
    assert "plan" not in listed()
    assert property_("import", "-", "--yes", given=text).exit_code == 0
    assert (listed()["plan"]["label"], listed()["city"]["label"]) == ("Plan", "Town")


def test_an_import_with_conflicts_changes_nothing_unless_they_are_skipped(app: Flask) -> None:
    text = json.dumps([{"key": "plan"}, {"key": "country"}])
    refused = property_("import", "-", "--yes", given=text)
    assert refused.exit_code == 1
    assert "Nothing was changed." in refused.output
    assert "conflict" in refused.output
    assert "plan" not in listed()
    assert property_("import", "-", "--plan", given=text).exit_code == 1
    plan = json.loads(property_("import", "-", "--plan", "--skip-conflicts", "--json", given=text).output)
    assert [one["key"] for one in plan["created"]] == ["plan"]
    assert [one["key"] for one in plan["conflicts"]] == ["country"]
    assert property_("import", "-", "--yes", "--skip-conflicts", given=text).exit_code == 0
    assert "plan" in listed()


def test_a_property_is_converted_by_a_worker(app: Flask, worker: Worker) -> None:
    property_("add", "age")
    user = User.add(name="Asha")
    properties.write(user.id, {"age": "old"}, Writer(Origin.API, groups=frozenset({"agent"})))
    assert "--type" in property_("convert", "age").output
    assert "has this type" in property_("convert", "age", "--type", "text").output
    result = property_("convert", "age", "--type", "integer", "--option", "max=120")
    assert result.exit_code == 0, result.output
    assert listed()["age"]["conversion"] == "Being converted to “Whole number”."
    worker.run_until_idle()
    assert f"does not take: {user.key}. Nothing was changed." in property_("list").output
    assert property_("convert", "age", "--forget").exit_code == 0
    assert listed()["age"]["conversion"] is None
    result = property_("convert", "age", "--type", "choice", "--choice", "old=Old", "--choice", "new")
    assert result.exit_code == 0, result.output
    worker.run_until_idle()
    assert listed()["age"]["type"] == "choice"


def test_a_file_that_cannot_be_read_is_said(app: Flask) -> None:
    result = property_("import", "-", "--yes", given="[1, 2")
    assert result.exit_code == 1
    assert "The file is neither JSON nor YAML" in result.output


@pytest.mark.parametrize(
    "name", ["", "add", "edit", "list", "archive", "restore", "purge", "convert", "export", "import"]
)
def test_every_command_has_help(name: str) -> None:
    result = property_(*name.split(), "--help")
    assert result.exit_code == 0
    assert "Usage:" in result.output
