"""What commands print: text from outside is shown as it is, and with `--json` nothing but JSON is on stdout."""

import sys
from contextlib import AbstractContextManager, nullcontext, redirect_stdout

from rich.text import Text

from limner.errors import printable


def plain(text: object) -> Text:
    """Text from outside for a table: no markup, no emoji codes, no control characters."""
    return Text(printable(str(text)))


def printing_aside(as_json: bool) -> AbstractContextManager[object]:
    """While this context lasts, whatever is printed goes to stderr if the command's own output is JSON."""
    return redirect_stdout(sys.stderr) if as_json else nullcontext()
