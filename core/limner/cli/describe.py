"""The command `limner describe`."""

from typing import Annotated

import typer

from limner.cli import completion
from limner.cli.options import AsJson
from limner.cli.output import print_json, printing_aside
from limner.errors import printable

app = typer.Typer()


@app.command(
    epilog="Examples: `limner describe attention multi-head`, `limner describe attention`, `limner describe`, "
    "`limner describe hooks`, `limner describe interface Loss`, `limner describe recipe quickstart`"
)
def describe(
    kind: Annotated[
        str | None,
        typer.Argument(
            metavar="KIND",
            help="A kind of component; or hook, interface, setting. All kinds by default.",
            autocompletion=completion.topics,
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="One of that kind; all by default.", autocompletion=completion.components),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Describe a component: what it computes, its options and their defaults, and how a recipe uses it.

    For hooks and interfaces: what a plugin may implement, with the exact signatures.
    """
    from dataclasses import asdict

    from rich.console import Console
    from rich.markdown import Markdown

    from limner.plugins import host
    from limner.reference.describe import describe as describe_topic
    from limner.reference.markdown import page, sections

    with printing_aside(as_json):
        found = describe_topic(host(), kind, name)
    if as_json:
        entries = [asdict(entry) for entry in found.entries]
        print_json(entries if name is None else entries[0])
    else:
        Console().print(Markdown(printable("\n\n".join(sections(found.entries)) if name else page(found))))
