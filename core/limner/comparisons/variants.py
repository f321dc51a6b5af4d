"""The variants of a recipe that a comparison trains: the values of `--vary KEY=VALUE,...`, and their combinations."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations, product
from typing import Any

from limner.errors import LimnerError
from limner.plugins import PluginHost
from limner.recipes.build import build_dataset, build_metrics, dry_run
from limner.recipes.merging import merge, parse_value, resolve, setting
from limner.recipes.schema import Recipe

Vary = Mapping[str, Sequence[Any]]
"""Keys of a recipe, and the values to compare."""


@dataclass(frozen=True)
class Variant:
    """One of the recipes to compare: its values of the varied keys, and the whole recipe."""

    settings: dict[str, Any]
    recipe: Recipe

    @property
    def label(self) -> str:
        """Its name in tables and charts: its values."""
        return ", ".join(text_of(value) for value in self.settings.values())


def make_variants(
    plugins: PluginHost,
    base: Mapping[str, Any],
    vary: Vary,
    place: str,
    base_of: Callable[[Any], Mapping[str, Any]] | None = None,
) -> list[Variant]:
    """Every combination of the values in `vary`, as recipes that are checked: they can be trained and measured.

    Args:
        plugins: the plugin host.
        base: the table of the recipe that the variants share.
        vary: the values of each key; the last key changes fastest. The key "recipe" stands for the whole recipe.
        place: the name of the recipe in error messages.
        base_of: returns the table of a recipe that is a value of the key "recipe"; by default `resolve` does.

    Raises:
        LimnerError: if a variant is wrong, equals another, or has a budget or seed of its own.
    """
    _check_values(vary)
    variants: list[Variant] = []
    base_of = base_of or partial(resolve, plugins)
    for values in product(*vary.values()):
        settings = dict(zip(vary, values))
        table = dict(base_of(settings["recipe"]) if "recipe" in settings else base)
        for key, value in settings.items():
            table = table if key == "recipe" else merge(table, setting(key, value))
        changes = ", ".join(f"{key}={text_of(value)}" for key, value in settings.items())
        variants.append(Variant(settings, _checked(plugins, table, f"{place} with {changes}")))
    _check_comparable(variants)
    return variants


def _check_values(vary: Vary) -> None:
    if not vary:
        raise LimnerError("There is nothing to compare; vary a key of the recipe over some values.")
    for key, values in vary.items():
        if isinstance(values, str) or len(values) == 0:
            raise LimnerError(f"vary: {key}: expected a list of values, got {values!r}.")


def _checked(plugins: PluginHost, table: Mapping[str, Any], place: str) -> Recipe:
    recipe = Recipe.check(plugins, table, place)
    try:
        dry_run(plugins, recipe)
        build_metrics(plugins, recipe, build_dataset(recipe))
    except LimnerError as error:
        raise LimnerError(f"{place}: {error}") from None
    return recipe


def _check_comparable(variants: Sequence[Variant]) -> None:
    """All variants differ, and have the same budget and seed."""
    for one, other in combinations(variants, 2):
        if one.recipe == other.recipe:
            raise LimnerError(f"'{one.label}' and '{other.label}' are one and the same recipe; vary it otherwise.")
    if len({(v.recipe.training.steps, v.recipe.training.seconds, v.recipe.training.seed) for v in variants}) > 1:
        raise LimnerError("Variants are compared on the same budget and the same seeds; do not vary them.")


def parse_vary(texts: Sequence[str]) -> dict[str, list[Any]]:
    """["encoder.name=mlp,lstm"] -> {"encoder.name": ["mlp", "lstm"]}; values are read like those of `--set`."""
    vary: dict[str, list[Any]] = {}
    for text in texts:
        key, _, values = text.partition("=")
        pieces = split_values(values)
        if not key.strip() or not all(pieces):
            raise LimnerError(f"--vary {text}: expected KEY=VALUE,VALUE,..., such as encoder.name=mlp,lstm.")
        if key.strip() in vary:
            raise LimnerError(f"--vary {text}: {key.strip()} is varied twice; give all its values at once.")
        vary[key.strip()] = [parse_value(piece) for piece in pieces]
    return vary


def split_values(text: str) -> list[str]:
    """The values between commas. A comma within quotes, brackets or braces does not separate."""
    pieces, depth, quote = [""], 0, ""
    for character in text:
        if character == "," and not depth and not quote:
            pieces.append("")
            continue
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'" and (depth or not pieces[-1].strip()):  # not an apostrophe within a word
            quote = character
        else:
            depth += (character in "[{") - (character in "]}")
        pieces[-1] += character
    return [piece.strip() for piece in pieces]


def text_of(value: Any) -> str:
    """A value as one writes it on the command line: TOML, but a text has quotes only if it needs them."""
    if isinstance(value, str):
        plain = split_values(value) == [value] and parse_value(value) == value and value
        return value if plain else json.dumps(value, ensure_ascii=False)
    return _toml(value)


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False, default=str)
