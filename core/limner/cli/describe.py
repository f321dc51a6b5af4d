"""The command `limner describe`. Only what it needs is imported, and only when it runs."""

import json
from typing import Annotated

import typer

EXAMPLES = (
    "Examples: `limner describe attention multi-head`, `limner describe attention`, `limner describe`, "
    "`limner describe hooks`, `limner describe interface Loss`, `limner describe recipe quickstart`"
)


def describe(
    kind: Annotated[
        str | None,
        typer.Argument(metavar="KIND", help="A kind of component; or hook, or interface. Left out: all kinds."),
    ] = None,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="One of them. Left out: all of that kind.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Say what there is to know of a component: what it computes, its options, their defaults, how a recipe uses it.

    Of hooks and interfaces: what a plugin may implement, with the exact arguments.
    """
    from dataclasses import asdict

    from rich.console import Console
    from rich.markdown import Markdown

    from limner.plugins import host
    from limner.reference.describe import describe as describe_topic
    from limner.reference.markdown import page, sections

    found = describe_topic(host(), kind, name)
    if as_json:
        entries = [asdict(entry) for entry in found.entries]
        print(json.dumps(entries if name is None else entries[0], indent=1, ensure_ascii=False))
    else:
        Console().print(Markdown("\n\n".join(sections(found.entries)) if name else page(found)))
