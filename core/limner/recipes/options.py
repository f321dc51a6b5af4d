"""A component's options are its constructor's keyword-only arguments; here they become a pydantic model."""

import inspect
from collections.abc import Mapping
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from limner.errors import LimnerError, nearest
from limner.kinds import kind_of
from limner.plugins import PluginHost
from limner.slots import Slot


@cache
def option_model(component: type) -> type[BaseModel]:
    """The options of a component class as a pydantic model: names, types and defaults of its keyword-only arguments."""
    hints = get_type_hints(component.__init__, include_extras=True)
    fields: dict[str, Any] = {}
    for name, parameter in inspect.signature(component.__init__).parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY:
            default = ... if parameter.default is parameter.empty else parameter.default
            fields[name] = (hints.get(name, Any), default)
    config = ConfigDict(extra="forbid", strict=True, arbitrary_types_allowed=True, protected_namespaces=())
    return create_model(component.__name__, __config__=config, **fields)


def check_options(host: PluginHost, kind: str, name: str, options: Mapping[str, Any], place: str) -> dict[str, Any]:
    """The options of a recipe for one component, validated and complete, with slots filled.

    Raises a `LimnerError` that names the place in the recipe, what was expected, and the nearest right name.
    """
    component = host.load(kind, name, place)
    model = option_model(component)
    given = dict(options)
    for option, field in model.model_fields.items():
        if get_origin(field.annotation) is Slot and option in given and not isinstance(given[option], Slot):
            slot_kind = kind_of(get_args(field.annotation)[0])
            given[option] = fill_slot(host, slot_kind, given[option], f"{place}.{option}")
    try:
        checked = model(**given)
    except ValidationError as error:
        raise LimnerError(explain(error, place, f"the {kind} '{name}'", list(model.model_fields))) from None
    return {option: getattr(checked, option) for option in model.model_fields}


def fill_slot(host: PluginHost, kind: str, value: Any, place: str) -> Slot:
    """What a recipe writes into a slot: "name", {name = "...", at = [...], ...}, a list of these, or "none"."""
    entries = []
    for entry in value if isinstance(value, list) else [value]:
        entry = {"name": entry} if isinstance(entry, str) else entry
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise LimnerError(f'{place}: expected "name" or {{name = "...", at = [...]}}, got {entry!r}.')
        if entry["name"] == "none":
            continue
        options = {key: option for key, option in entry.items() if key not in ("name", "at")}
        at = entry.get("at")
        if at is not None and not (isinstance(at, list) and all(type(size) is int for size in at)):
            raise LimnerError(f"{place}.at: expected a list of resolutions such as [8, 16], got {at!r}.")
        checked = check_options(host, kind, entry["name"], options, place)
        entries.append((host.load(kind, entry["name"], place), at, checked))
    return Slot(entries)


def explain(error: ValidationError, place: str, owner: str, known: list[str]) -> str:
    """The first thing that pydantic found wrong, as a sentence that begins with its place in the recipe."""
    first = error.errors()[0]
    path = ".".join(str(part) for part in first["loc"])
    where = f"{place}.{path}" if place and path else place or path
    if first["type"] == "extra_forbidden":
        option = str(first["loc"][-1])
        has = f"it has {', '.join(known)}" if known else "it has none"
        return f"{where}: {owner} has no option '{option}'{nearest(option, known)}; {has}."
    if first["type"] == "missing":
        return f"{where}: {owner} needs this option, and it is not given."
    expected = first["msg"][0].lower() + first["msg"][1:]
    return f"{where}: {expected.replace('input should be', 'expected')}, got {first['input']!r}."
