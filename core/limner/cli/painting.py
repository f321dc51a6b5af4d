"""The commands that use a trained model: `limner paint`, `limner explain` and `limner caption`."""

from pathlib import Path
from typing import Annotated

import typer

import limner
from limner.cli.options import AsJson, ImageSize, OtherRuns, PictureFile, RunFolder, Truncation, Weights
from limner.cli.output import print_json, printing_aside
from limner.cli.runs import load_painter
from limner.errors import LimnerError, printable

app = typer.Typer()


@app.command(
    epilog='Examples: `limner paint runs/first "a red circle above a blue square" -n 8 --seed 3 --out red.png`, '
    "`limner paint runs/first --best-of 32 --by caption 'a red circle above a blue square'`, "
    "`limner paint runs/a --with runs/b --with runs/c 'a red circle above a blue square'`"
)
def paint(
    run: RunFolder,
    prompts: Annotated[list[str], typer.Argument(help="What to paint; each prompt gets a row.")],
    n: Annotated[int, typer.Option("-n", min=1, max=1024, help="Images per prompt.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same images.")] = 0,
    size: ImageSize = None,
    truncation: Truncation = None,
    best_of: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Paint this many images per prompt and keep the best n.")
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(help="How --best-of chooses: matching (default), caption, a loss's name, or diversity."),
    ] = None,
    others: OtherRuns = None,
    weights: Weights = None,
    out: PictureFile = Path("painted.png"),
) -> None:
    """Paint prompts with a trained model, or with an ensemble of several."""
    if by is not None and best_of is None:
        raise LimnerError("--by chooses among several images; say how many with --best-of.")
    check_picture_file(out)
    painter = load_painter(run, others, weights)
    choice = {} if by is None else {"by": by}
    saved = painter.paint(prompts, n, seed, size, truncation=truncation, best_of=best_of, **choice).save(out)
    print(printable(str(saved)))


@app.command(epilog='Example: `limner explain runs/first "a red circle above a blue square" --out looked.png`')
def explain(
    run: RunFolder,
    prompt: Annotated[str, typer.Argument(help="What to paint.")],
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same image.")] = 0,
    out: PictureFile = Path("explained.png"),
) -> None:
    """Paint a prompt, and show the attention map of each word at each resolution.

    The model needs attention: train it with `--set 'generator.attention="multi-head"'`, for example.
    """
    check_picture_file(out)
    print(printable(str(limner.load(run).explain(prompt, seed).save(out))))


@app.command(epilog="Example: `limner caption runs/first mine.png red.png`")
def caption(
    run: RunFolder,
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Image files.")],
    as_json: AsJson = False,
) -> None:
    """Describe images in words with the captioner of a trained model."""
    with printing_aside(as_json):
        captions = limner.load(run).caption(images)
    if as_json:
        print_json([{"image": path, "caption": text} for path, text in zip(images, captions)])
        return
    for path, text in zip(images, captions):
        print(printable(f"{path}: {text}" if len(images) > 1 else text))


def check_picture_file(out: Path) -> None:
    """Check the ending of a picture's name before anything is painted."""
    from limner.models.pictures import picture_format

    picture_format(out)
