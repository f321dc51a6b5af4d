"""The plugin host: finds plugins by their entry points, and keeps the broken ones from harming the rest."""

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.resources import files
from itertools import chain, count
from pathlib import Path
from time import perf_counter
from typing import Any

import pluggy

from limner import hooks
from limner.errors import LimnerError, nearest
from limner.kinds import KINDS


@dataclass(frozen=True)
class Plugin:
    """A plugin as it was found: healthy, or with the `problem` that keeps it out and what would cure it."""

    name: str
    distribution: str
    version: str
    problem: str | None = None
    seconds: float = 0.0  # that it took to import its module and to hear what it brings

    def __str__(self) -> str:
        return f"plugin '{self.name}' ({f'{self.distribution} {self.version}'.strip()})"


@dataclass(frozen=True)
class Component:
    """A component by name: a class, or where to import it from, and the plugin that brought it."""

    kind: str
    name: str
    value: type | str
    plugin: Plugin


class PluginHost:
    """All installed plugins and what they bring.

    `PluginHost()` discovers by entry points; `PluginHost(discover=False)` starts empty, for tests. A plugin that fails
    to load is left out and stays in `plugins` with its problem. Two components of one kind with one name are
    both left out: asking for the name tells who owns them.
    """

    def __init__(self, discover: bool = True):
        self.manager = pluggy.PluginManager(hooks.GROUP)
        self.manager.add_hookspecs(hooks)
        self.plugins: dict[str, Plugin] = {}
        self.clashes: dict[tuple[str, str], list[Component]] = {}
        self._components: dict[tuple[str, str], Component] = {}
        if discover:
            self._discover()

    # --- finding plugins ---------------------------------------------------------------------------------------

    def _discover(self) -> None:
        wanted = os.environ.get("LIMNER_PLUGINS")
        names = None if wanted is None else {name.strip() for name in wanted.split(",") if name.strip()}
        found: dict[str, list[EntryPoint]] = {}
        for entry in sorted(entry_points(group=hooks.GROUP), key=lambda e: (e.name, _distribution(e))):
            if entry not in found.setdefault(entry.name, []):
                found[entry.name].append(entry)
        for name, entries in found.items():
            if names is not None and name not in names:
                continue
            plugin = Plugin(name, *_distribution(entries[0]))
            if len({_distribution(entry) for entry in entries}) > 1:
                owners = " and ".join(" ".join(_distribution(entry)) for entry in entries)
                problem = f"two distributions call their plugin '{name}': {owners}; uninstall one of them"
                self.plugins[name] = Plugin(name, plugin.distribution, plugin.version, problem)
                continue
            start = perf_counter()
            try:
                module = entries[0].load()
            except (Exception, SystemExit) as error:  # whatever a module may raise when imported
                self._reject(plugin, f"it could not be imported: {_cause(error)}; {_cure(plugin)}")
            else:
                self.register(module, plugin)
            self.plugins[name] = replace(self.plugins[name], seconds=perf_counter() - start)
        for name in sorted((names or set()) - set(found)):
            self.plugins[name] = Plugin(name, "?", "", "LIMNER_PLUGINS names it, but it is not installed")

    def register(self, module: object, plugin: Plugin | None = None) -> Plugin:
        """Take in a plugin: a module, or any object whose methods are marked with `hookimpl`."""
        if plugin is None:
            name = getattr(module, "__name__", type(module).__name__)
            names = chain([name], (f"{name} {number}" for number in count(2)))
            plugin = Plugin(next(free for free in names if free not in self.plugins), "registered by hand", "")
        if (other := self.manager.get_name(module)) is not None:
            return self._reject(plugin, f"its module is that of the plugin '{other}', which is in already")
        if (outdated := _outdated(module, plugin)) is not None:
            return self._reject(plugin, outdated)
        self.plugins[plugin.name] = plugin
        try:
            self.manager.register(module, plugin.name)
            self.manager.check_pending()
            components = list(self._collect(module, plugin))
        except (pluggy.PluginValidationError, LimnerError) as error:
            if self.manager.has_plugin(plugin.name):
                self.manager.unregister(name=plugin.name)
            return self._reject(plugin, f"{self._explain(error)}; {_cure(plugin)}")
        for component in components:
            self._add(component)
        return plugin

    def unregister(self, module: object) -> None:
        """Let a plugin go that was registered by hand and brought hooks of training only."""
        name = self.manager.get_name(module)
        if name is not None:
            self.manager.unregister(name=name)
            self.plugins.pop(name, None)

    def _reject(self, plugin: Plugin, problem: str) -> Plugin:
        rejected = Plugin(plugin.name, plugin.distribution, plugin.version, problem)
        self.plugins[plugin.name] = rejected
        return rejected

    def _explain(self, error: Exception) -> str:
        text = str(error)
        if isinstance(error, pluggy.PluginValidationError) and "unknown hook" in text:
            hook = text.split("unknown hook ")[1].split("'")[1]
            known = [name for name in vars(hooks) if name.startswith("limner_")]
            return f"there is no hook '{hook}'{nearest(hook, known)}"
        return " ".join(text.split())

    def _collect(self, module: object, plugin: Plugin) -> list[Component]:
        """What a plugin brings, checked; each hook is called for this plugin alone, so that a failure has an owner."""
        collected = []
        for kind in KINDS.values():
            hook = kind.hook
            for implementation in getattr(self.manager.hook, hook).get_hookimpls():
                if implementation.plugin is not module:
                    continue
                try:
                    named = implementation.function()
                except (Exception, SystemExit) as error:
                    raise LimnerError(f"its hook {hook} failed: {_cause(error)}") from error
                if not isinstance(named, Mapping) or not all(
                    isinstance(name, str) and isinstance(value, (str, type)) for name, value in named.items()
                ):
                    raise LimnerError(
                        f"its hook {hook} must return a dict of names to classes or import strings, not {named!r}"
                    )
                collected += [Component(kind.name, name, value, plugin) for name, value in named.items()]
        return collected

    def _add(self, component: Component) -> None:
        key = component.kind, component.name
        if key in self.clashes:
            self.clashes[key].append(component)
        elif key in self._components:
            self.clashes[key] = [self._components.pop(key), component]
        else:
            self._components[key] = component

    # --- using what they bring -----------------------------------------------------------------------------------

    def components(self, kind: str) -> dict[str, Component]:
        """All components of a kind, by name, in alphabetical order."""
        return {name: c for (k, name), c in sorted(self._components.items(), key=lambda item: item[0]) if k == kind}

    def find(self, kind: str, name: str, place: str = "") -> Component:
        """The component of that kind and name. `place` says where in a recipe it was asked for."""
        where = f"{place}: " if place else ""
        if (kind, name) in self.clashes:
            owners = " and ".join(str(c.plugin) for c in self.clashes[kind, name])
            raise LimnerError(f"{where}two plugins bring the {kind} '{name}': {owners}; uninstall one of them.")
        if (kind, name) not in self._components:
            known = list(self.components(kind))
            raise LimnerError(
                f"{where}there is no {kind} '{name}'{nearest(name, known)}"
                f"{'; there is ' + ', '.join(known) if known else ''}.{self.problems()}"
            )
        return self._components[kind, name]

    def load(self, kind: str, name: str, place: str = "") -> Any:
        """The class of a component, imported now if its plugin gave an import string."""
        component = self.find(kind, name, place)
        value = self.bring(component)
        if not (isinstance(value, type) and issubclass(value, KINDS[kind].interface)):
            raise LimnerError(
                f"The {kind} '{name}' of {component.plugin} must be a subclass of "
                f"limner.{KINDS[kind].interface_name}, not {value!r}."
            )
        return value

    def bring(self, component: Component) -> Any:
        """What a component is, imported now if its plugin gave an import string."""
        if not isinstance(component.value, str):
            return component.value
        module, _, attribute = component.value.partition(":")
        try:
            return getattr(import_module(module), attribute)
        except (Exception, SystemExit) as error:
            raise LimnerError(
                f"The {component.kind} '{component.name}' of {component.plugin} could not be imported "
                f"from '{component.value}': {_cause(error)}."
            ) from error

    def recipe_path(self, name: str) -> Path:
        """The file of a recipe that a plugin brought."""
        package, _, file = str(self.find("recipe", name).value).partition(":")
        return Path(str(files(package).joinpath(file)))

    def problems(self) -> str:
        """A sentence on the plugins that are left out, or nothing: what is missing may have been theirs."""
        broken = [f"{plugin}: {plugin.problem}" for plugin in self.plugins.values() if plugin.problem]
        return f" Left out: {'; '.join(broken)}." if broken else ""

    def call(self, hook: str, **arguments: Any) -> None:
        """Tell every plugin of a moment in training, in pluggy's order. One that fails is told once and left out."""
        for implementation in reversed(getattr(self.manager.hook, hook).get_hookimpls()):
            try:
                implementation.function(**{name: arguments[name] for name in implementation.argnames})
            except LimnerError:
                raise
            except Exception as error:
                plugin = self.plugins[implementation.plugin_name]
                print(f"{plugin} failed in {hook} and is left out from now on: {_cause(error)}", file=sys.stderr)
                self.manager.unregister(name=plugin.name)
                self._reject(plugin, f"its hook {hook} failed: {_cause(error)}")


def _distribution(entry: EntryPoint) -> tuple[str, str]:
    metadata: Mapping[str, str] = entry.dist.metadata if entry.dist else {}  # pyright: ignore[reportAssignmentType]
    return metadata.get("Name", "?"), metadata.get("Version", "")  # both are missing where half of it was removed


def _outdated(module: object, plugin: Plugin) -> str | None:
    """Why a plugin was written for hooks and interfaces that this Limner does not have; None where it was not."""
    stated = getattr(module, "API_VERSION", hooks.API_VERSION)
    if not (isinstance(stated, str) and re.fullmatch(r"\d+\.\d+", stated)):
        return f'its API_VERSION must be a text such as "{hooks.API_VERSION}", not {stated!r}; {_cure(plugin)}'
    wanted, own = (tuple(map(int, version.split("."))) for version in (stated, hooks.API_VERSION))
    if wanted > own:
        return f"it needs the API {stated} of a newer Limner, this one has {hooks.API_VERSION}; upgrade limner"
    if wanted[0] < own[0]:
        return f"it was written for the API {stated}, this Limner has {hooks.API_VERSION}; {_cure(plugin)}"
    return None


def _cure(plugin: Plugin) -> str:
    """What a user can do about a broken plugin."""
    return f"upgrade or uninstall {plugin.distribution}" if plugin.version else "mend it"


def _cause(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


@cache
def host() -> PluginHost:
    """The host of this process, with everything that is installed."""
    return PluginHost()
