"""The command `limner tradeoff`. Only what it needs is imported, and only when it runs."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

EXAMPLE = (
    "Example: `limner tradeoff scenes-one --vary losses.cycle.weight=0,0.25,1 "
    "--vary sampling.truncation=0.5,1,4 --seeds 3 --seconds 60 --out tradeoff`"
)


def tradeoff(
    recipe: Annotated[str, typer.Argument(help="A recipe's name (see `limner recipes`) or a TOML file.")],
    vary: Annotated[
        list[str],
        typer.Option(metavar="KEY=VALUE,VALUE,...", help="What differs; sampling.* needs no training of its own."),
    ],
    out: Annotated[Path, typer.Option(help="The folder to make, or to go on with.")],
    seeds: Annotated[int, typer.Option(min=1, help="How many times each variant is trained.")] = 3,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps of each training; by default the recipe's.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Seconds of each training, in place of steps.")] = None,
    consistency: Annotated[str, typer.Option(help="The score of fitting the prompt.")] = "trained/exact",
    diversity: Annotated[str, typer.Option(help="The score of differing.")] = "diversity",
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change the recipe for all variants.")
    ] = None,
    quiet: Annotated[bool, typer.Option(help="No progress bar.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Train variants, or sample one model in several ways, and draw diversity against consistency.

    Real data's point and the frontier are marked. Stopped and given again, the command goes on where it was.
    """
    from limner.tradeoffs import tradeoff as trade_off
    from limner.variants import parse_vary

    budget = {"steps": steps, "seconds": seconds, "consistency": consistency, "diversity": diversity}
    found = trade_off(recipe, parse_vary(vary), seeds, **budget, out=out, overrides=settings or [], quiet=quiet)
    if as_json:
        print(json.dumps(found.table_of_values(), indent=1))
    elif len(found.comparison):
        Console().print(found.table().table())
        print(f"The picture is {out / 'tradeoff.png'}, its numbers {out / 'tradeoff.json'}.")
    if found.comparison.attrs["missing"]:
        sys.exit(130)  # as after any Ctrl-C
