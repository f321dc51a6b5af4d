"""The command `limner report`."""

from pathlib import Path
from typing import Annotated

import typer

import limner
from limner.cli.options import RunOrComparison
from limner.errors import printable

app = typer.Typer()


@app.command(
    epilog="Examples: `limner report runs/first --out report.html`, `limner report comparisons/encoders --out all.html`"
)
def report(
    run: RunOrComparison,
    out: Annotated[Path, typer.Option(help="The page to write (.html).")] = Path("report.html"),
) -> None:
    """Write all that is known of a run or a comparison as one page of HTML that needs no other file.

    Of a run: its recipe, losses, previews, new images, scores, what it confuses, its worst failures, and its attention.
    Of a comparison: the summary, a chart, every run, and images of each variant.
    """
    print(printable(str(limner.report(run, out))))
