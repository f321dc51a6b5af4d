"""The command `limner export-data`."""

from pathlib import Path
from typing import Annotated

import typer

from limner.cli import completion
from limner.cli.options import Settings

app = typer.Typer()


@app.command(
    "export-data",
    epilog="Examples: `limner export-data scenes-32 --out scenes`, `limner export-data scenes-64 --out s --shards 20`",
)
def export_data(
    recipe: Annotated[str, typer.Argument(help="The recipe whose data is written.", autocompletion=completion.recipes)],
    out: Annotated[Path, typer.Option(help="The folder to make.")],
    shards: Annotated[
        int | None, typer.Option(min=1, help="Write that many tar files in the layout of WebDataset instead.")
    ] = None,
    settings: Settings = None,
) -> None:
    """Write a recipe's captioned images as a folder in the COCO layout: captions.json and images/.

    With --shards, write tar files from which the data set `shards` streams.
    """
    from limner.data.export import export

    count = export(recipe, out, settings or [], shards)
    print(f"{count} images and their captions are in {out}.")
