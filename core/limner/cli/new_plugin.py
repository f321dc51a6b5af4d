"""The command `limner new-plugin`."""

from pathlib import Path
from typing import Annotated

import typer

from limner.cli import completion
from limner.errors import printable
from limner.kinds import COMPONENTS
from limner.shell import shell_quote

app = typer.Typer()


@app.command(
    "new-plugin",
    epilog="Examples: `limner new-plugin limner-glow --kind attention`, `limner new-plugin limner-smooth --kind loss`",
)
def new_plugin(
    name: Annotated[str, typer.Argument(help="The distribution's name, such as limner-glow.")],
    kind: Annotated[
        str, typer.Option(help=f"One of {', '.join(COMPONENTS)}.", autocompletion=completion.component_kinds)
    ],
    out: Annotated[Path | None, typer.Option(help="The folder to make; by default, one of that name.")] = None,
) -> None:
    """Write a new plugin with a working component, tests and a notebook, ready to install, test and publish.

    Existing files are never overwritten.
    """
    from limner.course.new_plugin import write_plugin

    written = write_plugin(name, kind, out)
    root = out or Path(name)
    for path in written:
        print(printable(str(path)))
    next_steps = [f"pip install -e {shell_quote(f'{root}[dev]')}", "limner plugins", f"pytest {shell_quote(str(root))}"]
    print(printable("\n    ".join(["\nNext:", *next_steps])))
