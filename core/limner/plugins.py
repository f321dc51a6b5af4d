"""The plugin host: finds plugins by their entry points, and leaves out broken ones."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from importlib.resources import files
from itertools import chain, count
from pathlib import Path
from time import perf_counter
from typing import Any

import pluggy

from limner import hooks
from limner.errors import LimnerError, nearest, printable, quoted, shortened
from limner.kinds import COMPONENTS, KINDS
from limner.plugin_checks import (
    LONGEST_PROBLEM,
    Entry,
    Plugin,
    cause,
    distribution,
    explanation,
    installed,
    name_of,
    named_components,
    printing_aside,
    remedy,
    why_outdated,
)

__all__ = ["Component", "Plugin", "PluginHost", "host"]


@dataclass(frozen=True)
class Component:
    """A component by name: a class or an import string, and the plugin that brought it."""

    kind: str
    name: str
    value: type | str
    plugin: Plugin


class PluginHost:
    """All installed plugins and their components.

    `PluginHost()` finds plugins by their entry points; `PluginHost(discover=False)` starts empty, for tests. A plugin
    that fails to load is left out, and stays in `plugins` with its problem. If several plugins bring components of the
    same kind and name, none of these is used: asking for the name raises an error that names the plugins.
    """

    def __init__(self, discover: bool = True):
        self.manager = pluggy.PluginManager(hooks.GROUP)
        self.manager.add_hookspecs(hooks)
        self.plugins: dict[str, Plugin] = {}
        self.hidden: list[str] = []  # plugins that LIMNER_PLUGINS does not name
        self._components: dict[tuple[str, str], list[Component]] = {}  # by kind and name; several are a clash
        if discover:
            self._discover()

    # --- finding plugins ---------------------------------------------------------------------------------------

    def _discover(self) -> None:
        wanted = os.environ.get("LIMNER_PLUGINS")
        names = None if wanted is None else {name.strip() for name in wanted.split(",") if name.strip()}
        found = installed()
        for name, entries in found.items():
            if names is not None and name not in names:
                self.hidden.append(name)
            else:
                start = perf_counter()
                self._import(name, entries)
                self.plugins[name] = replace(self.plugins[name], seconds=perf_counter() - start)
        for name in sorted((names or set()) - set(found)):
            self.plugins[name] = Plugin(name, "?", "", "LIMNER_PLUGINS names it, but it is not installed")

    def _import(self, name: str, entries: list[Entry]) -> None:
        """Import and register the plugin of that name."""
        plugin = Plugin(name, *distribution(entries[0]))
        if len({distribution(entry) for entry in entries}) > 1:
            owners = " and ".join(" ".join(distribution(entry)) for entry in entries)
            self._reject(plugin, f"two distributions call their plugin '{name}': {owners}; uninstall one of them")
            return
        try:
            with printing_aside():
                module = entries[0].load()
        except (Exception, SystemExit) as error:  # importing a module may raise anything
            self._reject(plugin, f"it could not be imported: {cause(error)}; {remedy(plugin)}")
        else:
            self.register(module, plugin)

    def register(self, module: object, plugin: Plugin | None = None) -> Plugin:
        """Add a plugin: a module, or any object whose methods are marked with `hookimpl`.

        Returns:
            The plugin, with its `problem` if it is broken.
        """
        if plugin is None:
            name = name_of(module)
            names = chain([name], (f"{name} {number}" for number in count(2)))
            plugin = Plugin(next(free for free in names if free not in self.plugins), "registered by hand", "")
        if (other := self.manager.get_name(module)) is not None:
            return self._reject(plugin, f"its module is already registered as the plugin '{other}'")
        self.plugins[plugin.name] = plugin
        try:
            if (outdated := why_outdated(module, plugin)) is not None:
                return self._reject(plugin, outdated)
            self.manager.register(module, plugin.name)
            self.manager.check_pending()
            components = self._collect(module, plugin)
        except Exception as error:  # looking at an object may raise anything
            if self.manager.has_plugin(plugin.name):
                self.manager.unregister(name=plugin.name)
            return self._reject(plugin, f"{explanation(error)}; {remedy(plugin)}")
        for component in components:
            self._components.setdefault((component.kind, component.name), []).append(component)
        return plugin

    def unregister(self, module: object) -> None:
        """Remove a plugin: its hooks, its components, and the clashes that these caused."""
        name = self.manager.get_name(module)
        if name is not None:
            self._remove(name)

    @contextmanager
    def registered(self, module: object) -> Iterator[Plugin]:
        """Register a plugin for the duration of a `with` block."""
        plugin = self.register(module)
        try:
            yield plugin
        finally:
            self._remove(plugin.name)

    def _remove(self, name: str) -> None:
        if self.manager.has_plugin(name):
            self.manager.unregister(name=name)
        self.plugins.pop(name, None)
        remaining = {key: [c for c in found if c.plugin.name != name] for key, found in self._components.items()}
        self._components = {key: components for key, components in remaining.items() if components}

    def _reject(self, plugin: Plugin, problem: str) -> Plugin:
        self.plugins[plugin.name] = replace(plugin, problem=shortened(printable(problem), LONGEST_PROBLEM))
        return self.plugins[plugin.name]

    def _collect(self, module: object, plugin: Plugin) -> list[Component]:
        """The components of a plugin. Each hook is called for this plugin alone, so that a failure has an owner."""
        collected = []
        for kind in KINDS.values():
            for implementation in getattr(self.manager.hook, kind.hook).get_hookimpls():
                if implementation.plugin is module:
                    named = named_components(kind.hook, implementation.function)
                    collected += [Component(kind.name, name, value, plugin) for name, value in named.items()]
        return collected

    # --- using their components ----------------------------------------------------------------------------------

    @property
    def clashes(self) -> dict[tuple[str, str], list[Component]]:
        """Components that several plugins bring, by kind and name; none of them is used."""
        return {key: components for key, components in self._components.items() if len(components) > 1}

    def components(self, kind: str) -> dict[str, Component]:
        """All components of a kind, by name, in alphabetical order."""
        return {
            key[1]: found[0] for key, found in sorted(self._components.items()) if key[0] == kind and len(found) == 1
        }

    def find(self, kind: str, name: str, place: str = "") -> Component:
        """The component of that kind and name. `place` says where in a recipe it stands, for the error message.

        Raises:
            LimnerError: if no plugin brings it, or several do.
        """
        where = f"{place}: " if place else ""
        found = self._components.get((kind, name), [])
        if len(found) > 1:
            owners = " and ".join(str(component.plugin) for component in found)
            raise LimnerError(f"{where}two plugins bring the {kind} '{name}': {owners}; uninstall one of them.")
        if not found:
            known = list(self.components(kind))
            raise LimnerError(
                f"{where}there is no {kind} '{name}'{nearest(name, known)}"
                f"{'; there is ' + ', '.join(known) if known else ''}.{self.problems()}"
            )
        return found[0]

    def load(self, kind: str, name: str, place: str = "") -> Any:
        """The class of a component.

        Raises:
            LimnerError: if it cannot be found or imported, or does not extend the interface of its kind.
        """
        component = self.find(kind, name, place)
        value = self.bring(component)
        base = f"subclass of limner.{KINDS[kind].interface_name}" if KINDS[kind].interface_name else "class"
        if not isinstance(value, type) or (kind in COMPONENTS and not issubclass(value, KINDS[kind].interface)):
            raise LimnerError(f"The {kind} '{name}' of {component.plugin} must be a {base}, not {quoted(value)}.")
        return value

    def bring(self, component: Component) -> Any:
        """The object that a component stands for. An import string is imported now.

        Raises:
            LimnerError: if the import fails.
        """
        if not isinstance(component.value, str):
            return component.value
        module, _, attribute = component.value.partition(":")
        try:
            with printing_aside():
                return getattr(import_module(module), attribute)
        except (Exception, SystemExit) as error:
            raise LimnerError(
                f"The {component.kind} '{component.name}' of {component.plugin} could not be imported "
                f"from '{component.value}': {cause(error)}."
            ) from error

    def recipe_path(self, name: str) -> Path:
        """The file of a recipe that a plugin brings.

        Raises:
            LimnerError: if no plugin brings it, or its file does not exist.
        """
        return self._path("recipe", name)

    def model_path(self, name: str) -> Path:
        """The run folder of a trained model that a plugin brings.

        Raises:
            LimnerError: if no plugin brings it, or the folder does not exist.
        """
        return self._path("model", name)

    def _path(self, kind: str, name: str) -> Path:
        """A file or a folder in the package of a plugin."""
        component = self.find(kind, name)
        package, _, file = str(component.value).partition(":")
        try:
            with printing_aside():
                path = Path(str(files(package).joinpath(file)))
            if not (path.is_dir() if kind == "model" else path.is_file()):
                raise FileNotFoundError(f"there is no {'folder' if kind == 'model' else 'file'} {path}")
        except (Exception, SystemExit) as error:  # importing a package may raise anything
            raise LimnerError(
                f"The {kind} '{name}' of {component.plugin} cannot be read from '{component.value}': {cause(error)}; "
                f"{remedy(component.plugin)}."
            ) from None
        return path

    def problems(self) -> str:
        """Sentences on the plugins that are left out, or nothing: a missing component may belong to one of them."""
        broken = [f"{plugin}: {plugin.problem}" for plugin in self.plugins.values() if plugin.problem]
        said = f" Left out: {'; '.join(broken)}." if broken else ""
        return f"{said} {self.hiding()}." if self.hidden else said

    def hiding(self) -> str:
        """What the environment variable LIMNER_PLUGINS hides; nothing if it is not set or names every plugin."""
        wanted = os.environ.get("LIMNER_PLUGINS", "")
        return f"LIMNER_PLUGINS='{wanted}' leaves out {', '.join(self.hidden)}" if self.hidden else ""

    def call(self, hook: str, **arguments: Any) -> None:
        """Call a training hook of every plugin, in pluggy's order. A plugin that fails is reported and left out."""
        for implementation in reversed(getattr(self.manager.hook, hook).get_hookimpls()):
            try:
                implementation.function(**{name: arguments[name] for name in implementation.argnames})
            except LimnerError:
                raise
            except Exception as error:
                plugin = self.plugins[implementation.plugin_name]
                said = f"{plugin} failed in {hook} and is left out from now on: {cause(error)}"
                print(printable(said), file=sys.stderr)
                self.manager.unregister(name=plugin.name)
                self._reject(plugin, f"its hook {hook} failed: {cause(error)}")


@cache
def host() -> PluginHost:
    """The plugin host of this process, with everything that is installed."""
    return PluginHost()
