"""The command `limner speedrun`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

import limner
from limner.cli.options import AsJson, Quiet, RecipeName, Settings
from limner.cli.output import print_json, printing_aside
from limner.errors import printable

app = typer.Typer()


@app.command(
    epilog="Examples: `limner speedrun mine.toml --out mine.json`, "
    "`limner speedrun scenes-32 --set training.steps=1200 --seeds 1 --out try.json`"
)
def speedrun(
    recipe: RecipeName,
    out: Annotated[Path, typer.Option(help="The log to write, a JSON file, or one to add seeds to.")],
    seeds: Annotated[int, typer.Option(min=1, help="How many; a record has three.")] = 3,
    settings: Settings = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Train until .95 of the images are right, and tell after how many steps and seconds.

    The recipe trains on the data of `scenes-32`. Every 100 steps, 500 images are judged; if .95 of them are right,
    2,000 others confirm it. The time of judging does not count.
    """
    from dataclasses import asdict

    with printing_aside(as_json):
        found = limner.speedrun(recipe, seeds, out=out, overrides=settings or [], quiet=quiet)
    if as_json:
        print_json(asdict(found))
    else:
        print(printable("\n".join([*found.lines(), f"The log is {out}."] if found.seeds else ["No seed is finished."])))
    if len(found.seeds) < seeds:
        sys.exit(130)  # interrupted by Ctrl-C
