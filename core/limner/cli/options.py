"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from limner.cli import completion

RecipeName = Annotated[
    str,
    typer.Argument(help="A recipe's name (see `limner recipes`) or a TOML file.", autocompletion=completion.recipes),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change the recipe, e.g. data.count=100; repeatable.",
        autocompletion=completion.settings,
    ),
]
Quiet = Annotated[bool, typer.Option(help="Show no progress bar.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

# --- of trained runs ------------------------------------------------------------------------------------------------

RunFolder = Annotated[
    Path,
    typer.Argument(
        metavar="RUN",
        help="A run folder, a name of `limner models`, or hf://NAME/REPOSITORY.",
        autocompletion=completion.runs,
    ),
]
RunOrComparison = Annotated[
    Path,
    typer.Argument(
        metavar="RUN|COMPARISON",
        help="A run folder, a name of `limner models`, or a comparison.",
        autocompletion=completion.runs_and_comparisons,
    ),
]
OtherRuns = Annotated[
    list[Path] | None,
    typer.Option(
        "--with",
        metavar="RUN",
        help="Another run, to paint as an ensemble; repeatable.",
        autocompletion=completion.runs,
    ),
]
Weights = Annotated[
    str | None, typer.Option(metavar="W,W,...", help="How often each run paints, in proportion; equal by default.")
]
ImageSize = Annotated[
    int | None, typer.Option(help="Resolution in pixels of an earlier stage's images; the highest by default.")
]
Truncation = Annotated[
    float | None, typer.Option(help="Keep the noise within ± this number; a smaller one gives more similar images.")
]
PictureFile = Annotated[Path, typer.Option(help="The picture to write (.png, .jpg, .webp).")]

# --- of comparisons -------------------------------------------------------------------------------------------------

CompareTo = Annotated[Path, typer.Option(help="The folder to make, or that of an interrupted comparison to resume.")]
Seeds = Annotated[int, typer.Option(min=1, help="How many times each variant is trained.")]
Steps = Annotated[int | None, typer.Option(min=1, help="Steps of each training; the recipe's by default.")]
Seconds = Annotated[float | None, typer.Option(help="Seconds of each training, in place of steps.")]
ForAll = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change the recipe of every variant; repeatable.",
        autocompletion=completion.settings,
    ),
]
Jobs = Annotated[int, typer.Option(min=1, help="How many runs to train at once, each on its share of the cores.")]
