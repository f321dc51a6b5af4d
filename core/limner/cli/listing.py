"""The commands that list what is installed. They import no component, so that they answer at once."""

import json
import tomllib
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from limner.kinds import KINDS
from limner.plugins import host

SLOW = 0.2  # seconds, from which on a plugin is called slow


def plugins(
    timing: Annotated[bool, typer.Option(help="How long each plugin keeps everybody waiting, slowest first.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """What is installed, from where, healthy or broken and why, and which components it brings."""
    found = host()
    rows = []
    for plugin in found.plugins.values():
        brought = {
            kind: names
            for kind in KINDS
            if (names := [name for name, c in found.components(kind).items() if c.plugin.name == plugin.name])
        }
        rows.append((plugin, brought))
    if timing:
        rows.sort(key=lambda row: -row[0].seconds)
    clashes = [
        f"two plugins bring the {kind} '{name}': {' and '.join(str(c.plugin) for c in components)}"
        for (kind, name), components in found.clashes.items()
    ]
    if as_json:
        keys = ("name", "distribution", "version", "problem", "seconds")
        report = [{key: getattr(plugin, key) for key in keys} | {"brings": brought} for plugin, brought in rows]
        print(json.dumps({"plugins": report, "clashes": clashes}, indent=1))
        return
    times = [Column("ms", justify="right")] if timing else []
    table = Table("plugin", "from", *times, "state", Column("brings", max_width=70))
    for plugin, brought in rows:
        state = f"[red]broken:[/red] {escape(plugin.problem)}" if plugin.problem else "[green]healthy[/green]"
        brings = "\n".join(f"{kind}: {', '.join(names)}" for kind, names in brought.items())
        took = [f"{1000 * plugin.seconds:.0f}"] if timing else []
        table.add_row(plugin.name, f"{plugin.distribution} {plugin.version}", *took, state, brings)
    console = Console()
    console.print(table)
    for clash in clashes:
        console.print(f"[red]clash:[/red] {escape(clash)}; neither is used, uninstall one of them.")
    for plugin, _ in rows if timing else ():
        if plugin.seconds >= SLOW:
            console.print(
                f"[yellow]slow:[/yellow] {escape(str(plugin))} takes {plugin.seconds:.1f} s to say what it brings; its "
                'module should import nothing heavy and hand over "module:Class" texts.'
            )


def recipes() -> None:
    """The recipes that come along, a line each."""
    table = Table("recipe", "what it is", "from")
    for name, component in host().components("recipe").items():
        title = tomllib.loads(host().recipe_path(name).read_text(encoding="utf-8")).get("title", "")
        table.add_row(name, title, component.plugin.name)
    Console().print(table)
