"""Tables of files and captions: CSV, TSV, JSON Lines, and the lists of Flickr8k, Flickr30k, Conceptual Captions."""

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

from limner import LimnerError

from .files import parse_json, read_text
from .listing import CAPTION_COLUMNS, FILE_COLUMNS, Row

TABLE_ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson", ".token")
FILE_CELL = re.compile(r"https?://\S+|[^\t]*\.(jpe?g|png|webp|gif|bmp|tiff?|avif)(#\w+)?", re.IGNORECASE)
"""What names a file in a table without a header."""


def rows_of_table(path: Path) -> list[Row]:
    """The rows of a table, each with its place.

    Raises:
        LimnerError: if the file is no table; the message has the line.
    """
    text = read_text(path)
    lines_of_json = path.suffix.lower() in (".jsonl", ".ndjson")
    return list(_json_rows(path, text) if lines_of_json else _csv_rows(path, text))


def is_table(path: Path) -> bool:
    """Whether a text file is a table of files and captions, by its first line."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            line = file.readline(10_000)
    except (OSError, UnicodeDecodeError):
        return False
    cells = next(csv.reader([line], delimiter=_separator(line), skipinitialspace=True), []) if "\0" not in line else []
    names = {cell.strip().lower() for cell in cells}
    return _headless(cells) is not None or bool(names & {*FILE_COLUMNS} and names & {*CAPTION_COLUMNS})


def _csv_rows(path: Path, text: str) -> Iterator[Row]:
    """The rows of a table. Its first line has the names of the columns, or a file and its caption."""
    separator = _separator(text.partition("\n")[0])
    unquoted = separator in "\t|" and not _is_quoted(text, separator)
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=separator,
        quoting=csv.QUOTE_NONE if unquoted else csv.QUOTE_MINIMAL,
        skipinitialspace=True,
        strict=True,
    )
    columns: list[str] | None = None
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise LimnerError(f"{path}: line {line}: {_reason(error)}") from None
        if columns is None:
            columns = _headless(cells)
            if columns is None:
                columns = [cell.strip() for cell in cells]
                _refuse_doubles(path, columns)
                continue
        if len(cells) > len(columns) and any(cells[len(columns) :]):
            mark = {",": "comma", "\t": "tab"}.get(separator, f"'{separator}'")
            raise LimnerError(
                f"{path}: line {line} has {len(cells)} columns, and the first line has {len(columns)}; put a caption "
                f'that contains a {mark} in straight "quotation marks".'
            )
        if any(cells):
            yield f"line {line}", dict(zip(columns, cells))


def _reason(error: csv.Error) -> str:
    """What is wrong with the quotation marks of a line, and what to do."""
    if "end of data" in str(error):
        return "the quotation mark that opens here is never closed; close it."
    if "expected after" in str(error):
        return 'text follows a closing quotation mark; write "" for a quotation mark within a caption.'
    return f"{error}; check its quotation marks."


def _separator(line: str) -> str:
    """The mark that separates the columns of the first line; a tab if it has one, else the most frequent one."""
    return "\t" if "\t" in line else max(",;|", key=line.count)


def _is_quoted(text: str, separator: str) -> bool:
    """Whether every cell that starts with a quotation mark also ends with one. Published lists are not quoted."""
    cells = (cell.strip() for line in text.split("\n") if '"' in line for cell in line.split(separator))
    return all(len(cell) > 1 and cell.endswith('"') for cell in cells if cell.startswith('"'))


def _headless(cells: list[str]) -> list[str] | None:
    """The names of the columns if the first line is not a header but has a file and a caption."""
    if len(cells) != 2:
        return None
    for first, columns in ((0, ["file_name", "caption"]), (1, ["caption", "file_name"])):
        is_caption = not FILE_CELL.fullmatch(cells[1 - first].strip()) and cells[1 - first].strip()
        if FILE_CELL.fullmatch(cells[first].strip()) and is_caption:
            return columns
    return None


def _refuse_doubles(path: Path, columns: list[str]) -> None:
    names = [column.lower() for column in columns if column]
    if doubles := [name for name in names if names.count(name) > 1]:
        raise LimnerError(f"{path} has two columns '{doubles[0]:.80}'; rename one.")


def _json_rows(path: Path, text: str) -> Iterator[Row]:
    """The objects of a file with one object per line."""
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        row = parse_json(line, f"{path}: line {number}")
        if not isinstance(row, dict):
            raise LimnerError(f"{path}: line {number}: expected an object, got a {type(row).__name__}.")
        yield f"line {number}", row
