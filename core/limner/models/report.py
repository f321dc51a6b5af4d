"""Scores of metrics, as a table for people and as JSON for programs."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, RenderableType
from rich.table import Table
from rich.text import Text

from limner.errors import printable

if TYPE_CHECKING:
    from limner.types import Scores

LONGEST_TITLE, LONGEST_NAME = 24, 40
"""Characters after which the title of a column, and the name of a score, are broken."""
PADDING = 3
"""Characters between two columns of a table of rich: a line, and a space at each side."""


@dataclass(frozen=True)
class Report:
    """Scores by name. A name "column/row" makes a table of several columns.

    `spread` is the standard deviation of each score over runs, if there are several; `notes` are lines below the table
    that say what the scores are based on.
    """

    scores: "Scores"
    spread: "Scores" = field(default_factory=dict)
    notes: Sequence[str] = ()

    @classmethod
    def collect(cls, found: Mapping[str, "Scores"], notes: Sequence[str] = ()) -> "Report":
        """The scores of several metrics in one report. A name that two of them use is prefixed with the metric."""
        scores: Scores = {}
        for metric, its_scores in found.items():
            for name, value in its_scores.items():
                scores[f"{metric} {name}" if name in scores else name] = value
        return cls(scores, notes=tuple(notes))

    def __getitem__(self, name: str) -> float:
        return self.scores[name]

    def to_json(self) -> str:
        """The scores as a JSON object."""
        return json.dumps(self.scores, indent=1)

    def columns(self) -> dict[str, dict[str, float]]:
        """The scores as columns of rows; plain names are in the column ""."""
        columns: dict[str, dict[str, float]] = {}
        for name, value in self.scores.items():
            column, _, row = name.rpartition("/")
            columns.setdefault(column, {})[row] = value
        return columns

    def _cells(self) -> tuple[list[str], list[list[str]]]:
        columns = self.columns()
        rows = list(dict.fromkeys(row for column in columns.values() for row in column))
        shown = [[row, *(self._cell(f"{column}/{row}" if column else row) for column in columns)] for row in rows]
        return ["", *columns], shown

    def _cell(self, name: str) -> str:
        if name not in self.scores:
            return ""
        return f"{self.scores[name]:.3f}" + (f" ± {self.spread[name]:.3f}" if name in self.spread else "")

    def table(self) -> Table:
        """The report as one table of rich, however wide; the notes are its caption."""
        table = next(self.tables(sys.maxsize))
        table.caption, table.caption_justify = Text(printable("\n".join(self.notes))) or None, "left"
        return table

    def tables(self, width: int) -> Iterator[Table]:
        """The scores as tables of rich; as many as it takes, so that each number fits into `width` characters."""
        header, rows = self._cells()
        needed = [
            max([min(len(name), LONGEST_TITLE), *(len(row[column]) for row in rows)])
            for column, name in enumerate(header)
        ]  # a title may be broken, a number may not
        needed[0] = min(needed[0], LONGEST_NAME)
        blocks: list[list[int]] = [[]]
        for column in range(1, len(header)):
            taken = sum(needed[other] + PADDING for other in (0, *blocks[-1], column))
            if blocks[-1] and taken + 1 > width:
                blocks.append([])
            blocks[-1].append(column)
        for block in blocks:
            table = Table()
            for column in (0, *block):
                side = "right" if column else "left"
                table.add_column(Text(printable(header[column])), justify=side, width=needed[column], overflow="fold")
            for row in rows:
                table.add_row(*(Text(printable(row[column])) for column in (0, *block)))
            yield table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Table | Text]:
        yield from self.tables(options.max_width)
        yield from (Text(printable(note), "italic") for note in self.notes)

    def markdown(self) -> str:
        """The report as a table of Markdown."""
        return markdown_table(*self._cells())

    def __str__(self) -> str:
        return printed(self)

    def _repr_html_(self) -> str:
        header, rows = self._cells()
        head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
        body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
        notes = "".join(f"<br>{escape(note)}" for note in self.notes)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>" + notes.replace("<br>", "", 1)


def printed(report: RenderableType) -> str:
    """A report as text of at most 100 columns."""
    console = Console(width=100, no_color=True)
    with console.capture() as capture:
        console.print(report)
    return capture.get().rstrip()


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; all but the first column are aligned right. Cells are plain text."""
    ruler = ["---", *["--:"] * (len(header) - 1)]
    lines = [[*map(markdown_text, header)], ruler, *([*map(markdown_text, row)] for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def markdown_text(text: str) -> str:
    """Text from outside for a line or a table of Markdown: no HTML, no new cell, no line break."""
    return " ".join(printable(escape(text, quote=False)).split()).replace("|", "&#124;")
