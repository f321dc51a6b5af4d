"""What is known of every component, hook, interface and command: found in their own code, and nowhere else.

`describe` gathers it; `limner.reference` writes it as Markdown, for the terminal and for the site.
"""

import json
import re
import tomllib
from collections.abc import Callable, Mapping
from inspect import cleandoc
from typing import Annotated, Any, get_args, get_origin

from limner import hooks
from limner.errors import LimnerError, nearest
from limner.kinds import KINDS, kind_of
from limner.plugins import Component, PluginHost
from limner.reference.commands import command_of, command_options, examples
from limner.reference.docstrings import explanations, first_paragraph
from limner.reference.entries import Chapter, Description, KindSummary, Option, Summary
from limner.reference.signatures import Signed, all_hooks, all_interfaces, comments
from limner.reference.type_words import either, type_in_words, value_in_words


def describe(host: PluginHost, topic: str | None = None, name: str | None = None) -> Chapter:
    """What `limner describe TOPIC NAME` tells, of one component, a kind, all hooks, all interfaces, all kinds.

    Only what is asked for is imported.

    Raises:
        LimnerError: for an unknown topic or name, with the nearest right one.
    """
    if topic is None:
        about = (
            "`limner describe KIND` lists those of a kind, `limner describe KIND NAME` says all of one; "
            "`limner describe hooks`, `limner describe interfaces` and `limner describe settings` say the rest."
        )
        return Chapter("Kinds of components", about, [kind_of_components(host, kind) for kind in KINDS])
    kind = _topic(host, topic)
    if kind in TOPICS:
        about, gather = TOPICS[kind]
        found = gather()
        if name is not None and name not in found:
            raise LimnerError(f"There is no {kind} '{name}'{nearest(name, found)}; there is {', '.join(found)}.")
        return Chapter(f"{kind.capitalize()}s", about, [found[name]] if name else list(found.values()))
    if name is not None:
        return Chapter(kind, "", [description(host, kind, name)])
    about = kind_of_components(host, kind).about
    return Chapter(KINDS[kind].plural.capitalize(), about, [summary(host, c) for c in host.components(kind).values()])


def _topic(host: PluginHost, topic: str) -> str:
    """The kind that is meant: the singular or plural of one, with a space or another sign in it."""
    known = {word: kind for kind in KINDS for word in (kind, KINDS[kind].plural)}
    known |= {word: other for other in TOPICS for word in (other, f"{other}s")}
    if (found := known.get(re.sub("[-_]", " ", topic.lower()))) is not None:
        return found
    owners = [f"limner describe {kind} {topic}" for kind in KINDS if topic in host.components(kind)]
    hint = f"; there is '{either(owners)}'" if owners else nearest(topic, known)
    raise LimnerError(f"There is no topic '{topic}'{hint}; there is {', '.join([*KINDS, *TOPICS])}.")


def kind_of_components(host: PluginHost, kind: str) -> KindSummary:
    """A kind, and which components of it there are."""
    hook = KINDS[kind].hook
    return KindSummary(kind, first_paragraph(getattr(hooks, hook).__doc__), hook, list(host.components(kind)))


def summary(host: PluginHost, component: Component) -> Summary:
    """A component in a line; of one that cannot be imported, why."""
    try:
        about = first_paragraph(documentation(host, component.kind, component.name))
    except LimnerError as error:
        about = str(error)
    plugin = component.plugin
    return Summary(component.name, about, plugin.name, plugin.distribution, plugin.version)


# --- components -----------------------------------------------------------------------------------------------------


def documentation(host: PluginHost, kind: str, name: str) -> str:
    """What a component says of itself: its docstring, a recipe's title, a command's help.

    Raises:
        LimnerError: where there is no such component, or it cannot be imported.
    """
    if kind == "recipe":
        return tomllib.loads(_text_of(host, name)).get("title", "")
    if kind == "data command":
        return cleandoc(command_of(name).help or "")
    return cleandoc(host.load(kind, name).__doc__ or "")


def description(host: PluginHost, kind: str, name: str) -> Description:
    """All of one component, which is imported for it.

    Raises:
        LimnerError: where there is no such component, or it cannot be imported.
    """
    component = host.find(kind, name)
    plugin, value = component.plugin, component.value
    if kind == "recipe":
        options, example = [], _text_of(host, name)
    elif kind == "data command":
        options, example = command_options(command_of(name)), examples(command_of(name))
    else:
        loaded = host.load(kind, name)
        options, example = options_of(loaded), snippet(host, kind, name, loaded)
    owner = plugin.name, plugin.distribution, plugin.version
    place = value if isinstance(value, str) else f"{value.__module__}:{value.__qualname__}"
    return Description(kind, name, documentation(host, kind, name), *owner, place, options, example)


def _text_of(host: PluginHost, recipe: str) -> str:
    return host.recipe_path(recipe).read_text(encoding="utf-8").strip()


def options_of(component: type) -> list[Option]:
    """The options of a component class: exactly those that a recipe can set, with what the constructor says of each."""
    from limner.recipes.options import option_model

    return _options(option_model(component).model_fields, explanations(component))


def _options(fields: Mapping[str, Any], said: Mapping[str, str]) -> list[Option]:
    found = []
    for name, field in fields.items():
        default = "needed" if field.is_required() else value_in_words(field.get_default(call_default_factory=True))
        found.append(Option(name, type_in_words(_hint(field)), default, said.get(name) or field.description or ""))
    return found


def all_settings() -> dict[str, Description]:
    """The tables of a recipe that no component brings, with their keys, by the names that a recipe has for them."""
    from limner.recipes import schema as recipe

    tables = {"recipe": recipe.Recipe, "text": recipe.Text, "training": recipe.Training, "sampling": recipe.Sampling}
    found = {}
    for name, table in tables.items():
        about = recipe.__doc__ if table is recipe.Recipe else table.__doc__
        fields = {key: field for key, field in table.model_fields.items() if key not in tables}
        options = _options(fields, comments(table))
        place = f"{table.__module__}:{table.__qualname__}"
        found[name] = Description("setting", name, cleandoc(about or ""), "", "", "", place, options, "")
    return found


def _hint(field: Any) -> Any:
    """The type of a field as it was annotated: pydantic keeps what limits it apart."""
    return Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation


def snippet(host: PluginHost, kind: str, name: str, component: type) -> str:
    """The smallest part of a recipe that uses a component: its table, and the options that it needs."""
    from limner.recipes.options import option_model

    key = name if re.fullmatch(r"[\w-]+", name) else json.dumps(name)
    lines = [KINDS[kind].table.format(key)]
    if lines[0] == KINDS[kind].table:
        lines.append(f"name = {value_in_words(name)}")
    fields = option_model(component).model_fields
    needed = {option: field for option, field in fields.items() if field.is_required()}
    return "\n".join([*lines, *(f"{option} = {_fitting(host, _hint(field))}" for option, field in needed.items())])


def _fitting(host: PluginHost, hint: Any) -> str:
    """Some value that an option takes, as a recipe would write it."""
    from pydantic import PydanticUserError, TypeAdapter, ValidationError

    from limner.slots import Slot

    if get_origin(hint) is Slot:
        return value_in_words(list(host.components(kind_of(get_args(hint)[0])))[:1])
    for value in [*get_args(hint), "...", *(2**power for power in range(11)), 0.5, True, [], [1], [0.5], ["..."], {}]:
        try:
            return value_in_words(TypeAdapter(hint).validate_python(value, strict=True))
        except (ValidationError, PydanticUserError):  # the second for a type that pydantic cannot check
            continue
    return "..."


TOPICS: dict[str, tuple[str, Callable[[], Mapping[str, Description | Signed]]]] = {
    "hook": ("What a plugin may say to Limner.", all_hooks),
    "interface": ("What a component implements, and what it is handed.", all_interfaces),
    "setting": ("What a recipe says beside its components.", all_settings),
}
"""What is described beside components: a few words on it, and all of it by name."""
