"""What a shell completes: recipes, components, models, run folders and files. It imports no torch and no component.

A function gets the word that is typed so far, and returns what it may become, each with a few words about it. Whatever
goes wrong, there is nothing to complete, and the shell offers file names.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from itertools import islice
from pathlib import Path
from typing import Any

Choices = list[tuple[str, str]]
Source = Callable[[str], Iterable[tuple[str, str]]]

MOST, DEEPEST = 100, 3
"""Choices at most, and folders within each other that are searched for runs."""
NOT_FOUND_THERE = {"node_modules", "site-packages", "__pycache__"}
PARTS = {"data": "dataset", "encoder": "encoder", "generator": "generator", "discriminator": "discriminator"}
PARTS |= {"generator.attention": "attention", "training.optimizer": "optimizer"}
"""Keys of a recipe that name a component, and its kind."""


def choices(source: Source) -> Callable[[str], Choices]:
    """A completion: what `source` has that begins with the word. It never fails."""

    @wraps(source)
    def complete(incomplete: str) -> Choices:
        try:
            fitting = (choice for choice in source(incomplete) if choice[0].startswith(incomplete))
            return list(islice(dict(fitting).items(), MOST))
        except Exception:  # a shell has no use for an error in the middle of a line
            return []

    return complete


@choices
def recipes(incomplete: str) -> Iterator[tuple[str, str]]:
    """Recipes by name, and TOML files."""
    yield from _names("recipe")
    for path in _entries(incomplete):
        if path.is_dir() or path.suffix == ".toml":
            yield _as_typed(path, incomplete), "a folder" if path.is_dir() else "a recipe file"


@choices
def runs(incomplete: str) -> Iterator[tuple[str, str]]:
    """Trained models by name, and run folders."""
    yield from _names("model")
    yield from _folders(incomplete, ("recipe.toml",))


@choices
def runs_and_comparisons(incomplete: str) -> Iterator[tuple[str, str]]:
    """Trained models by name, run folders, and comparisons."""
    yield from _names("model")
    yield from _folders(incomplete, ("recipe.toml", "results.json"))


@choices
def metrics(incomplete: str) -> Iterator[tuple[str, str]]:
    """Metrics by name."""
    yield from _names("metric")


@choices
def component_kinds(incomplete: str) -> Iterator[tuple[str, str]]:
    """The kinds of components that `limner new-plugin` writes."""
    from limner.kinds import COMPONENTS

    yield from ((kind, "") for kind in COMPONENTS)


@choices
def topics(incomplete: str) -> Iterator[tuple[str, str]]:
    """What `limner describe` describes."""
    from limner.kinds import KINDS

    yield from ((kind.replace(" ", "-"), "components of this kind") for kind in KINDS)
    yield from ((topic, "") for topic in ("hook", "interface", "setting"))


def components(ctx: Any, incomplete: str) -> Choices:
    """The components of the kind that is typed before; `ctx` is the context of click, with what is typed."""
    kind = str(ctx.params.get("kind") or "").replace("-", " ")
    return choices(lambda _: _names(kind))(incomplete)


@choices
def settings(incomplete: str) -> Iterator[tuple[str, str]]:
    """Changes of a recipe: its keys, and for those that name a component, the components."""
    from limner.recipes.nearest_recipe import usual_values

    for key, kind in PARTS.items():
        for name, plugin in _names(kind):
            yield f"{key}.name={name}", plugin
    for name, plugin in _names("loss"):
        yield f"losses.{name}.weight=", plugin
    yield from ((f"{key}=", f"usually {value}") for key, value in usual_values().items())


def _names(kind: str) -> Iterator[tuple[str, str]]:
    """The installed components of a kind."""
    from limner.plugins import host

    for name, component in host().components(kind).items():
        yield name, f"from the plugin {component.plugin.name}"


# --- folders --------------------------------------------------------------------------------------------------------


def _folders(incomplete: str, holding: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Folders that hold one of these files, and whose path begins with the word."""
    waiting = [(path, 1) for path in _entries(incomplete)]
    while waiting:
        path, level = waiting.pop(0)
        if not path.is_dir() or path.name in NOT_FOUND_THERE:
            continue
        if found := [name for name in holding if (path / name).is_file()]:
            yield _as_typed(path, incomplete), "a comparison" if found[0] == "results.json" else "a run"
        elif level < DEEPEST:
            waiting += [(child, level + 1) for child in _visible(path)]


def _entries(incomplete: str) -> list[Path]:
    """What is in the folder of an incomplete path and begins with its last part."""
    head, _, tail = incomplete.rpartition("/")
    folder = Path(f"{head}/" if incomplete.startswith("/") and not head else head or ".").expanduser()
    return [path for path in _visible(folder) if path.name.startswith(tail)]


def _visible(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in islice(folder.iterdir(), 1000) if not path.name.startswith("."))
    except OSError:
        return []


def _as_typed(path: Path, incomplete: str) -> str:
    """A path as the word begins: with ~ or ./ if that was typed."""
    if incomplete.startswith("~"):
        return f"~/{path.relative_to(Path.home()).as_posix()}"
    return f"./{path.as_posix()}" if incomplete.startswith("./") else path.as_posix()


# --- bash -----------------------------------------------------------------------------------------------------------


def complete_setting_in_bash() -> bool:
    """For bash, which takes KEY=VALUE for three words and completes only the last: print what it may become.

    Settings before the word that is completed are made one word again, so that the rest of the line is understood.

    Returns:
        Whether this was all that was asked for.
    """
    if os.environ.get("_LIMNER_COMPLETE") != "complete_bash":
        return False
    words, place = os.environ.get("COMP_WORDS", "").split("\n"), int(os.environ.get("COMP_CWORD", "0"))
    while "=" in words[2 : place + 1]:
        at = words.index("=", 2)
        value = words[at + 1 : place + 1][:1]
        words[at - 1 : at + 1 + len(value)] = ["".join([words[at - 1], "=", *value])]
        place -= 1 + len(value)
    os.environ["COMP_WORDS"], os.environ["COMP_CWORD"] = "\n".join(words), str(place)
    key, equals, _ = words[place].partition("=") if place < len(words) else ("", "", "")
    if not equals or words[place - 1] != "--set":
        return False
    print("\n".join(text.removeprefix(f"{key}=") for text, _ in settings(words[place])))
    return True
