"""The command `limner demo`."""

from typing import Annotated

import typer

from limner.cli.options import OtherRuns, RunFolder, Weights
from limner.cli.runs import load_painter

app = typer.Typer()


@app.command(
    epilog="Examples: `limner demo quickstart`, `limner demo runs/first --port 8000`, "
    "`limner demo runs/a --with runs/b`"
)
def demo(
    run: RunFolder,
    others: OtherRuns = None,
    weights: Weights = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="The port; by default the first free one from 7860.")
    ] = None,
    share: Annotated[bool, typer.Option("--share", help="Also give it a public address, through Gradio.")] = False,
    in_browser: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in the browser.")] = True,
) -> None:
    """Try a trained model, or an ensemble of several, in the browser.

    Only this machine can reach the page, unless --share is given.
    """
    from limner.play.browser import import_gradio, serve
    from limner.play.studio import Studio

    import_gradio()
    names = [str(folder) for folder in [run, *(others or [])]]
    serve(Studio(load_painter(run, others, weights), names), f"Limner: {', '.join(names)}", port, share, in_browser)
