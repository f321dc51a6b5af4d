"""The commands that list what is installed: `limner plugins`, `recipes` and `models`. They import no component."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from limner.cli.options import AsJson
from limner.cli.output import plain, print_json
from limner.errors import LimnerError
from limner.kinds import KINDS
from limner.plugins import PluginHost, host

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
        print_json({"plugins": report, "clashes": clashes, "hidden": found.hidden})
        return
    times = [Column("ms", justify="right")] if timing else []
    table = Table("plugin", "from", *times, "state", Column("provides", max_width=70))
    for plugin, provided in rows:
        healthy = Text("healthy", "green")
        state = Text("broken: ", "red") + plain(plugin.problem) if plugin.problem else healthy
        provides = "\n".join(f"{kind}: {', '.join(names)}" for kind, names in provided.items())
        time = [f"{1000 * plugin.seconds:.0f}"] if timing else []
        distribution = plain(f"{plugin.distribution} {plugin.version}")
        table.add_row(plain(plugin.name), distribution, *time, state, plain(provides))
    console = Console()
    console.print(table)
    for clash in clashes:
        console.print(Text("clash: ", "red") + plain(f"{clash}; neither is used, uninstall one of them."))
    _print_hidden(console, found)
    for plugin, _ in rows if timing else ():
        if plugin.seconds >= SLOW:
            told = (
                f"{plugin} takes {plugin.seconds:.1f} s to import; its module should import nothing heavy and name its "
                'components by import strings, "module:Class".'
            )
            console.print(Text("slow: ", "yellow") + plain(told))


@app.command(epilog="Examples: `limner recipes`, `limner recipes --json`")
def recipes(as_json: AsJson = False) -> None:
    """List the installed recipes, one per line."""
    from limner.recipes.limits import read_toml

    found = host()
    rows = []
    for name, component in found.components("recipe").items():
        row = {"name": name, "title": "", "plugin": component.plugin.name, "problem": None}
        try:
            row["title"] = read_toml(found.recipe_path(name)).get("title", "")
        except LimnerError as error:
            row["problem"] = str(error)
        rows.append(row)
    _show(found, "recipe", rows, (), as_json)


@app.command(epilog='Example: `limner models`, then `limner paint quickstart "a red circle above a blue square"`')
def models(as_json: AsJson = False) -> None:
    """List the trained models that are installed. They are used like run folders, by their names."""
    from limner.models.run_files import RECIPE_FILE
    from limner.recipes.limits import read_toml

    found = host()
    rows = []
    for name, component in found.components("model").items():
        row = {"name": name, "title": "", "pixels": None, "steps": None}
        row |= {"plugin": component.plugin.name, "problem": None}
        try:
            recipe = read_toml(found.model_path(name) / RECIPE_FILE)
            row["title"], row["pixels"] = recipe.get("title", ""), recipe["image_size"]
            row["steps"] = recipe["training"].get("steps")
        except LimnerError as error:
            row["problem"] = str(error)
        except (KeyError, TypeError, AttributeError):
            row["problem"] = f"its {RECIPE_FILE} lacks image_size or training"
        rows.append(row)
    _show(found, "model", rows, ("pixels", "steps"), as_json)


def _show(
    found: PluginHost, kind: str, rows: Sequence[Mapping[str, Any]], numbers: Sequence[str], as_json: bool
) -> None:
    """Print what is installed of a kind, as a table or as JSON."""
    if as_json:
        print_json({f"{kind}s": rows, "hidden": found.hidden})
        return
    console, table = Console(), Table(kind, "description", *numbers, "from")
    for row in rows:
        about = Text("broken: ", "red") + plain(row["problem"]) if row["problem"] else plain(row["title"])
        shown = (plain("" if row[number] is None else row[number]) for number in numbers)
        table.add_row(plain(row["name"]), about, *shown, plain(row["plugin"]))
    console.print(table)
    _print_hidden(console, found)


def _print_hidden(console: Console, found: PluginHost) -> None:
    """Say what LIMNER_PLUGINS hides, if anything."""
    if found.hidden:
        console.print(Text("hidden: ", "yellow") + plain(f"{found.hiding()}; unset it to use all plugins."))
