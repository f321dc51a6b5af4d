"""The commands that list what is installed: `limner plugins` and `limner recipes`. They import no component."""

import json
import tomllib
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from limner.cli.options import AsJson
from limner.kinds import KINDS
from limner.plugins import host

SLOW = 0.2
"""A plugin that takes this many seconds or more to import is called slow."""

app = typer.Typer()


@app.command(epilog="Examples: `limner plugins`, `limner plugins --timing`")
def plugins(
    timing: Annotated[bool, typer.Option(help="Show how long each plugin takes to import, slowest first.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the installed plugins: where each is from, what it provides, and if it is broken, why."""
    found = host()
    rows = []
    for plugin in found.plugins.values():
        provided = {
            kind: names
            for kind in KINDS
            if (names := [name for name, c in found.components(kind).items() if c.plugin.name == plugin.name])
        }
        rows.append((plugin, provided))
    if timing:
        rows.sort(key=lambda row: -row[0].seconds)
    clashes = [
        f"two plugins bring the {kind} '{name}': {' and '.join(str(c.plugin) for c in components)}"
        for (kind, name), components in found.clashes.items()
    ]
    if as_json:
        keys = ("name", "distribution", "version", "problem", "seconds")
        report = [{key: getattr(plugin, key) for key in keys} | {"brings": provided} for plugin, provided in rows]
        print(json.dumps({"plugins": report, "clashes": clashes}, indent=1))
        return
    times = [Column("ms", justify="right")] if timing else []
    table = Table("plugin", "from", *times, "state", Column("provides", max_width=70))
    for plugin, provided in rows:
        state = f"[red]broken:[/red] {escape(plugin.problem)}" if plugin.problem else "[green]healthy[/green]"
        provides = "\n".join(f"{kind}: {', '.join(names)}" for kind, names in provided.items())
        time = [f"{1000 * plugin.seconds:.0f}"] if timing else []
        table.add_row(plugin.name, f"{plugin.distribution} {plugin.version}", *time, state, provides)
    console = Console()
    console.print(table)
    for clash in clashes:
        console.print(f"[red]clash:[/red] {escape(clash)}; neither is used, uninstall one of them.")
    for plugin, _ in rows if timing else ():
        if plugin.seconds >= SLOW:
            console.print(
                f"[yellow]slow:[/yellow] {escape(str(plugin))} takes {plugin.seconds:.1f} s to import; its module "
                'should import nothing heavy and name its components by import strings, "module:Class".'
            )


@app.command(epilog="Example: `limner recipes`")
def recipes() -> None:
    """List the installed recipes, one per line."""
    table = Table("recipe", "description", "from")
    for name, component in host().components("recipe").items():
        title = tomllib.loads(host().recipe_path(name).read_text(encoding="utf-8")).get("title", "")
        table.add_row(name, title, component.plugin.name)
    Console().print(table)
