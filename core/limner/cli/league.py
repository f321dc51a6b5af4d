"""The command `limner league`."""

import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

import limner
from limner.cli import completion
from limner.cli.options import AsJson, CompareTo, ForAll, Jobs, Quiet, Seeds
from limner.cli.output import plain, print_json, printing_aside
from limner.errors import printable

ASIDE = {"generator weights", "multiply-adds per image", "ms to paint", "memory", "runs"}
"""Columns that are only in table.md."""

app = typer.Typer()


@app.command(
    epilog="Examples: `limner league --out league --jobs 2`, `limner league mine.toml --out league` (your recipe and "
    "the reference), `limner league --seeds 1 --steps 300 --out quick`, `limner league --data-of nlvr "
    "--set data.root=nlvr --out on-nlvr` (the same recipes on drawings that people describe)"
)
def league(
    out: CompareTo,
    entries: Annotated[
        list[str] | None,
        typer.Argument(
            help="Recipes by name or TOML file; by default all of the league.", autocompletion=completion.recipes
        ),
    ] = None,
    name: Annotated[str, typer.Option("--league", help="The league whose recipes are trained.")] = "scenes",
    reference: Annotated[
        str | None, typer.Option(help="The recipe that the others are compared with; scenes-64 by default.")
    ] = None,
    seeds: Seeds = 3,
    steps: Annotated[int, typer.Option(min=1, help="Steps of each training.")] = 2400,
    data_of: Annotated[
        str | None,
        typer.Option(metavar="RECIPE", help="Train all on the data of this recipe.", autocompletion=completion.recipes),
    ] = None,
    settings: ForAll = None,
    quality: Annotated[
        str | None, typer.Option(help="The score that orders the entries; trained/exact by default.")
    ] = None,
    jobs: Jobs = 1,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Train recipes on equal budgets and seeds, judge them alike, and show quality beside cost.

    A run that fails is reported, and the others go on. The same command resumes an interrupted league and tries failed
    runs again.
    """
    budget = {"name": name, "reference": reference, "steps": steps, "data_of": data_of, "quality": quality}
    more = {"out": out, "overrides": settings or [], "quiet": quiet, "jobs": jobs}
    with printing_aside(as_json):
        found = limner.league(entries or (), seeds, **budget, **more)
    if as_json:
        print_json(found.table_of_values())
    elif len(found.comparison):
        _print(found.rows())
        print(printable("\n".join(found.sentences())))
        print(printable(f"Table, chart and pictures are in {out}, models in {out / 'runs'}."))
    if found.comparison.results.missing:
        sys.exit(130)  # interrupted by Ctrl-C


def _print(rows: list[dict[str, str]]) -> None:
    """Print the table in two parts, without the columns that are only in table.md."""
    names = [name for name in rows[0] if name not in ASIDE and not name.startswith("images/s")]
    start = names.index("all weights")
    for part in (names[:start], ["entry", *names[start:]]):
        table = Table()
        for name in part:
            table.add_column(plain(name), justify="left" if name == "entry" else "right", no_wrap=name != "entry")
        for row in rows:
            table.add_row(*(plain(row[name]) for name in part))
        Console().print(table)
