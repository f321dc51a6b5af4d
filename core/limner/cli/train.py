"""The command `limner train`."""

from pathlib import Path
from typing import Annotated

import typer

import limner
from limner.cli.evaluate import keep, show
from limner.cli.options import Quiet, RecipeName, Settings

app = typer.Typer()


@app.command(
    epilog="Examples: `limner train quickstart --out runs/first`, "
    "`limner train my.toml --set training.steps=500 --set encoder.name=transformer`"
)
def train(
    recipe: RecipeName,
    out: Annotated[Path | None, typer.Option(help="The run folder to make; runs/RECIPE by default.")] = None,
    settings: Settings = None,
    evaluate: Annotated[bool, typer.Option(help="Evaluate the model after training.")] = False,
    quiet: Quiet = False,
) -> None:
    """Train a model. Its run folder gets the weights, the losses, and pictures of fixed prompts."""
    folder = out or _new_folder(Path("runs") / Path(recipe).stem)
    model = limner.train(recipe, folder, settings or [], quiet=quiet)
    print(f"The model is in {folder}, its pictures in {folder / 'pictures'}.")
    if evaluate:
        report = model.evaluate()
        keep(report, folder)
        show(report)


def _new_folder(folder: Path) -> Path:
    """The folder, or the first of folder-2, folder-3, ... that does not exist yet."""
    number = 1
    free = folder
    while free.exists():
        number += 1
        free = folder.with_name(f"{folder.name}-{number}")
    return free
