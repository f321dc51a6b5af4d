"""From a recipe's file to one complete table: what it extends, and then `--set`, merged in. Nothing is checked here."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from limner.errors import LimnerError, nearest, quoted, shortened
from limner.plugins import PluginHost
from limner.recipes.limits import DEEPEST, check_values, parse_toml, read_toml
from limner.recipes.renamed_keys import RENAMED, rename_keys


def spelled_out(table: Mapping[str, Any]) -> dict[str, Any]:
    """The table in full: a component that is given by its name alone becomes a table, and old keys get their new names.

    An old key triggers a FutureWarning.
    """
    single = ("data", "encoder", "generator", "discriminator")
    full = {key: _part(value) if key in single else value for key, value in table.items()}
    for group in ("losses", "metrics"):
        if isinstance(full.get(group), Mapping):
            full[group] = {name: _part(value) for name, value in full[group].items()}
    for group, renamed in RENAMED.items():
        if isinstance(full.get(group), Mapping):
            full[group] = rename_keys(full[group], renamed, group)
    if isinstance(training := full.get("training"), Mapping):
        full["training"] = _optimizer_in_full(training)
        if isinstance(trackers := training.get("trackers"), list):
            full["training"]["trackers"] = [_part(tracker) for tracker in trackers]
    return full


def _part(value: Any) -> Any:
    """A component as a table: a text is its name."""
    return {"name": value} if isinstance(value, str) else value


def _optimizer_in_full(training: Mapping[str, Any]) -> dict[str, Any]:
    """The training table with its optimizers as tables, and `betas`, which older recipes have, moved into it."""
    full = {key: _part(value) if key.endswith("optimizer") else value for key, value in training.items()}
    if "betas" in full:
        warnings.warn("training.betas is now called training.optimizer.betas.", FutureWarning, stacklevel=2)
        full["optimizer"] = {"betas": full.pop("betas"), **full.get("optimizer", {})}
    return full


def merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `changes` merged into it, table by table.

    A table that names another component replaces the old one; only `at`, the place in a slot, stays. A budget in steps
    replaces one in seconds, and the reverse. A loss that is set to false is removed.
    """
    renamed = "name" in changes and "name" in base and changes["name"] != base["name"]
    merged = {key: value for key, value in base.items() if not renamed or key == "at"}
    for one, other in (("steps", "seconds"), ("seconds", "steps")):
        if one in changes and other not in changes:
            merged.pop(other, None)
    for key, value in changes.items():
        if value is False and isinstance(merged.get(key), dict):
            del merged[key]
        elif isinstance(value, Mapping) and isinstance(merged.get(key), str):
            merged[key] = merge({"name": merged[key]}, value)
        elif isinstance(value, Mapping):
            merged[key] = merge(merged[key] if isinstance(merged.get(key), dict) else {}, value)
        else:
            merged[key] = value
    return merged


def resolve(host: PluginHost, source: str | Path | Mapping[str, Any], overrides: Sequence[str] = ()) -> dict[str, Any]:
    """The table of a recipe, merged with what it extends and then with `overrides`. Nothing is checked yet."""
    table = _extended(host, source, ())
    for override in overrides:
        table = merge(table, _parse_override(override))
    return table


def _extended(host: PluginHost, source: str | Path | Mapping[str, Any], seen: tuple[str, ...]) -> dict[str, Any]:
    """The table of a recipe merged into what it extends; `seen` are the recipes that led to it."""
    if isinstance(source, Mapping):
        check_values(source, "the recipe")
        table, folder = dict(source), Path()
    else:
        path = _locate(host, str(source), seen)
        if path.resolve() in [Path(other).resolve() for other in seen] or len(seen) > DEEPEST:
            raise LimnerError(f"{path}: recipes extend each other in a circle: {' -> '.join((*seen, str(path)))}.")
        table, folder, seen = read_toml(path), path.parent, (*seen, str(path))
    table = spelled_out(table)
    parent = table.pop("extends", None)
    if parent is None:
        return table
    if not isinstance(parent, str):
        raise LimnerError(f"{source}: extends: expected the name or file of one recipe, got {quoted(parent)}.")
    if parent.endswith(".toml") and not Path(parent).is_absolute():
        parent = str(folder / parent)
    return merge(_extended(host, parent, seen), table)


def _locate(host: PluginHost, source: str, seen: tuple[str, ...] = ()) -> Path:
    """The file of a recipe; `seen` are the recipes that led to it."""
    path, where = Path(source), f"{seen[-1]}: extends: there" if seen else "There"
    if path.suffix == ".toml" or "/" in source:
        if not _is_file(path):
            raise LimnerError(f"{where} is no recipe file {path}.")
        return path
    known = host.components("recipe")
    if source not in known and ("recipe", source) not in host.clashes:
        raise LimnerError(
            f"{where} is no recipe '{source}'{nearest(source, known)}; there is {', '.join(known) or 'none'}; "
            f"a file of your own must end in .toml.{host.problems()}"
        )
    return host.recipe_path(source)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # its name is too long
        return False


def _parse_override(text: str) -> dict[str, Any]:
    """ "training.steps=500" -> {"training": {"steps": 500}}."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip() or key.count(".") >= DEEPEST:
        raise LimnerError(f"--set {shortened(text, 80)}: expected KEY=VALUE, such as training.steps=500.")
    return setting(key.strip(), parse_value(value))


def parse_value(text: str) -> Any:
    """The value that a text has in TOML. A text that is not a TOML value is taken as a string."""
    try:
        return parse_toml(f"value = {text}")["value"]
    except ValueError:
        return text


def setting(key: str, value: Any) -> dict[str, Any]:
    """The table that sets one value: "training.steps" and 500 -> {"training": {"steps": 500}}."""
    for part in reversed(key.split(".")):
        value = {part: value}
    return spelled_out(value)
