"""The command `limner tutorials`."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command(epilog="Example: `limner tutorials course`")
def tutorials(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to make.")],
    solutions: Annotated[bool, typer.Option("--solutions", help="Include the solutions, collapsed.")] = False,
) -> None:
    """Copy the lessons, which are notebooks with exercises, into a new folder."""
    from limner.course.lessons import write_course

    print(*write_course(folder, solutions), sep="\n")
    print(
        "Solutions are included, collapsed." if solutions else "Solutions are left out; --solutions includes them.",
        f'`jupyter lab {folder}` opens the lessons; `pip install "limner[lab]"` installs JupyterLab.',
        sep="\n",
    )
