"""The command `limner compare`."""

import sys
from typing import Annotated

import typer
from rich.console import Console

import limner
from limner.cli.options import AsJson, CompareTo, ForAll, Jobs, Quiet, RecipeName, Seconds, Seeds, Steps
from limner.cli.output import print_json, printing_aside
from limner.errors import printable

app = typer.Typer()


@app.command(
    epilog="Examples: `limner compare scenes-one --vary encoder.name=mlp,lstm --seeds 3 --seconds 60 "
    "--out comparisons/encoders --jobs 4`, `limner compare scenes-64 --vary recipe=scenes-64,scenes-staged --out found`"
)
def compare(
    recipe: RecipeName,
    vary: Annotated[
        list[str],
        typer.Option(
            metavar="KEY=VALUE,VALUE,...", help="What differs, e.g. recipe=A,B; repeatable (all combinations)."
        ),
    ],
    out: CompareTo,
    seeds: Seeds = 3,
    steps: Steps = None,
    seconds: Seconds = None,
    settings: ForAll = None,
    jobs: Jobs = 1,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Train variants of a recipe on equal budgets, evaluate each, and write a table, a chart and JSON.

    If it is interrupted, the same command resumes it.
    """
    from limner.comparisons.variants import parse_vary

    budget = {"steps": steps, "seconds": seconds}
    with printing_aside(as_json):
        more = {"out": out, "overrides": settings or [], "quiet": quiet, "jobs": jobs}
        found = limner.compare(recipe, parse_vary(vary), seeds, **budget, **more)
    if as_json:
        print_json(found.attrs)
    elif len(found):
        Console().print(found.summary())
        first = map(str, found.differences(found.metrics[:1]))
        told = [*first, *found.problems, f"Results, table, chart and pictures are in {out}, models in {out / 'runs'}."]
        print(printable("\n".join(told)))
    if found.results.missing:
        sys.exit(130)  # interrupted by Ctrl-C
