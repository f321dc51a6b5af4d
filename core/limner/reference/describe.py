"""Descriptions of every component, hook, interface and setting, read from their code and docstrings.

`describe` collects them; `limner.reference.markdown` writes them as Markdown.
"""

import json
import re
from collections.abc import Callable, Mapping
from inspect import cleandoc
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

from limner import hooks
from limner.errors import LimnerError, nearest
from limner.kinds import KINDS, kind_of
from limner.plugins import Component, PluginHost
from limner.recipes.limits import read_toml
from limner.reference.commands import command_of, command_options, examples
from limner.reference.docstrings import argument_descriptions, first_paragraph
from limner.reference.entries import Chapter, Description, KindSummary, Option, Summary
from limner.reference.signatures import Signature, all_hooks, all_interfaces, field_comments
from limner.reference.type_words import REQUIRED, either, type_in_words, value_in_words


def describe(host: PluginHost, topic: str | None = None, name: str | None = None) -> Chapter:
    """What `limner describe TOPIC NAME` shows: one component, a kind, all hooks, all interfaces, or all kinds.

    Only what is asked for is imported.

    Raises:
        LimnerError: for an unknown topic or name; the message names the nearest known one.
    """
    if topic is None:
        about = (
            "`limner describe KIND` lists the components of a kind, `limner describe KIND NAME` describes one. "
            "There are also `limner describe hooks`, `limner describe interfaces` and `limner describe settings`."
        )
        return Chapter("Kinds of components", about, [summarize_kind(host, kind) for kind in KINDS])
    kind = _find_topic(host, topic)
    if kind in TOPICS:
        about, collect = TOPICS[kind]
        found = collect()
        if name is not None and name not in found:
            raise LimnerError(f"There is no {kind} '{name}'{nearest(name, found)}; there is {', '.join(found)}.")
        return Chapter(f"{kind.capitalize()}s", about, [found[name]] if name else list(found.values()))
    if name is not None:
        return Chapter(kind, "", [describe_component(host, kind, name)])
    summaries = [summarize_component(host, component) for component in host.components(kind).values()]
    return Chapter(KINDS[kind].plural.capitalize(), summarize_kind(host, kind).about, summaries)


def _find_topic(host: PluginHost, topic: str) -> str:
    """The kind or other topic of that name: singular or plural, with a space, "-" or "_" between its words."""
    known = {word: kind for kind in KINDS for word in (kind, KINDS[kind].plural)}
    known |= {word: other for other in TOPICS for word in (other, f"{other}s")}
    if (found := known.get(re.sub("[-_]", " ", topic.lower()))) is not None:
        return found
    owners = [f"limner describe {kind} {topic}" for kind in KINDS if topic in host.components(kind)]
    hint = f"; there is '{either(owners)}'" if owners else nearest(topic, known)
    raise LimnerError(f"There is no topic '{topic}'{hint}; there is {', '.join([*KINDS, *TOPICS])}.")


def summarize_kind(host: PluginHost, kind: str) -> KindSummary:
    """A kind, and the names of its components."""
    hook = KINDS[kind].hook
    return KindSummary(kind, first_paragraph(getattr(hooks, hook).__doc__), hook, list(host.components(kind)))


def summarize_component(host: PluginHost, component: Component) -> Summary:
    """A component in one line; if it cannot be imported, the line says why."""
    try:
        about = first_paragraph(docstring_of(host, component.kind, component.name))
    except LimnerError as error:
        about = str(error)
    plugin = component.plugin
    return Summary(component.name, about, plugin.name, plugin.distribution, plugin.version)


# --- components -----------------------------------------------------------------------------------------------------


def docstring_of(host: PluginHost, kind: str, name: str) -> str:
    """The docstring of a component, the title of a recipe, or the help of a command.

    Raises:
        LimnerError: if there is no such component, or it cannot be imported.
    """
    if kind in ("recipe", "model", "league entry"):
        return str(read_toml(_recipe_file(host, kind, name)).get("title", ""))
    if kind == "data command":
        return cleandoc(command_of(name).help or "")
    return cleandoc(host.load(kind, name).__doc__ or "")


def describe_component(host: PluginHost, kind: str, name: str) -> Description:
    """The full description of one component. This imports it.

    Raises:
        LimnerError: if there is no such component, or it cannot be imported.
    """
    component = host.find(kind, name)
    plugin, value = component.plugin, component.value
    if kind in ("recipe", "model", "league entry"):
        options, example = [], _recipe_text(host, kind, name)
    elif kind == "data command":
        options, example = command_options(command_of(name)), examples(command_of(name))
    else:
        loaded = host.load(kind, name)
        options, example = component_options(loaded), recipe_snippet(host, kind, name, loaded)
    owner = plugin.name, plugin.distribution, plugin.version
    place = value if isinstance(value, str) else f"{value.__module__}:{value.__qualname__}"
    return Description(kind, name, docstring_of(host, kind, name), *owner, place, options, example)


def _recipe_file(host: PluginHost, kind: str, name: str) -> Path:
    """The file of a recipe, or that of the recipe by which a model was trained."""
    if kind != "model":
        return host.recipe_path(name)
    from limner.models.run_files import RECIPE_FILE

    return host.model_path(name) / RECIPE_FILE


def _recipe_text(host: PluginHost, kind: str, name: str) -> str:
    path = _recipe_file(host, kind, name)
    read_toml(path)  # it is valid
    return path.read_text(encoding="utf-8-sig").strip()


def component_options(component: type) -> list[Option]:
    """The options of a component class, which are those that a recipe can set."""
    from limner.recipes.options import option_model

    return _options(option_model(component).model_fields, argument_descriptions(component))


def _options(fields: Mapping[str, Any], abouts: Mapping[str, str]) -> list[Option]:
    found = []
    for name, field in fields.items():
        default = REQUIRED if field.is_required() else value_in_words(field.get_default(call_default_factory=True))
        found.append(Option(name, type_in_words(_type_of(field)), default, abouts.get(name) or field.description or ""))
    return found


def all_settings() -> dict[str, Description]:
    """The keys of a recipe that belong to no component, by table; "recipe" holds the top-level keys."""
    from limner.recipes import schema

    tables = {"recipe": schema.Recipe, "text": schema.Text, "training": schema.Training, "sampling": schema.Sampling}
    found = {}
    for name, table in tables.items():
        about = schema.__doc__ if table is schema.Recipe else table.__doc__
        fields = {key: field for key, field in table.model_fields.items() if key not in tables}
        options = _options(fields, field_comments(table))
        place = f"{table.__module__}:{table.__qualname__}"
        found[name] = Description("setting", name, cleandoc(about or ""), "", "", "", place, options, "")
    return found


def _type_of(field: Any) -> Any:
    """The annotated type of a field; pydantic stores the type and its limits separately."""
    return Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation


def recipe_snippet(host: PluginHost, kind: str, name: str, component: type) -> str:
    """The smallest part of a recipe that uses a component: its table, and its required options."""
    from limner.recipes.options import option_model

    key = name if re.fullmatch(r"[\w-]+", name) else json.dumps(name)
    lines = [KINDS[kind].table.format(key)]
    if lines[0] == KINDS[kind].table:
        lines.append(f"name = {value_in_words(name)}")
    fields = option_model(component).model_fields
    required = {option: field for option, field in fields.items() if field.is_required()}
    lines += [f"{option} = {_example_value(host, _type_of(field))}" for option, field in required.items()]
    return "\n".join(lines)


def _example_value(host: PluginHost, hint: Any) -> str:
    """Some valid value of a type, as TOML."""
    from pydantic import PydanticUserError, TypeAdapter, ValidationError

    from limner.slots import Slot

    if get_origin(hint) is Slot:
        return value_in_words(list(host.components(kind_of(get_args(hint)[0])))[:1])
    for value in [*get_args(hint), "...", *(2**power for power in range(11)), 0.5, True, [], [1], [0.5], ["..."], {}]:
        try:
            return value_in_words(TypeAdapter(hint).validate_python(value, strict=True))
        except (ValidationError, PydanticUserError):  # the second is for a type that pydantic cannot validate
            continue
    return "..."


TOPICS: dict[str, tuple[str, Callable[[], Mapping[str, Description | Signature]]]] = {
    "hook": ("The functions that a plugin can implement.", all_hooks),
    "interface": ("The classes that components implement, and the values that they exchange.", all_interfaces),
    "setting": ("The keys of a recipe that belong to no component.", all_settings),
}
"""The topics other than kinds of components: an introduction, and a function that returns the entries by name."""
