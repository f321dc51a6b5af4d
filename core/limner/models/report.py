"""Scores of metrics, as a table for people and as JSON for programs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from limner.types import Scores


@dataclass(frozen=True)
class Report:
    """Scores by name. A name "column/row" makes a table of several columns.

    `spread` is the standard deviation of each score over runs, if there are several; `notes` are lines below the table
    that say what the scores are based on.
    """

    scores: Scores
    spread: Scores = field(default_factory=dict)
    notes: Sequence[str] = ()

    @classmethod
    def collect(cls, found: Mapping[str, Scores], notes: Sequence[str] = ()) -> "Report":
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
        """The report as a table of rich."""
        header, rows = self._cells()
        table = Table(*map(escape, header), caption=escape("\n".join(self.notes)) or None, caption_justify="left")
        for column in table.columns[1:]:
            column.justify = "right"
        for row in rows:
            table.add_row(*map(escape, row))
        return table

    def markdown(self) -> str:
        """The report as a table of Markdown."""
        return markdown_table(*self._cells())

    def __str__(self) -> str:
        console = Console(width=100, no_color=True)
        with console.capture() as capture:
            console.print(self.table())
        return capture.get().rstrip()

    def _repr_html_(self) -> str:
        header, rows = self._cells()
        head = "".join(f"<th>{cell}</th>" for cell in header)
        body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
        notes = "".join(f"<br>{note}" for note in self.notes)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>" + notes.replace("<br>", "", 1)


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; all but the first column are aligned right."""
    ruler = ["---", *["--:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [header, ruler, *rows])
