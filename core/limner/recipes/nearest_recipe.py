"""Which named recipe a complete recipe comes from, and what it changes. It needs neither torch nor any component."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from limner.errors import LimnerError
from limner.plugins import PluginHost
from limner.recipes.merging import resolve, spelled_out
from limner.recipes.schema import Recipe

Changes = dict[str, tuple[Any, Any]]
"""Keys such as "training.steps", each with the value of the named recipe and that of the other; None for none."""


def nearest_recipe(plugins: PluginHost, table: Mapping[str, Any]) -> tuple[str, Changes] | None:
    """The named recipe from which a complete table differs least, and what differs; None without any recipe.

    A run folder does not record the name of its recipe, so this is the closest one. Of equally close ones, one with
    the same title is preferred.
    """
    mine = flat(spelled_out(table))
    found: list[tuple[int, bool, str, Changes]] = []
    for name in plugins.components("recipe"):
        try:
            named = resolve(plugins, name)
        except LimnerError:  # a broken one; `limner recipes` lists it
            continue
        changes = changes_between(flat(spelled_out(named)), mine)
        found.append((len(changes), named.get("title") != table.get("title"), name, changes))
    if not found:
        return None
    _, _, name, changes = min(found, key=lambda one: one[:3])
    return name, changes


def changes_between(named: Mapping[str, Any], mine: Mapping[str, Any]) -> Changes:
    """What differs between two flat recipes. A key that one of them lacks has the usual value there."""
    usual = usual_values()
    changes = {}
    for key in dict.fromkeys([*named, *mine]):
        if key == "title":
            continue
        one, other = (table.get(key, _usual(key, usual)) for table in (named, mine))
        if one != other and not _is_empty(one, other):
            changes[key] = (one, other)
    return changes


def flat(table: Mapping[str, Any], place: str = "") -> dict[str, Any]:
    """A table without tables in it: {"training": {"steps": 5}} is {"training.steps": 5}."""
    values: dict[str, Any] = {}
    for key, value in table.items():
        name = f"{place}.{key}" if place else key
        values |= flat(value, name) if isinstance(value, Mapping) and value else {name: value}
    return values


def usual_values() -> dict[str, Any]:
    """The defaults of a recipe's own tables, flat."""
    return dict(_defaults(Recipe, ""))


def _defaults(model: type[BaseModel], place: str) -> Iterator[tuple[str, Any]]:
    for name, field in model.model_fields.items():
        key = f"{place}{name}"
        tables = [kind for kind in (field.annotation,) if isinstance(kind, type) and issubclass(kind, BaseModel)]
        if tables:
            yield from _defaults(tables[0], f"{key}.")
        elif not field.is_required():
            yield key, field.get_default(call_default_factory=True)


def _usual(key: str, usual: Mapping[str, Any]) -> Any:
    """The value of a key that is not given."""
    group, _, rest = key.partition(".")
    name, _, option = rest.partition(".")
    if group in ("losses", "metrics") and option == "name":
        return name
    if group == "losses" and option == "weight":
        return 1.0
    if key == "training.optimizer.name":
        return "adam"
    return usual.get(key)


def _is_empty(*values: Any) -> bool:
    """Whether both say nothing, such as an empty table and none."""
    return all(value is None or value == {} for value in values)
