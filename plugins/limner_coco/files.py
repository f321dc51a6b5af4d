"""Reading text and JSON files that anyone may have written; every defect raises an error that names its place."""

import json
from pathlib import Path
from typing import Any

from limner import LimnerError

MARKS = {
    b"\xef\xbb\xbf": "utf-8-sig",
    b"\xff\xfe\0\0": "utf-32",
    b"\0\0\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
"""The byte-order marks with which a text can start, and its encoding then."""
DEEPEST = 50  # levels of lists and objects in JSON


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, or in UTF-16 or UTF-32 with a byte-order mark; lines end with a line feed.

    Raises:
        LimnerError: if it cannot be read, or is no text.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise LimnerError(f"{path} cannot be read: {error.strerror}.") from None
    encoding = next((encoding for mark, encoding in MARKS.items() if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        name = encoding.removesuffix("-sig").upper()
        raise LimnerError(
            f"{path} cannot be read: line {line} is not text in {name}; save the file as text in UTF-8."
        ) from None
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    return lines.replace("\n\ufeff", "\n").removeprefix("\ufeff")  # files that were joined keep their marks


def parse_json(text: str, place: str) -> Any:
    """The value of a JSON text; `place` names it in messages.

    Raises:
        LimnerError: if it is not valid, an object has a key twice, or a value is larger or deeper than any caption.
    """
    try:
        value = json.loads(text, object_pairs_hook=lambda pairs: _object(pairs, place))
        if _is_deeper(value, DEEPEST):
            raise RecursionError
    except json.JSONDecodeError as error:
        raise LimnerError(
            f"{place} is not valid JSON: {error.msg} at line {error.lineno}; it may be truncated, so download it again."
        ) from None
    except RecursionError:
        raise LimnerError(
            f"{place} nests lists or objects more than {DEEPEST} deep; this is no file of captions."
        ) from None
    except ValueError:  # Python reads no number of more than 4300 digits
        raise LimnerError(f"{place} has a number of thousands of digits; this is no file of captions.") from None
    return value


def read_json(path: Path) -> Any:
    """The value in a JSON file; see `read_text` and `parse_json`."""
    return parse_json(read_text(path), str(path))


def is_json(path: Path) -> bool:
    """Whether a file exists and holds a complete JSON value that is not empty."""
    try:
        return bool(read_json(path))
    except LimnerError:
        return False


def _object(pairs: list[tuple[str, Any]], place: str) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise LimnerError(f"{place} has an object with two keys '{twice:.80}'; remove or rename one.")
    return made


def _is_deeper(value: Any, levels: int) -> bool:
    """Whether a value nests more levels of lists and objects than these."""
    level = [value]
    for _ in range(levels + 1):
        containers = [inner for inner in level if isinstance(inner, (dict, list))]
        if not containers:
            return False
        level = [i for outer in containers for i in (outer.values() if isinstance(outer, dict) else outer)]
    return True
