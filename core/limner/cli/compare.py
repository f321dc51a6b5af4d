"""The command `limner compare`."""

import json
import sys
from typing import Annotated

import typer
from rich.console import Console

import limner
from limner.cli.options import AsJson, CompareTo, ForAll, Quiet, RecipeName, Seconds, Seeds, Steps

app = typer.Typer()


@app.command(
    epilog="Examples: `limner compare scenes-one --vary encoder.name=mlp,lstm --seeds 3 --seconds 60 "
    "--out comparisons/encoders`, `limner compare scenes-64 --vary recipe=scenes-64,scenes-staged --out found`"
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
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Train variants of a recipe on equal budgets, evaluate each, and write a table, a chart and JSON.

    If it is interrupted, the same command resumes it.
    """
    from limner.comparisons.variants import parse_vary

    overrides = settings or []
    found = limner.compare(
        recipe, parse_vary(vary), seeds, steps=steps, seconds=seconds, out=out, overrides=overrides, quiet=quiet
    )
    if as_json:
        print(json.dumps(found.attrs, indent=1))
    elif len(found):
        Console().print(found.summary().table())
        print("\n".join([*found.problems, f"Results, table and chart are in {out}, the models in {out / 'runs'}."]))
    if found.results.missing:
        sys.exit(130)  # interrupted by Ctrl-C
