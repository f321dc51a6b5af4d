"""The command line. Only what a command needs is imported, and only when it runs."""

import json
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from limner.cli.data_commands import DataCommands
from limner.cli.describe import EXAMPLES, describe
from limner.cli.listing import plugins, recipes
from limner.cli.new_plugin import EXAMPLE as NEW_PLUGIN
from limner.cli.new_plugin import new_plugin
from limner.cli.options import AsJson, CompareTo, ForAll, Quiet, RecipeName, Seconds, Seeds, Steps
from limner.cli.tradeoff import EXAMPLE, tradeoff
from limner.cli.tutorials import tutorials
from limner.errors import LimnerError

if TYPE_CHECKING:
    from limner.models.painter import TrainedPainter
    from limner.models.report import Report

app = typer.Typer(
    name="limner",
    help="Train text-to-image models from plugins, in minutes, and measure what each part does.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)

app.add_typer(
    typer.Typer(
        cls=DataCommands,
        help="Check and fetch data, by commands that plugins bring.",
        epilog="Example: `limner data coco`",
    ),
    name="data",
)

app.command(epilog="Examples: `limner plugins`, `limner plugins --timing`")(plugins)
app.command(epilog="Example: `limner recipes`")(recipes)

RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run that was trained.")]
Truncation = Annotated[
    float | None, typer.Option(help="Keep the noise within plus and minus this; the smaller, the more alike.")
]
BestOf = Annotated[int | None, typer.Option(min=1, max=1024, help="Paint so many of each prompt, and keep the best n.")]
Others = Annotated[list[Path] | None, typer.Option("--with", metavar="RUN", help="Another run to paint with, as one.")]
Weights = Annotated[
    str | None, typer.Option(metavar="W,W,...", help="How often each run paints, in proportion; by default all alike.")
]
ImageSize = Annotated[int | None, typer.Option(help="Pixels of an earlier stage's images; by default the largest.")]


@app.command(
    epilog="Examples: `limner train quickstart --out runs/first`, "
    "`limner train my.toml --set training.steps=500 --set encoder.name=transformer`"
)
def train(
    recipe: RecipeName,
    out: Annotated[Path | None, typer.Option(help="The run folder to make; by default runs/RECIPE.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change the recipe; may be given often.")
    ] = None,
    evaluate: Annotated[bool, typer.Option(help="Measure the model when it is trained.")] = False,
    quiet: Quiet = False,
) -> None:
    """Train a model from nothing: progress, losses, and pictures of fixed prompts in the run folder."""
    from limner.training.loop import train as train_model

    folder = out or _new_folder(Path("runs") / Path(recipe).stem)
    model = train_model(recipe, folder, settings or [], quiet=quiet)
    print(f"The model is in {folder}, its pictures in {folder / 'pictures'}.")
    if evaluate:
        _evaluate(model, folder, as_json=False)


@app.command(
    epilog='Examples: `limner paint runs/first "a red circle above a blue square" -n 8 --seed 3 --out red.png`, '
    "`limner paint runs/first --best-of 32 --by caption 'a red circle above a blue square'`, "
    "`limner paint runs/a --with runs/b --with runs/c 'a red circle above a blue square'`"
)
def paint(
    run: RunFolder,
    prompts: Annotated[list[str], typer.Argument(help="What to paint; several prompts give a row each.")],
    n: Annotated[int, typer.Option("-n", min=1, max=1024, help="Pictures of each prompt.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same pictures.")] = 0,
    size: ImageSize = None,
    truncation: Truncation = None,
    best_of: BestOf = None,
    by: Annotated[
        str, typer.Option(help="What the kept ones are best in: matching, caption, a loss's name, or diversity.")
    ] = "matching",
    others: Others = None,
    weights: Weights = None,
    out: Annotated[Path, typer.Option(help="The picture to write (.png, .jpg, .webp).")] = Path("painted.png"),
) -> None:
    """Paint what a prompt says with a trained model, or with several."""
    painter = _painter(run, others, weights)
    pictures = painter.paint(prompts, n=n, seed=seed, size=size, truncation=truncation, best_of=best_of, by=by)
    print(pictures.save(out))


@app.command(epilog='Example: `limner explain runs/first "a red circle above a blue square" --out looked.png`')
def explain(
    run: RunFolder,
    prompt: Annotated[str, typer.Argument(help="What to paint.")],
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same picture.")] = 0,
    out: Annotated[Path, typer.Option(help="The picture to write (.png, .jpg, .webp).")] = Path("explained.png"),
) -> None:
    """Paint a prompt, and show for each word where the model's attention looked, at each resolution.

    The model needs some: train it with `--set 'generator.attention="multi-head"'`, for one.
    """
    from limner.models.model import load

    print(load(run).explain(prompt, seed).save(out))


@app.command(epilog="Example: `limner caption runs/first mine.png red.png`")
def caption(
    run: RunFolder,
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Image files, also of your own.")],
) -> None:
    """Read images back into words with the captioner of a trained model."""
    from limner.models.model import load

    said = load(run).caption(images)
    for path, text in zip(images, said):
        print(f"{path}: {text}" if len(images) > 1 else text)


@app.command(
    epilog="Examples: `limner evaluate runs/first --json`, `limner evaluate runs/a --with runs/b --truncation 1`"
)
def evaluate(
    run: RunFolder,
    size: ImageSize = None,
    truncation: Truncation = None,
    best_of: Annotated[int, typer.Option(min=1, max=1024, help="Each image measured is the best of so many.")] = 1,
    by: Annotated[str, typer.Option(help="What it is best in: matching, caption, or a loss's name.")] = "matching",
    metrics: Annotated[
        list[str] | None, typer.Option("--metric", help="Only this one; may be given often. By default all that can.")
    ] = None,
    others: Others = None,
    weights: Weights = None,
    as_json: AsJson = False,
) -> None:
    """Measure a trained model by every metric that can, and keep the scores in the run folder.

    Scores of an ensemble, or of another way to sample than the recipe's, are shown and not kept.
    """
    from limner.recipes.schema import Sampling

    painter = _painter(run, others, weights)
    if others or truncation is not None or best_of > 1:
        usual = painter.recipe.sampling.model_dump()
        asked = {"truncation": truncation or usual["truncation"], "candidates": best_of, "by": by}
        _show(painter.evaluate(size, Sampling(**asked), metrics or ["all"]), as_json)
    else:
        _evaluate(painter, run, as_json, size, metrics or ["all"])


@app.command(
    epilog="Examples: `limner compare scenes-one --vary encoder.name=mlp,lstm --seeds 3 --seconds 60 "
    "--out comparisons/encoders`, `limner compare scenes-64 --vary recipe=scenes-64,scenes-staged --out found`"
)
def compare(
    recipe: RecipeName,
    vary: Annotated[
        list[str],
        typer.Option(
            metavar="KEY=VALUE,VALUE,...", help="What differs (recipe=A,B too); given often, every combination."
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
    """Train variants of a recipe on one equal budget, measure each, and write a table, a chart and a JSON.

    Stopped and given again, the command goes on where it was.
    """
    from limner.comparisons.train_variants import compare as compare_variants
    from limner.comparisons.variants import parse_vary

    overrides = settings or []
    found = compare_variants(
        recipe, parse_vary(vary), seeds, steps=steps, seconds=seconds, out=out, overrides=overrides, quiet=quiet
    )
    if as_json:
        print(json.dumps(found.attrs, indent=1))
    elif len(found):
        Console().print(found.summary().table())
        print("\n".join([*found.problems, f"Results, table and chart are in {out}, the models in {out / 'runs'}."]))
    if found.attrs["missing"]:
        sys.exit(130)  # as after any Ctrl-C


app.command(epilog=EXAMPLE)(tradeoff)
app.command("new-plugin", epilog=NEW_PLUGIN)(new_plugin)
app.command(epilog="Example: `limner tutorials course`")(tutorials)
app.command(epilog=EXAMPLES)(describe)


@app.command("export-data", epilog="Example: `limner export-data scenes-32 --out scenes`")
def export_data(
    recipe: Annotated[str, typer.Argument(help="The recipe whose data to write.")],
    out: Annotated[Path, typer.Option(help="The folder to make.")],
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change the recipe, e.g. data.count=100.")
    ] = None,
) -> None:
    """Write a recipe's captioned images as a folder in the COCO layout: captions.json and images/."""
    from limner.data.export import export

    count = export(recipe, out, settings or [])
    print(f"{count} images and their captions are in {out}.")


def _painter(run: Path, others: list[Path] | None, weights: str | None) -> "TrainedPainter":
    """The model of a run, or an ensemble of several."""
    from limner.models.ensemble import Ensemble
    from limner.models.model import load

    if not others and weights is None:
        return load(run)
    try:
        given = [float(weight) for weight in weights.split(",")] if weights is not None else None
    except ValueError:
        raise LimnerError(f"--weights {weights}: expected numbers between commas, such as 2,1,1.") from None
    return Ensemble([run, *(others or [])], given)


def _evaluate(
    model: "TrainedPainter", folder: Path, as_json: bool, size: int | None = None, metrics: list[str] | None = None
) -> None:
    report = model.evaluate(size, metrics=metrics)
    (folder / ("scores.json" if size is None else f"scores_{size}.json")).write_text(report.to_json())
    _show(report, as_json)


def _show(report: "Report", as_json: bool) -> None:
    print(report.to_json()) if as_json else Console().print(report.table())


def _new_folder(folder: Path) -> Path:
    """The folder, or the first of folder-2, folder-3, ... that is not there yet."""
    number = 1
    free = folder
    while free.exists():
        number += 1
        free = folder.with_name(f"{folder.name}-{number}")
    return free


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"Note: {message}", file=sys.stderr)


def main() -> None:
    """Run the command line; bad input ends in one sentence and status 1."""
    warnings.showwarning = _show_warning
    try:
        app()
    except LimnerError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(1)
