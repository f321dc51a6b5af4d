"""What commands print: text from outside is shown as it is, and with `--json` nothing but JSON is on stdout."""

import json
import math
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext, redirect_stdout
from typing import Any

from rich.text import Text

from limner.errors import printable


def plain(text: object) -> Text:
    """Text from outside for a table: no markup, no emoji codes, no control characters."""
    return Text(printable(str(text)))


def printing_aside(as_json: bool) -> AbstractContextManager[object]:
    """While this context lasts, whatever is printed goes to stderr if the command's own output is JSON."""
    return redirect_stdout(sys.stderr) if as_json else nullcontext()


def print_json(value: Any) -> None:
    """Print a value as JSON that every program and every terminal can read: in ASCII, and null for nan and infinity."""
    print(json.dumps(_finite(value), indent=1, default=str))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value
