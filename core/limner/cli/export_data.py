"""The command `limner export-data`."""

from pathlib import Path
from typing import Annotated

import typer

from limner.cli.options import Settings

app = typer.Typer()


@app.command("export-data", epilog="Example: `limner export-data scenes-32 --out scenes`")
def export_data(
    recipe: Annotated[str, typer.Argument(help="The recipe whose data is written.")],
    out: Annotated[Path, typer.Option(help="The folder to make.")],
    settings: Settings = None,
) -> None:
    """Write a recipe's captioned images as a folder in the COCO layout: captions.json and images/."""
    from limner.data.export import export

    count = export(recipe, out, settings or [])
    print(f"{count} images and their captions are in {out}.")
