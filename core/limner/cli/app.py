"""The application: all commands, and what happens to warnings and errors."""

import errno
import os
import sys
import warnings
from io import TextIOWrapper
from typing import NoReturn

import typer

from limner.cli import (
    compare,
    data_commands,
    demo,
    describe,
    evaluate,
    export,
    export_data,
    league,
    listing,
    new_plugin,
    painting,
    push,
    report,
    run_folders,
    speedrun,
    tradeoff,
    train,
    tutorials,
)
from limner.cli.completion import complete_setting_in_bash
from limner.errors import LimnerError, printable

app = typer.Typer(
    name="limner",
    help="Train text-to-image models from plugins, in minutes, and measure what each part does.",
    no_args_is_help=True,
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
    league,
    speedrun,
    run_folders,
    report,
    listing,
    describe,
    export,
    export_data,
    push,
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
    if complete_setting_in_bash():
        return
    try:
        app()
    except LimnerError as error:
        _end(error)
    except OSError as error:
        if error.filename is None and error.errno != errno.ENOSPC:
            raise
        name = "The disk" if error.filename is None else error.filename
        _end(LimnerError(f"{name}: {error.strerror or error}; make room, allow it, or name another place."))


def _end(error: LimnerError) -> NoReturn:
    """End with an error. Of several processes that train together, only the first one that fails prints its own."""
    if "LOCAL_RANK" in os.environ:
        from limner.training.processes import is_first_to_fail

        if not is_first_to_fail():
            sys.exit(1)
    print(f"Error: {error}", file=sys.stderr)
    sys.exit(1)


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    if os.environ.get("RANK", "0") == "0":  # other processes that train with this one have the same to say
        print(printable(f"Note: {message}"), file=sys.stderr)
