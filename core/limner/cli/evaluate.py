"""The command `limner evaluate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from limner.cli import completion
from limner.cli.options import AsJson, ImageSize, OtherRuns, RunFolder, Truncation, Weights
from limner.cli.output import print_json, printing_aside
from limner.cli.runs import load_painter
from limner.errors import LimnerError
from limner.files import replace_file
from limner.models.report import Report
from limner.models.run_files import SCORES_FILE

if TYPE_CHECKING:
    from limner.models.full_report import FullReport
    from limner.models.painter import TrainedPainter
    from limner.recipes.schema import Sampling

app = typer.Typer()


@app.command(
    epilog="Examples: `limner evaluate runs/first --suite full`, `limner evaluate runs/a --with runs/b --truncation 1`"
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
    suite: Annotated[
        Literal["own", "all", "full"],
        typer.Option(
            help="own: the metrics of the recipe or of its data; all: every metric that applies; full: these with the "
            "samples and the seed of each, the reason why others do not apply, and what painting costs."
        ),
    ] = "all",
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Change an option of a metric, e.g. metrics.distribution.images=100."
        ),
    ] = None,
    others: OtherRuns = None,
    weights: Weights = None,
    as_json: AsJson = False,
) -> None:
    """Evaluate a trained model with every metric that applies, and keep the scores in the run folder.

    --truncation, --best-of and --by replace the recipe's sampling settings one by one. Scores of an ensemble, of
    changed sampling settings, or of changed options are printed but not kept.
    """
    if metrics and suite == "full":
        raise LimnerError("--metric runs single metrics, and --suite full all of them; choose one.")
    with printing_aside(as_json):
        painter = load_painter(run, others, weights)
        set_metrics(painter, settings or [])
        sampling = changed_sampling(painter.recipe.sampling, truncation, best_of, by)
        if suite == "full":
            report = painter.full_report(size, sampling)
        else:
            report = painter.evaluate(size, sampling, metrics or (["all"] if suite == "all" else None))
    show(report, as_json)
    if sampling is None and not settings and not others and run.is_dir():  # a model that came along has no own folder
        keep(report, run, size, suite == "full")


def set_metrics(painter: "TrainedPainter", settings: list[str]) -> None:
    """Change options of the metrics by texts such as "metrics.distribution.images=100".

    Raises:
        LimnerError: for any other key, an unknown metric or option, or a wrong value.
    """
    from limner.recipes.build import build_dataset
    from limner.recipes.schema import Recipe

    if odd := [text for text in settings if not text.startswith("metrics.")]:
        raise LimnerError(
            f"--set {odd[0]}: only options of metrics can be changed here, such as metrics.distribution.images=100."
        )
    if settings:
        table = painter.recipe.table()
        table.setdefault("metrics", {name: {} for name in build_dataset(painter.recipe).metrics})
        painter.recipe = Recipe.read(painter.plugins, table, settings)


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


def keep(report: "Report | FullReport", folder: Path, size: int | None = None, full: bool = False) -> None:
    """Write a report to the run folder: scores.json or scores_full.json, with _SIZE for an earlier stage.

    Raises:
        LimnerError: if it cannot be written; it should be shown before.
    """
    name = Path(SCORES_FILE).stem + ("_full" if full else "") + ("" if size is None else f"_{size}")
    replace_file(folder / f"{name}.json", report.to_json().encode())


def show(report: "Report | FullReport", as_json: bool = False) -> None:
    """Print a report as a table or as JSON: scores by name, or a full report's rows."""
    if as_json:
        print_json(report.scores if isinstance(report, Report) else report.rows())
    else:
        Console().print(report)
