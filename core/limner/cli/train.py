"""The command `limner train`."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Annotated

import typer

import limner
from limner.cli import completion
from limner.cli.evaluate import keep, show
from limner.cli.launch import launch
from limner.cli.options import Quiet, Settings
from limner.cli.output import print_json, printing_aside
from limner.errors import printable
from limner.files import writing

app = typer.Typer()


@app.command(
    epilog="Examples: `limner train quickstart --out runs/first`, "
    "`limner train my.toml --set training.steps=500 --set encoder.name=transformer`, "
    "`limner train --resume runs/first`, `limner train --resume runs/first --set training.steps=5000`, "
    "`limner train scenes-128 --dry-run`"
)
def train(
    recipe: Annotated[
        str | None,
        typer.Argument(
            help="A recipe's name (see `limner recipes`) or a TOML file.",
            show_default=False,
            autocompletion=completion.recipes,
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The run folder to make; runs/RECIPE by default.")] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            help="Continue the training of this run folder, with the recipe that it has.",
            autocompletion=completion.runs,
        ),
    ] = None,
    settings: Settings = None,
    evaluate: Annotated[bool, typer.Option(help="Evaluate the model after training.")] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Train nothing: make a few steps, and print the sizes and how long it takes."),
    ] = False,
    processes: Annotated[
        int,
        typer.Option(min=1, help="So many processes share each batch; each has a GPU of its own, if there are any."),
    ] = 1,
    quiet: Quiet = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --dry-run: print JSON.")] = False,
) -> None:
    """Train a model. Its run folder gets the weights, the losses, and pictures of fixed prompts.

    Ctrl-C, SIGTERM and SIGHUP stop a training after the step, and save it. `--resume` continues a training that was
    stopped or killed, with the same result as if it had not been; with a larger `training.steps`, it trains a finished
    run further.
    """
    if resume is not None and (recipe is not None or out is not None):
        raise typer.BadParameter("a run is continued with its own recipe and folder; leave out RECIPE and --out.")
    if resume is None and recipe is None:
        raise typer.BadParameter("name a recipe to train (see 'limner recipes'), or a run to continue with --resume.")
    if as_json and not dry_run:
        raise typer.BadParameter("--json goes with --dry-run; the losses of a training are in its history.json.")
    if dry_run and recipe is not None:
        _print_cost(recipe, settings or [], as_json)
    elif processes > 1 and "LOCAL_RANK" not in os.environ:
        sys.exit(launch(processes, sys.argv[1:]))
    elif folder := resume or out:
        _train(recipe, folder, settings or [], evaluate, quiet)
    else:
        with _new_folder(Path("runs") / Path(str(recipe)).stem) as folder:
            _train(recipe, folder, settings or [], evaluate, quiet)


def _train(recipe: str | None, folder: Path, settings: list[str], evaluate: bool, quiet: bool) -> None:
    """Train by a recipe, or resume the run in the folder if there is none."""
    from accelerate import PartialState

    from limner.models.trial import try_metrics
    from limner.plugins import host
    from limner.recipes.schema import Recipe
    from limner.training.callbacks import StopNote, default_callbacks

    note = StopNote()
    callbacks = [*default_callbacks(folder, quiet), note]
    if evaluate and recipe is not None:
        try_metrics(host(), Recipe.read(host(), recipe, settings))  # before the training, not after it
    if recipe is None:
        model = limner.resume(folder, settings, callbacks=callbacks)
    else:
        model = limner.train(recipe, folder, settings, callbacks=callbacks)
    if not PartialState().is_main_process:
        return
    print(printable(f"The model is in {folder}, its pictures in {folder / 'pictures'}."))
    if note.stopped:
        sys.exit(130)  # as after Ctrl-C
    if evaluate:
        report = model.evaluate()
        show(report)
        keep(report, folder)


def _print_cost(recipe: str, settings: list[str], as_json: bool) -> None:
    """Print what a training would cost on this machine."""
    from dataclasses import asdict

    from rich.console import Console
    from rich.table import Table

    from limner.plugins import host
    from limner.recipes.schema import Recipe
    from limner.training.cost import measure_cost

    with printing_aside(as_json):
        cost = measure_cost(host(), Recipe.read(host(), recipe, settings))
    if as_json:
        print_json(asdict(cost))
        return
    memory = "unknown" if cost.memory is None else f"{cost.memory / 1e9:.1f} GB"
    table = Table(show_header=False)
    for name, value in (
        ("data", f"{cost.images:,} images, {cost.captions:,} captions"),
        *((f"weights of the {name}", f"{number:,}") for name, number in cost.parameters.items()),
        ("multiply-adds of a step, per image", f"{cost.multiply_adds / 1e6:,.0f} million"),
        ("memory", memory),
        ("speed", f"{1 / cost.seconds_per_step:.1f} steps/s, {cost.images_per_second:,.0f} images/s on {cost.device}"),
        ("the whole training", f"{cost.steps:,} steps, about {_duration(cost.seconds)}"),
    ):
        table.add_row(name, value)
    Console().print(table)


def _duration(seconds: float) -> str:
    """A time in the unit that suits it."""
    if seconds < 100:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 6000 else f"{seconds / 3600:.1f} hours"


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """Make this folder, or the first of folder-2, folder-3, ... that does not exist; remove it again if it stays empty.

    Of several processes, only the main one makes it, for all of them.
    """
    from limner.training.processes import join_processes, on_main_process

    is_main = join_processes().is_main_process
    made = Path(on_main_process(lambda: next(path for n in count(1) if _is_made(path := _numbered(folder, n)))))
    try:
        yield made
    finally:
        with suppress(OSError):  # it is not empty
            if is_main:
                made.rmdir()
                made.parent.rmdir()


def _numbered(folder: Path, number: int) -> Path:
    return folder if number == 1 else folder.with_name(f"{folder.name}-{number}")


def _is_made(folder: Path) -> bool:
    """Make a folder, unless it exists."""
    with writing(folder), suppress(FileExistsError):
        folder.mkdir(parents=True)
        return True
    return False
