"""The command `limner evaluate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from limner.cli import completion
from limner.cli.options import AsJson, ImageSize, OtherRuns, RunFolder, Truncation, Weights
from limner.cli.output import print_json, printing_aside
from limner.cli.runs import load_painter
from limner.errors import LimnerError
from limner.files import replace_file
from limner.models.run_files import SCORES_FILE

if TYPE_CHECKING:
    from limner.models.report import Report
    from limner.recipes.schema import Sampling

app = typer.Typer()


@app.command(
    epilog="Examples: `limner evaluate runs/first --json`, `limner evaluate runs/a --with runs/b --truncation 1`"
)
def evaluate(
    run: RunFolder,
    size: ImageSize = None,
    truncation: Truncation = None,
    best_of: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Measure the best of this many candidates per image.")
    ] = None,
    by: Annotated[
        str | None, typer.Option(help="How the best one is chosen: matching, caption, or a loss's name.")
    ] = None,
    metrics: Annotated[
        list[str] | None,
        typer.Option(
            "--metric",
            help="Run only this metric; repeatable. By default, all that apply.",
            autocompletion=completion.metrics,
        ),
    ] = None,
    others: OtherRuns = None,
    weights: Weights = None,
    as_json: AsJson = False,
) -> None:
    """Evaluate a trained model with every metric that applies, and keep the scores in the run folder.

    --truncation, --best-of and --by replace the recipe's sampling settings one by one. Scores of an ensemble, or of
    changed sampling settings, are printed but not kept.
    """
    with printing_aside(as_json):
        painter = load_painter(run, others, weights)
        sampling = changed_sampling(painter.recipe.sampling, truncation, best_of, by)
        report = painter.evaluate(size, sampling, metrics or ["all"])
    show(report, as_json)
    if sampling is None and not others and run.is_dir():  # a model that came along has no folder of its own
        keep(report, run, size)


def changed_sampling(
    usual: "Sampling", truncation: float | None, best_of: int | None, by: str | None
) -> "Sampling | None":
    """The recipe's sampling settings with those that are given; None if this changes nothing.

    Raises:
        LimnerError: if the truncation is not positive, or `by` has only one candidate to choose from.
    """
    given = {"truncation": truncation, "candidates": best_of, "by": by}
    sampling = usual.model_copy(update={name: value for name, value in given.items() if value is not None})
    if truncation is not None and not truncation > 0:
        raise LimnerError(f"--truncation {truncation}: expected a number above 0.")
    if by is not None and sampling.candidates == 1:
        raise LimnerError("--by chooses among several images; say how many with --best-of.")
    return None if sampling == usual else sampling


def keep(report: "Report", folder: Path, size: int | None = None) -> None:
    """Write a report to the run folder: scores.json, or scores_SIZE.json for an earlier stage.

    Raises:
        LimnerError: if it cannot be written; it should be shown before.
    """
    replace_file(folder / (SCORES_FILE if size is None else f"scores_{size}.json"), report.to_json().encode())


def show(report: "Report", as_json: bool = False) -> None:
    """Print a report as a table or as JSON."""
    if as_json:
        print_json(report.scores)
    else:
        Console().print(report)
