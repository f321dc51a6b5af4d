"""The command `limner tradeoff`. Only what it needs is imported, and only when it runs."""

import json
import sys
from typing import Annotated

import typer
from rich.console import Console

from limner.cli.options import AsJson, CompareTo, ForAll, Quiet, RecipeName, Seconds, Seeds, Steps

EXAMPLE = (
    "Example: `limner tradeoff scenes-one --vary losses.cycle.weight=0,0.25,1 "
    "--vary sampling.truncation=0.5,1,4 --seeds 3 --seconds 60 --out tradeoff`"
)


def tradeoff(
    recipe: RecipeName,
    vary: Annotated[
        list[str],
        typer.Option(metavar="KEY=VALUE,VALUE,...", help="What differs; sampling.* needs no training of its own."),
    ],
    out: CompareTo,
    seeds: Seeds = 3,
    steps: Steps = None,
    seconds: Seconds = None,
    consistency: Annotated[str, typer.Option(help="The score of fitting the prompt.")] = "trained/exact",
    diversity: Annotated[str, typer.Option(help="The score of differing.")] = "diversity",
    settings: ForAll = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Train variants, or sample one model in several ways, and draw diversity against consistency.

    Real data's point and the frontier are marked. Stopped and given again, the command goes on where it was.
    """
    from limner.comparisons.tradeoff import tradeoff as trade_off
    from limner.comparisons.variants import parse_vary

    budget = {"steps": steps, "seconds": seconds, "consistency": consistency, "diversity": diversity}
    found = trade_off(recipe, parse_vary(vary), seeds, **budget, out=out, overrides=settings or [], quiet=quiet)
    if as_json:
        print(json.dumps(found.table_of_values(), indent=1))
    elif len(found.comparison):
        Console().print(found.table().table())
        print(f"The picture is {out / 'tradeoff.png'}, its numbers {out / 'tradeoff.json'}.")
    if found.comparison.attrs["missing"]:
        sys.exit(130)  # as after any Ctrl-C
