"""What a plugin is, which ones are installed, and what may be wrong with one, in words."""

import re
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import entry_points
from typing import Any, Protocol, runtime_checkable

import pluggy

from limner import hooks
from limner.errors import LimnerError, nearest, quoted, shortened

LONGEST_PROBLEM = 400
"""Characters of what is said about a broken plugin."""


@dataclass(frozen=True)
class Plugin:
    """A plugin that was found. If it is broken, `problem` says what is wrong and how to fix it."""

    name: str
    distribution: str
    version: str
    problem: str | None = None
    seconds: float = 0.0  # to import its module and to list its components

    def __str__(self) -> str:
        return f"plugin '{self.name}' ({f'{self.distribution} {self.version}'.strip()})"


@runtime_checkable
class Entry(Protocol):
    """An entry point, of `importlib.metadata` or of `importlib_metadata`, which takes its place once it is imported."""

    @property
    def name(self) -> str: ...

    def load(self) -> Any:
        """Import what it names."""
        ...


def installed() -> dict[str, list[Entry]]:
    """The entry points of installed plugins, by name; several of one name belong to different distributions."""
    found: dict[str, list[Entry]] = {}
    for entry in sorted(entry_points(group=hooks.GROUP), key=lambda e: (e.name, distribution(e))):
        if entry not in found.setdefault(entry.name, []):
            found[entry.name].append(entry)
    return found


def distribution(entry: Entry) -> tuple[str, str]:
    """The name and the version of the distribution that an entry point belongs to."""
    return _name_and_version(owner) if (owner := getattr(entry, "dist", None)) else ("?", "")


@lru_cache(maxsize=100)  # the metadata hold a whole README, and are parsed anew at each access
def _name_and_version(owner: Any) -> tuple[str, str]:
    try:
        metadata = owner.metadata
    except FileNotFoundError:  # a half-removed distribution
        return "?", ""
    return metadata.get("Name", "?"), metadata.get("Version", "")


def named_components(hook: str, function: Any) -> Mapping[str, type | str]:
    """What a plugin returns from a hook, checked."""
    try:
        with printing_aside():
            named = function()
    except (Exception, SystemExit) as error:
        raise LimnerError(f"its hook {hook} failed: {cause(error)}") from error
    if not isinstance(named, Mapping) or not all(
        isinstance(name, str) and isinstance(value, (str, type)) for name, value in named.items()
    ):
        raise LimnerError(
            f"its hook {hook} must return a dict of names to classes or import strings, not {quoted(named)}"
        )
    return named


def printing_aside() -> redirect_stdout[Any]:
    """While this context lasts, what a plugin prints goes to stderr: stdout may be JSON for a program."""
    return redirect_stdout(sys.stderr)


def why_outdated(module: object, plugin: Plugin) -> str | None:
    """Why this Limner cannot run a plugin of that API_VERSION; None if it can."""
    stated = getattr(module, "API_VERSION", hooks.API_VERSION)
    if not (isinstance(stated, str) and re.fullmatch(r"[0-9]{1,9}\.[0-9]{1,9}", stated)):
        return f'its API_VERSION must be a text such as "{hooks.API_VERSION}", not {quoted(stated)}; {remedy(plugin)}'
    wanted, own = (tuple(map(int, version.split("."))) for version in (stated, hooks.API_VERSION))
    if wanted > own:
        return f"it needs the API {stated} of a newer Limner, this one has {hooks.API_VERSION}; upgrade limner"
    if wanted[0] < own[0]:
        return f"it was written for the API {stated}, this Limner has {hooks.API_VERSION}; {remedy(plugin)}"
    return None


def remedy(plugin: Plugin) -> str:
    """What the user can do about a broken plugin."""
    return f"upgrade or uninstall {plugin.distribution}" if plugin.version else "fix it"


def explanation(error: Exception) -> str:
    """The message of an error, in one line; for an unknown hook, with the nearest known one."""
    text = str(error) if isinstance(error, LimnerError | pluggy.PluginValidationError) else cause(error)
    if isinstance(error, pluggy.PluginValidationError) and "unknown hook" in text:
        hook = text.split("unknown hook ")[1].split("'")[1]
        known = [name for name in vars(hooks) if name.startswith("limner_")]
        return f"there is no hook '{hook}'{nearest(hook, known)}"
    return " ".join(text.split())


def name_of(module: object) -> str:
    """The name of a module, or of the class of any other object."""
    try:
        return str(getattr(module, "__name__", type(module).__name__))
    except Exception:  # an attribute may raise anything
        return type(module).__name__


def cause(error: BaseException) -> str:
    """The type and the message of an error, in one line."""
    return shortened(" ".join(f"{type(error).__name__}: {error}".split()), LONGEST_PROBLEM // 2)
