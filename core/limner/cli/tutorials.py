"""The command `limner tutorials`. Only what it needs is imported, and only when it runs."""

from pathlib import Path
from typing import Annotated

import typer


def tutorials(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to make.")],
    solutions: Annotated[bool, typer.Option("--solutions", help="With the exercises' solutions, collapsed.")] = False,
) -> None:
    """Copy the lessons, notebooks with exercises, into a folder of your own."""
    from limner.course.lessons import write_course

    print(*write_course(folder, solutions), sep="\n")
    print(
        "Solutions are kept, collapsed." if solutions else "Solutions are left out; --solutions keeps them.",
        f'`jupyter lab {folder}` opens the lessons; `pip install "limner[lab]"` brings JupyterLab.',
        sep="\n",
    )
