"""The command `limner tradeoff`."""

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
    epilog="Example: `limner tradeoff scenes-one --vary losses.cycle.weight=0,0.25,1 "
    "--vary sampling.truncation=0.5,1,4 --seeds 3 --seconds 60 --out tradeoff`"
)
def tradeoff(
    recipe: RecipeName,
    vary: Annotated[
        list[str],
        typer.Option(metavar="KEY=VALUE,VALUE,...", help="What differs; sampling.* needs no extra training."),
    ],
    out: CompareTo,
    seeds: Seeds = 3,
    steps: Steps = None,
    seconds: Seconds = None,
    consistency: Annotated[str, typer.Option(help="The score of how well images fit their prompts.")] = "trained/exact",
    diversity: Annotated[str, typer.Option(help="The score of how much images differ.")] = "diversity",
    settings: ForAll = None,
    jobs: Jobs = 1,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Train variants, or sample one model in several ways, and plot diversity against consistency.

    The plot marks real data and the frontier. If it is interrupted, the same command resumes it.
    """
    from limner.comparisons.variants import parse_vary

    budget = {"steps": steps, "seconds": seconds, "consistency": consistency, "diversity": diversity}
    more = {"out": out, "overrides": settings or [], "quiet": quiet, "jobs": jobs}
    with printing_aside(as_json):
        found = limner.tradeoff(recipe, parse_vary(vary), seeds, **budget, **more)
    if as_json:
        print_json(found.table_of_values())
    elif len(found.comparison):
        Console().print(found.table())
        print(printable(f"The plot is {out / 'tradeoff.png'}, its numbers are {out / 'tradeoff.json'}."))
    if found.comparison.results.missing:
        sys.exit(130)  # interrupted by Ctrl-C
