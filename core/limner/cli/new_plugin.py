"""The command `limner new-plugin`."""

from pathlib import Path
from typing import Annotated

import typer

EXAMPLE = "Examples: `limner new-plugin limner-glow --kind attention`, `limner new-plugin limner-smooth --kind loss`"


def new_plugin(
    name: Annotated[str, typer.Argument(help="The distribution's name, such as limner-glow.")],
    kind: Annotated[
        str,
        typer.Option(help="attention, stage, loss, encoder, generator, discriminator, dataset or metric."),
    ],
    out: Annotated[Path | None, typer.Option(help="The folder to make; by default one of that name.")] = None,
) -> None:
    """Write a plugin that can be installed, tested and published as it is: a working component, tests, a notebook.

    Nothing is ever written over.
    """
    from limner.course.new_plugin import write_plugin

    written = write_plugin(name, kind, out)
    root = out or Path(name)
    for path in written:
        print(path)
    print(f"\nTo go on:\n    pip install -e '{root}[dev]'\n    limner plugins\n    pytest {root}")
