"""What the metrics found, as a table for people and as JSON for machines."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from limner.types import Scores


@dataclass(frozen=True)
class Report:
    """Scores by name. A name "column/row" stands in a table of several columns, a plain one by itself."""

    scores: Scores

    @classmethod
    def collect(cls, found: Mapping[str, Scores]) -> "Report":
        """The scores of several metrics in one report; a name that two of them use gets the metric's name before it."""
        scores: Scores = {}
        for metric, its_scores in found.items():
            for name, value in its_scores.items():
                scores[f"{metric} {name}" if name in scores else name] = value
        return cls(scores)

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
        shown = [[row, *(f"{c[row]:.3f}" if row in c else "" for c in columns.values())] for row in rows]
        return ["", *columns], shown

    def table(self) -> Table:
        """The report as a table of rich."""
        header, rows = self._cells()
        table = Table(*header)
        for column in table.columns[1:]:
            column.justify = "right"
        for row in rows:
            table.add_row(*row)
        return table

    def __str__(self) -> str:
        console = Console(width=100, no_color=True)
        with console.capture() as capture:
            console.print(self.table())
        return capture.get().rstrip()

    def _repr_html_(self) -> str:
        header, rows = self._cells()
        head = "".join(f"<th>{cell}</th>" for cell in header)
        body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
