"""The command `limner tutorials`."""

from pathlib import Path
from typing import Annotated

import typer

from limner.errors import printable
from limner.shell import shell_quote

app = typer.Typer()


@app.command(epilog="Example: `limner tutorials course`")
def tutorials(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to make.")],
    solutions: Annotated[bool, typer.Option("--solutions", help="Include the solutions, collapsed.")] = False,
) -> None:
    """Copy the lessons, which are notebooks with exercises, into a new folder."""
    from limner.course.lessons import write_course

    print(printable("\n".join(map(str, write_course(folder, solutions)))))
    print(
        "Solutions are included, collapsed." if solutions else "Solutions are left out; --solutions includes them.",
        printable(
            f"`jupyter lab {shell_quote(str(folder))}` opens the lessons; "
            '`pip install "limner[lab]"` installs JupyterLab.'
        ),
        sep="\n",
    )
