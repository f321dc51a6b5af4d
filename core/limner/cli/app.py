"""The application: all commands, and what happens to warnings and errors."""

import errno
import sys
import warnings
from io import TextIOWrapper

import typer

from limner.cli import (
    compare,
    data_commands,
    demo,
    describe,
    evaluate,
    export_data,
    listing,
    new_plugin,
    painting,
    tradeoff,
    train,
    tutorials,
)
from limner.errors import LimnerError, printable

app = typer.Typer(
    name="limner",
    help="Train text-to-image models from plugins, in minutes, and measure what each part does.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
for topic in (
    train,
    painting,
    demo,
    evaluate,
    compare,
    tradeoff,
    listing,
    describe,
    export_data,
    new_plugin,
    tutorials,
):
    app.add_typer(topic.app)
app.add_typer(data_commands.app, name="data")


def main() -> None:
    """Run the command line. Bad input, and a file that cannot be read or written, ends with one line on stderr and
    exit status 1.
    """
    warnings.showwarning = _show_warning
    if isinstance(sys.stdout, TextIOWrapper):  # a terminal in ASCII cannot show every caption and file name
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        app()
    except LimnerError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        if error.filename is None and error.errno != errno.ENOSPC:
            raise
        name = "The disk" if error.filename is None else error.filename
        told = LimnerError(f"{name}: {error.strerror or error}; make room, allow it, or name another place.")
        print(f"Error: {told}", file=sys.stderr)
        sys.exit(1)


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(printable(f"Note: {message}"), file=sys.stderr)
