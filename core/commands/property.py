"""`parley property`: define properties, and take definitions from one installation to another."""

import json
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from core import conversion, definitions, property_files, property_texts
from core.catalogue import Definition, catalogue
from core.commands.output import print_rows
from core.definitions import EDITORS, BadDefinition, Draft, known
from core.models import Scope, Source
from core.property_files import Plan, PlanRefused
from core.property_texts import Unreadable

_EXPLAINED = (BadDefinition, LookupError, PlanRefused, Unreadable)


class Explaining(click.Group):
    """Commands whose refusals are sentences, without a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; what it cannot do is said."""
        try:
            return super().invoke(ctx)
        except BadDefinition as error:
            raise click.ClickException(_problems(error)) from None
        except _EXPLAINED as error:
            raise click.ClickException(str(error)) from None


@click.group("property", cls=Explaining)
def property_() -> None:
    """Properties: what is known of users. They are in use at once, with no restart."""


def _described(function: Any) -> Any:
    """Give a command the options that describe a property."""
    options = (
        click.option("--label", help="How the panel calls it."),
        click.option("--help-text", "help", help="What it means, for those who fill it in."),
        click.option("--group", help="Under which heading it is listed."),
        click.option(
            "--choice", "choices", multiple=True, metavar="VALUE[=LABEL]", help="A choice; repeat it."
        ),
        click.option(
            "--option",
            "options",
            multiple=True,
            metavar="NAME=VALUE",
            help="An option of the type, as max=10.",
        ),
        click.option("--default", help="What new users begin with; empty for nothing."),
        click.option("--editable-by", metavar="WHO,WHO", help=f"Of {', '.join(EDITORS)}; empty for nobody."),
        click.option("--personal/--not-personal", default=None, help="Whether it is personal data."),
        click.option("--filterable/--not-filterable", default=None, help="Whether lists filter by it."),
        click.option("--pinned/--not-pinned", default=None, help="Whether it stands at the top of profiles."),
        click.option(
            "--promotes-to", metavar="KEY", help="The user's property that a session's is handed to."
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


@property_.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--archived", is_flag=True, help="List the archived ones.")
def list_all(as_json: bool, archived: bool) -> None:
    """List the properties: pinned ones first, then by group."""
    now = catalogue(fresh=True)
    found = [one for one in now.by_key.values() if one.archived] if archived else now.active
    if as_json:
        click.echo(json.dumps([_as_json(one) for one in found], ensure_ascii=False, indent=2, default=str))
        return
    rows = [
        {
            "key": one.key,
            "label": one.label,
            "type": _type(one),
            "source": one.source.value,
            "scope": one.scope.value,
            "group": one.section,
            "pinned": one.pinned,
            "editable by": "locked" if one.is_locked else one.editors,
        }
        for one in found
    ]
    print_rows(rows, as_json=False, nothing="No property is archived.")
    for one in found:
        if one.conversion is not None:
            click.echo(f"`{one.key}`: {conversion.said(one)}")


@property_.command()
@click.argument("key")
@click.option("--type", "type_", help="Its type; text, or choice where choices are given.")
@click.option("--scope", type=click.Choice([one.value for one in Scope]), help="user, when left out.")
@click.option(
    "--source", type=click.Choice([Source.CUSTOM.value, Source.BOT.value]), help="custom, when left out."
)
@_described
def add(key: str, type_: str | None, scope: str | None, source: str | None, **described: Any) -> None:
    """Define the property KEY."""
    given = _given(described, before=None)
    type_ = type_ or ("choice" if described["choices"] else "text")
    given |= {"key": key, "type": type_, "label": given.get("label") or key.replace("_", " ").capitalize()}
    given |= {name: value for name, value in (("scope", scope), ("source", source)) if value}
    made = definitions.create(Draft.model_validate(given))
    click.echo(f"Defined `{made.key}`: {made.label}, {_type(made)}. It is in use.")


@property_.command()
@click.argument("key")
@_described
def edit(key: str, **described: Any) -> None:
    """Change the property KEY; what is left out stays.

    Choices and options replace those of before, each by its name. To change the type, convert it.
    """
    before = known(key, catalogue(fresh=True))
    if before.is_locked:
        raise click.ClickException(f"`{key}` is locked: Parley or a channel fills it. Nothing was changed.")
    draft = definitions.draft_of(before)
    given = _given(described, before=draft)
    if not given:
        raise click.UsageError("Say what to change, such as --label.")
    made = definitions.edit(key, Draft.model_validate({**draft.model_dump(), **given}))
    click.echo(f"Changed `{made.key}`: {made.label}, {_type(made)}.")


@property_.command()
@click.argument("key")
def archive(key: str) -> None:
    """Take KEY out of use; its values stay."""
    definitions.archive(key)
    click.echo(f"Archived `{key}`. Its values are kept; `parley property restore {key}` brings it back.")


@property_.command()
@click.argument("key")
def restore(key: str) -> None:
    """Take the archived KEY into use again."""
    definitions.restore(key)
    click.echo(f"`{key}` is in use again.")


@property_.command()
@click.argument("key")
@click.option("--yes", is_flag=True, help="Delete without asking.")
def purge(key: str, yes: bool) -> None:
    """Delete the archived KEY with all its values and their history. Nothing brings them back."""
    known(key, catalogue(fresh=True))
    if not yes:
        click.confirm(f"Delete `{key}` with all values and their history, for ever?", abort=True)
    definitions.purge(key)
    click.echo(f"`{key}` is gone. A worker deletes what it held.")


@property_.command()
@click.argument("key")
@click.option("--type", "type_", help="The type that it is to have.")
@click.option("--choice", "choices", multiple=True, metavar="VALUE[=LABEL]", help="A choice; repeat it.")
@click.option("--option", "options", multiple=True, metavar="NAME=VALUE", help="An option of the type.")
@click.option("--forget", is_flag=True, help="Take away the note of a conversion that failed.")
def convert(
    key: str, type_: str | None, choices: tuple[str, ...], options: tuple[str, ...], forget: bool
) -> None:
    """Give KEY another type, with all its values.

    A worker does it while everybody goes on. Where one value does not fit, nothing is changed, and `list`
    says whose it is.
    """
    if forget and type_ is None:
        conversion.forget(key)
        click.echo(f"`{key}` is as it was.")
        return
    if type_ is None:
        raise click.UsageError("Say which type it is to have, with --type.")
    given = dict(_option(one) for one in options)
    if choices:
        given["choices"] = [_choice(one) for one in choices]
    conversion.convert(key, type_, given)
    click.echo(f"`{key}` is being converted by a worker. `parley property list` says how that stands.")


@property_.command()
@click.argument("path", metavar="[FILE]", type=click.Path(dir_okay=False), required=False)
@click.option(
    "--yaml", "as_yaml", is_flag=True, help="Write YAML; also done where FILE ends in .yml or .yaml."
)
def export(path: str | None, as_yaml: bool) -> None:
    """Write the definitions that are yours to FILE, else to the terminal (or "-"); values are not in it."""
    as_yaml = as_yaml or bool(path and path.endswith((".yml", ".yaml")))
    text = property_files.export(as_yaml=as_yaml)
    if path in (None, "-"):
        click.echo(text, nl=False)
        return
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{path} cannot be written: {error.strerror}.") from None
    click.echo(f"Wrote {path}.")


@property_.command("import")
@click.argument("file", type=click.File("rb"))
@click.option("--yes", is_flag=True, help="Apply the plan without asking.")
@click.option("--plan", "only_plan", is_flag=True, help="Show the plan, and change nothing.")
@click.option("--skip-conflicts", is_flag=True, help="Apply the rest where something is in conflict.")
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
def import_(file: Any, yes: bool, only_plan: bool, skip_conflicts: bool, as_json: bool) -> None:
    """Read definitions from FILE ("-" for standard input), show what they would change, and apply that.

    FILE is what `export` writes, a list of definitions, or the domain.yml of a Rasa bot. All is applied or
    nothing. The exit code is 1 where something is in conflict, unless that is to be skipped.
    """
    plan = property_files.plan(property_texts.read(file.read(property_texts.LARGEST + 1)))
    click.echo(json.dumps(_plan_as_json(plan), ensure_ascii=False, indent=2)) if as_json else _show(plan)
    refused = bool(plan.conflicts) and not skip_conflicts
    if only_plan:
        sys.exit(int(refused))
    if refused:
        raise click.ClickException(
            "Nothing was changed. Mend what is in conflict, or leave it out with --skip-conflicts."
        )
    if plan.is_empty:
        click.echo("There is nothing to change.", err=as_json)
        return
    if not yes:
        click.confirm("Apply this plan?", abort=True, err=as_json)
    property_files.apply(plan, skip_conflicts=skip_conflicts)
    click.echo("Applied. The properties are in use.", err=as_json)


def _given(described: dict[str, Any], *, before: Draft | None) -> dict[str, Any]:
    """Return the fields of a draft that the options of a command give."""
    given = {
        name: value
        for name, value in described.items()
        if value is not None and name not in ("choices", "options", "editable_by", "default", "promotes_to")
    }
    if described["editable_by"] is not None:
        given["editable_by"] = [one.strip() for one in described["editable_by"].split(",") if one.strip()]
    for name in ("default", "promotes_to"):
        if described[name] is not None:
            given[name] = described[name] or None
    options: dict[str, Any] = dict(before.options) if before else {}
    options |= dict(_option(one) for one in described["options"])
    if described["choices"]:
        options["choices"] = [_choice(one) for one in described["choices"]]
    options = {name: value for name, value in options.items() if value != ""}
    if options != (before.options if before else {}):
        given["options"] = options
    return given


def _option(text: str) -> tuple[str, Any]:
    name, sign, value = text.partition("=")
    if not sign or not name.strip():
        raise click.UsageError(f"“{text}” is not of the form NAME=VALUE.")
    if value[:1] in ("[", "{"):
        try:
            return name.strip(), json.loads(value)
        except ValueError:
            pass  # a pattern may begin like JSON
    return name.strip(), value


def _choice(text: str) -> dict[str, str]:
    value, _, label = text.partition("=")
    return {"value": value, "label": label} if label else {"value": value}


def _type(one: Definition) -> str:
    summary = one.type.summary()
    return f"{one.type.label} ({summary})" if summary else one.type.label


def _as_json(one: Definition) -> dict[str, Any]:
    found = definitions.draft_of(one).model_dump(mode="json")
    return {
        **found,
        "pinned": one.pinned,
        "locked": one.is_locked,
        "archived": one.archived,
        "filled": one.filled,
        "conversion": conversion.said(one) or None,
    }


def _plan_as_json(plan: Plan) -> dict[str, Any]:
    return {
        "created": [draft.model_dump(mode="json", exclude={"pinned"}) for draft in plan.created],
        "changed": [
            {
                "key": one.key,
                "fields": {
                    each.field: {"before": each.before, "after": each.after} for each in one.differences
                },
            }
            for one in plan.changed
        ],
        "conflicts": [{"key": one.key, "sentence": one.sentence} for one in plan.conflicts],
        "same": list(plan.same),
        "pinned": None if plan.pinned is None else list(plan.pinned),
        "remarks": list(plan.remarks),
    }


def _show(plan: Plan) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    for draft in plan.created:
        table.add_row("create", draft.key, f"{draft.label} ({draft.type})")
    for one in plan.changed:
        for number, each in enumerate(one.differences):
            said = f"{each.field}: {each.before or 'nothing'} → {each.after or 'nothing'}"
            table.add_row("" if number else "change", "" if number else one.key, said)
    for conflict in plan.conflicts:
        table.add_row("conflict", conflict.key, conflict.sentence)
    if plan.pinned is not None:
        table.add_row("pin", "", ", ".join(plan.pinned) or "nothing")
    for remark in plan.remarks:
        table.add_row("note", "", remark)
    Console(markup=False, highlight=False).print(table)
    click.echo(
        f"{len(plan.created)} created, {len(plan.changed)} changed, "
        f"{len(plan.conflicts)} in conflict, {len(plan.same)} left as they are."
    )


def _problems(error: BadDefinition) -> str:
    """Return a sentence a line, each with the name of its field where it does not speak for itself."""
    return "\n".join(
        sentence if "`" in sentence else f"{field}: {sentence}" for field, sentence in error.problems.items()
    )
