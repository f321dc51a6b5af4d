"""Everything that can be measured of a trained model, in one table: a row for each metric, also for those without a
result.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from rich.console import Console, ConsoleOptions
from rich.table import Table
from rich.text import Text

from limner.errors import printable
from limner.models.report import Report, printed
from limner.types import Scores


@dataclass(frozen=True)
class Measured:
    """The scores of one metric, and what they are based on; or no scores, and the reason."""

    metric: str
    scores: Scores
    about: str


@dataclass(frozen=True)
class FullReport:
    """What every installed metric says about a model, and what the model costs."""

    measured: Sequence[Measured]

    @property
    def scores(self) -> Scores:
        """All scores by name, as in a `Report`. A name that two metrics use is prefixed with the metric."""
        return dict(Report.collect({one.metric: one.scores for one in self.measured}).scores)

    def rows(self) -> list[dict[str, Any]]:
        """A row for each score, with the keys metric, score, value and about.

        A metric that gave no score has one row with the keys metric and reason.
        """
        found: list[dict[str, Any]] = []
        for one in self.measured:
            found += [
                {"metric": one.metric, "score": name, "value": value, "about": one.about}
                for name, value in one.scores.items()
            ]
            if not one.scores:
                found.append({"metric": one.metric, "reason": one.about})
        return found

    def to_json(self) -> str:
        """The rows as JSON."""
        return json.dumps(self.rows(), indent=1)

    def table(self) -> Table:
        """A table of rich, for 80 columns or more."""
        table = Table(show_lines=True)
        table.add_column("metric", no_wrap=True)
        table.add_column("value", justify="right", no_wrap=True)
        table.add_column("based on, or why there is no value", overflow="fold")
        for cells in self._cells():
            table.add_row(*(Text("\n".join(map(printable, cell))) for cell in cells))
        return table

    def _cells(self) -> list[tuple[list[str], list[str], list[str]]]:
        """The lines of each cell: the metric and the names of its scores, their values, and what they are based on."""
        return [
            (
                [one.metric, *(f"  {name}" for name in one.scores)],
                ["" if one.scores else "-", *map(shown, one.scores.values())],
                [one.about],
            )
            for one in self.measured
        ]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Table]:
        yield self.table()

    def __str__(self) -> str:
        return printed(self)

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{name}</th>" for name in ("metric", "value", "based on, or why there is no value"))
        rows = [["<br>".join(map(escape, cell)) for cell in cells] for cells in self._cells()]
        body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def shown(value: float) -> str:
    """A score with three decimals; a large number whole, and a small one with two digits that are not 0."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3f}" if value == 0 or abs(value) >= 0.01 else f"{value:.2g}"
