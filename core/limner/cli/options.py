"""Options that commands share which compare variants of a recipe."""

from pathlib import Path
from typing import Annotated

import typer

RecipeName = Annotated[str, typer.Argument(help="A recipe's name (see `limner recipes`) or a TOML file.")]
CompareTo = Annotated[Path, typer.Option(help="The folder to make, or to go on with.")]
Seeds = Annotated[int, typer.Option(min=1, help="How many times each variant is trained.")]
Steps = Annotated[int | None, typer.Option(min=1, help="Steps of each training; by default the recipe's.")]
Seconds = Annotated[float | None, typer.Option(help="Seconds of each training, in place of steps.")]
ForAll = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change the recipe for all variants.")
]
Quiet = Annotated[bool, typer.Option(help="No progress bar.")]
AsJson = Annotated[bool, typer.Option("--json", help="For machines.")]
