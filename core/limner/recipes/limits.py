"""What no recipe needs, and a stranger's may have: huge files, deep nesting, numbers that no machine can hold."""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from limner.errors import LimnerError, is_unicode, quoted, shortened

LARGEST, DEEPEST, DOTS = 2**18, 32, 1000
"""Limits of a recipe: bytes of its file, tables and lists within each other, and dots in a line, each of which may open
a table. Without them, a small file could keep the parser busy for hours."""
LONGEST_KEY = 200
TOO_DEEP = f"it nests more than {DEEPEST} tables or lists"


def read_toml(path: Path) -> dict[str, Any]:
    """The table in a TOML file, with or without a byte-order mark.

    Raises:
        LimnerError: if it cannot be read, is not valid TOML, or is larger or deeper than any recipe.
    """
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise LimnerError(f"{path} cannot be read: {error.strerror}.") from None
    if len(content) > LARGEST:
        raise LimnerError(f"{path} is not a recipe: it has more than {LARGEST // 1024} KiB.")
    try:
        table = parse_toml(content.decode("utf-8-sig"))
    except ValueError as error:
        raise LimnerError(f"{path} is not valid TOML: {error}.") from None
    check_values(table, str(path))
    return table


def parse_toml(text: str) -> dict[str, Any]:
    """The table that a TOML text is.

    Raises:
        ValueError: if it is none, has a number of thousands of digits, or is nested too deeply to be read.
    """
    if max(line.count(".") for line in text.split("\n")) > DOTS:
        raise ValueError(TOO_DEEP)
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    except ValueError as error:
        if isinstance(error, tomllib.TOMLDecodeError):
            raise
        raise ValueError("it has a number of thousands of digits, or a date that does not exist") from None


def check_values(table: Mapping[str, Any], name: str) -> None:
    """Check that a table holds only what TOML can: 64-bit numbers and text, nested in a way that one can read.

    Raises:
        LimnerError: naming the key.
    """
    for keys, value in _values(table, name):
        if any(len(key) > LONGEST_KEY for key in keys):
            raise LimnerError(f"{name}: the key {shortened('.'.join(keys), 80)} is longer than {LONGEST_KEY} letters.")
        place = f"{name}: {'.'.join(keys)}"
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise LimnerError(f"{place}: expected a number less than 2^63, got one of {value.bit_length()} bits.")
        if not all(is_unicode(text) for text in (*keys, value) if isinstance(text, str)):
            raise LimnerError(f"{place}: expected text, got characters that are none.")


def _values(table: Mapping[str, Any], name: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every value of a table that is no table, with its keys; the items of a list have that of the list."""
    waiting: list[tuple[tuple[str, ...], int, Any]] = [((), 0, table)]
    while waiting:
        keys, depth, value = waiting.pop()
        if depth > DEEPEST:
            raise LimnerError(f"{name}: {TOO_DEEP}.")
        if isinstance(value, Mapping):
            if odd := [key for key in value if not isinstance(key, str)]:
                raise LimnerError(f"{name}: expected text for a key, got {quoted(odd[0])}.")
            waiting += [((*keys, key), depth + 1, item) for key, item in value.items()]
        elif isinstance(value, list | tuple):
            waiting += [(keys, depth + 1, item) for item in value]
        else:
            yield keys, value
