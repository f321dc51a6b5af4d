"""The command `limner export`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

import limner
from limner.cli.options import RunFolder
from limner.errors import printable

app = typer.Typer()


@app.command(epilog="Examples: `limner export runs/first --to onnx`, `limner export quickstart --to onnx --out q.onnx`")
def export(
    run: RunFolder,
    to: Annotated[Literal["onnx"], typer.Option(help="The format.")] = "onnx",
    out: Annotated[Path, typer.Option(help="The file to write (.onnx); two more are written beside it.")] = Path(
        "model.onnx"
    ),
) -> None:
    """Write a trained model as ONNX, so that programs in other languages, and web pages, paint with it.

    Beside it: the tokenizer, and a description of the inputs and outputs. ONNX Runtime paints prompts with the file,
    and the images are compared with the model's own.
    """
    exported = limner.load(run).export(out)
    for path in (exported.weights, exported.tokenizer, exported.about):
        print(printable(f"{path}: {path.stat().st_size / 1e6:.2f} MB"))
    print(f"ONNX Runtime paints the same images; pixels, from -1 to 1, differ by at most {exported.difference:.1e}.")
