"""The definitions of properties: read, made and changed."""

from admin import access
from admin.access import May
from core import definitions
from core.catalogue import Definition as Known
from core.catalogue import catalogue
from core.definitions import BadDefinition, Draft
from core.text import clean
from plugins.api.operations import operation
from plugins.api.problems import Problem
from plugins.api.schemas import Definition, DefinitionChange, Definitions, NewDefinition, Which
from plugins.api.tokens import Scope


@operation("GET", "/properties", scope=Scope.USERS_READ, query=Which, answer=Definitions)
def definitions_of_properties(query: Which) -> Definitions:
    """Read which properties there are."""
    access.require(May.READ_AUDIENCE)
    now = catalogue()
    found = list(now.active)
    if query.archived:
        found += [one for one in now.by_key.values() if one.archived is not None]
    return Definitions(properties=[_shown(one) for one in found])


@operation(
    "POST",
    "/properties",
    scope=Scope.PROPERTIES_DEFINE,
    body=NewDefinition,
    answer=Definition,
    status=201,
)
def define_property(body: NewDefinition) -> Definition:
    """Define a property; it is in use when the answer comes."""
    access.require(May.DEFINE_PROPERTIES)
    try:
        return _shown(definitions.create(Draft(**body.model_dump())))
    except BadDefinition as error:
        raise _problem(error) from None


@operation(
    "PATCH",
    "/properties/<key>",
    scope=Scope.PROPERTIES_DEFINE,
    body=DefinitionChange,
    answer=Definition,
    refuses=(404,),
)
def change_definition(key: str, body: DefinitionChange) -> Definition:
    """Change what a property is; its values stay."""
    access.require(May.DEFINE_PROPERTIES)
    changes = {name: getattr(body, name) for name in body.model_fields_set}
    try:
        known = definitions.known(key)
        if known.is_locked and (fixed := sorted(changes.keys() - {"pinned"})):
            sentence = "This is not yours to change: Parley or a channel declares the property."
            raise BadDefinition(dict.fromkeys(fixed, sentence))
        draft = definitions.draft_of(known).model_copy(update=changes)
        return _shown(definitions.edit(key, draft))
    except LookupError as error:
        raise Problem(404, f"{clean(str(error))} Nothing was changed.") from None
    except BadDefinition as error:
        raise _problem(error) from None


def _shown(one: Known) -> Definition:
    draft = definitions.draft_of(one)
    return Definition(
        key=one.key,
        label=one.label,
        help=one.help,
        type=one.type.name,
        scope=one.scope,
        source=one.source,
        options=dict(draft.options),
        default=one.initial,
        group=one.section,
        pinned=draft.pinned,
        rank=one.pinned,
        editable_by=list(draft.editable_by),
        personal=one.personal,
        filterable=one.filterable,
        promotes_to=one.promotes_to,
        locked=one.is_locked,
        archived=one.archived,
        changed=one.changed,
    )


def _problem(error: BadDefinition) -> Problem:
    errors = [{"field": name, "detail": sentence} for name, sentence in error.problems.items()]
    return Problem(422, f"{errors[0]['detail']} Nothing was changed.", errors)
