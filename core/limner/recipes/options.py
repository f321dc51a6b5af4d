"""From a component's name and options in a recipe to its class and checked options, ready to be built."""

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from limner.errors import LimnerError, nearest, quoted
from limner.kinds import kind_of
from limner.plugins import PluginHost
from limner.recipes.renamed_keys import rename_keys

if TYPE_CHECKING:
    from limner.slots import Slot

TOO_LARGE = re.compile("overflow|out of memory|can't allocate memory", re.IGNORECASE)
"""What torch says, with different types of exceptions, of a tensor that does not fit into memory."""


@dataclass(frozen=True)
class Resolved:
    """A component of a recipe, found and checked: all that is left to do is to build it."""

    place: str  # in the recipe, such as "losses.hinge"
    component: type
    given: dict[str, Any]  # the options that the recipe gives, under their present names
    options: dict[str, Any]  # complete: defaults are filled in

    def build(self, known: object) -> Any:
        """The component. `known` is the first argument of its constructor: sizes, a data set, or the image size.

        Raises:
            LimnerError: if the component refuses its options, or its weights cannot fit into any memory. The message
                begins with the place in the recipe.
        """
        try:
            return self.component(known, **self.options)
        except LimnerError as error:
            raise LimnerError(f"{self.place}: {error}") from None
        except (RuntimeError, TypeError, OverflowError, MemoryError) as error:
            if not isinstance(error, OverflowError | MemoryError) and not TOO_LARGE.search(str(error)):
                raise
            raise LimnerError(
                f"{self.place}: '{self.component.__name__}' needs more memory than there is; choose smaller sizes."
            ) from None


def resolve_component(
    host: PluginHost, kind: str, name: str, options: Mapping[str, Any], place: str, source: str = ""
) -> Resolved:
    """Find the class of a component and check its options, those of its slots included.

    `place` is where the component stands in the recipe; `source` is what messages call the recipe.

    Raises:
        LimnerError: for an unknown name, an unknown option, or a value of the wrong type.
    """
    where = f"{source}: {place}" if source else place
    component = host.load(kind, name, where)
    given = rename_keys(options, getattr(component, "renamed_options", {}), where)
    return Resolved(place, component, given, check_options(host, component, f"the {kind} '{name}'", given, where))


@cache
def option_model(component: type) -> type[BaseModel]:
    """The options of a component as a pydantic model: its constructor's keyword-only arguments, types and defaults."""
    hints = get_type_hints(component.__init__, include_extras=True)
    fields: dict[str, Any] = {}
    for name, parameter in inspect.signature(component.__init__).parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY:
            default = ... if parameter.default is parameter.empty else parameter.default
            fields[name] = (hints.get(name, Any), default)
    config = ConfigDict(
        extra="forbid", strict=True, allow_inf_nan=False, arbitrary_types_allowed=True, protected_namespaces=()
    )
    return create_model(component.__name__, __config__=config, **fields)


def check_options(
    host: PluginHost, component: type, owner: str, options: Mapping[str, Any], place: str
) -> dict[str, Any]:
    """The options of one component, checked and complete, with slots filled. `owner` is what messages call it.

    Raises:
        LimnerError: in one sentence that names the place, what was expected, and the nearest right name.
    """
    from limner.slots import Slot  # imports torch, which the tables of a recipe do not need

    model = option_model(component)
    given = dict(options)
    for option, field in model.model_fields.items():
        if get_origin(field.annotation) is Slot and option in given and not isinstance(given[option], Slot):
            slot_kind = kind_of(get_args(field.annotation)[0])
            given[option] = fill_slot(host, slot_kind, given[option], f"{place}.{option}")
    try:
        checked = model(**given)
    except ValidationError as error:
        raise LimnerError(explain(error, place, owner, list(model.model_fields))) from None
    return {option: getattr(checked, option) for option in model.model_fields}


def fill_slot(host: PluginHost, kind: str, value: Any, place: str) -> "Slot":
    """The components that a recipe puts into a slot: "name", {name = "...", at = [...], ...}, a list of these, or
    "none".
    """
    from limner.slots import Slot

    entries = []
    for entry in value if isinstance(value, list) else [value]:
        entry = {"name": entry} if isinstance(entry, str) else entry
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise LimnerError(f'{place}: expected "name" or {{name = "...", at = [...]}}, got {quoted(entry)}.')
        if entry["name"] == "none":
            continue
        options = {key: option for key, option in entry.items() if key not in ("name", "at")}
        at = entry.get("at")
        if at is not None and not (isinstance(at, list) and all(type(size) is int for size in at)):
            raise LimnerError(f"{place}.at: expected a list of resolutions such as [8, 16], got {quoted(at)}.")
        found = resolve_component(host, kind, entry["name"], options, place)
        entries.append((found.component, at, found.options))
    return Slot(entries)


def explain(error: ValidationError, place: str, owner: str, known: list[str]) -> str:
    """The first error that pydantic found, as a sentence that begins with its place in the recipe."""
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
    return f"{where}: {expected.replace('input should be', 'expected')}, got {quoted(first['input'])}."
