"""The result of a league: a row for each entry with its quality and its cost, a chart, pictures, and a page."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

from limner.comparisons.entry_cost import EntryCost
from limner.comparisons.results import CHART_FILE, TABLE_FILE, Comparison, load_comparison, mean_and_spread
from limner.comparisons.results_file import Results, RunResult, machine_text
from limner.errors import LimnerError, printable
from limner.files import reading, replace_file
from limner.models.report import markdown_table, markdown_text
from limner.shell import shell_quote

if TYPE_CHECKING:
    from limner.comparisons.bar_chart import Chart

LEAGUE_FILE, PAINTED_FILE = "league.json", "painted.png"
USUAL, HELD_OUT, DIVERSITY = "trained/exact", "held out/exact", "diversity"
"""The scores of the table, if the metrics have them."""
COST_COLUMNS = (
    "generator weights",
    "all weights",
    "multiply-adds per image",
    "all multiply-adds",
    "seconds",
    "images/s",
    "ms to paint",
    "memory",
)
Costs = Mapping[str, EntryCost | str]
"""What each entry costs, or a sentence on why that could not be measured."""


@dataclass(frozen=True)
class League:
    """The entries of a league, their runs and their costs; its chart shows itself in a notebook.

    Attributes:
        comparison: the trainings, a row for each.
        reference: the entry that the others are compared with.
        quality: the score by which entries are ordered, the higher the better.
        costs: by entry.
        measured_on: the machine that the costs are measured on; by default that of the trainings.
    """

    comparison: Comparison
    reference: str
    quality: str
    costs: Costs
    measured_on: Mapping[str, Any] | None = None

    @classmethod
    def of(
        cls,
        results: Results,
        folder: Path | None,
        reference: str,
        quality: str | None,
        costs: Costs,
        measured_on: Mapping[str, Any] | None = None,
    ) -> "League":
        """The league of these results. Without `quality`, it is the usual score, or the first one.

        Raises:
            LimnerError: if no run has such a score.
        """
        comparison = Comparison.of(results, folder)
        scores = comparison.metrics
        if quality is not None and scores:
            comparison.require_scores([quality])
        usual = scores[0] if scores and USUAL not in scores else USUAL
        return cls(comparison, reference, quality or usual, costs, measured_on)

    def with_costs(self, costs: Costs, machine: Mapping[str, Any]) -> "League":
        """The league with the costs of more entries, measured on this machine."""
        return replace(self, costs={**self.costs, **costs}, measured_on=machine)

    @property
    def entries(self) -> list[str]:
        """The names of all entries, best first; those without a score come last."""
        means = {name: self.mean(name, self.quality) for name in self._runs}
        return sorted(means, key=lambda name: -1.0 if (value := means[name]) is None else value, reverse=True)

    def mean(self, entry: str, score: str) -> float | None:
        """The mean of a score over the seeds of an entry; None if no run has it."""
        return mean(values) if (values := self.values(entry, score)) else None

    def values(self, entry: str, score: str) -> list[float]:
        """The score of each run of an entry that has it."""
        return [run.scores[score] for run in self._runs[entry] if score in run.scores]

    def work(self, entry: str) -> float | None:
        """The multiply-adds of a whole training; None if they are unknown."""
        cost = self.costs.get(entry)
        return cost.total(self._steps) if isinstance(cost, EntryCost) else None

    def seconds(self, entry: str) -> float | None:
        """The seconds of a whole training while nothing else runs; None if they are unknown."""
        cost = self.costs.get(entry)
        return cost.seconds(self._steps) if isinstance(cost, EntryCost) else None

    def rows(self) -> list[dict[str, str]]:
        """The table, a row for each entry: the text of each column by its name."""
        return [self._row(entry) for entry in self.entries]

    def sentences(self) -> list[str]:
        """How far each entry is from the reference in quality; then what could not be trained or measured."""
        told = []
        if self.mean(self.reference, self.quality) is not None:
            told = list(map(str, self.comparison.differences([self.quality], self.reference)))
        unknown = [f"{name}: the cost is unknown, {why}" for name, why in self.costs.items() if isinstance(why, str)]
        return [*told, *self.comparison.problems, *unknown]

    def chart(self) -> "Chart":
        """Quality against what training costs: in multiply-adds, and in seconds.

        Raises:
            LimnerError: if no entry has a score and a known cost.
        """
        from limner.comparisons.league_chart import league_chart

        return league_chart(self)

    def markdown(self) -> str:
        """The league as a page: how it was made, the table, the differences, and what the entries paint."""
        results, rows = self.comparison.results, self.rows()
        folder = self.comparison.folder
        chart = f"![Quality against cost]({CHART_FILE})"
        painted = f"![The same prompts, painted by each entry]({PAINTED_FILE})"
        parts = [
            f"# The league: {results.budget_text}, {results.seeds} {'seed' if results.seeds == 1 else 'seeds'}",
            f"    {' '.join(printable(results.command).split())}",
            self.conditions(),
            *([f"{results.missing} runs are still missing."] if results.missing else []),
            markdown_table(list(rows[0]), [list(row.values()) for row in rows]),
            *([chart] if folder and (folder / CHART_FILE).is_file() else []),
            *map(markdown_text, self.sentences()),
            *([painted] if folder and (folder / PAINTED_FILE).is_file() else []),
        ]
        return "\n\n".join(parts) + "\n"

    def conditions(self) -> str:
        """How the numbers came about, in words."""
        results = self.comparison.results
        versions = results.versions
        measured_on = self.measured_on or results.machine
        place = "there" if measured_on == results.machine else f"on {machine_text(measured_on)}"
        return (
            f"Mean ± standard deviation over the seeds, in {results.precisions}, on {results.trained_on}. "
            "Multiply-adds are those of one training image (forward, backward, and its share of the update, averaged "
            "over the training) and of the whole training. Times are measured after the trainings, while nothing else "
            f"of the league runs, {place}: "
            "the seconds are those of a step, averaged over the training, times the steps. Memory is the peak of a "
            "process that makes some steps. "
            f"limner {versions['limner']}, torch {versions['torch']}, Python {versions['python']}; {results.date[:10]}."
        )

    def table_of_values(self) -> dict[str, Any]:
        """The content of league.json."""
        costs = {name: cost if isinstance(cost, str) else asdict(cost) for name, cost in self.costs.items()}
        table = {"reference": self.reference, "quality": self.quality, "costs": costs}
        return table | ({"measured_on": dict(self.measured_on)} if self.measured_on else {})

    def write(self, folder: Path) -> None:
        """Write league.json, painted.png, chart.png and table.md."""
        replace_file(folder / LEAGUE_FILE, json.dumps(self.table_of_values(), indent=1).encode())
        try:
            self.comparison.pictures(variants=self._painted()).save(folder / PAINTED_FILE)
        except LimnerError:  # no run could paint
            (folder / PAINTED_FILE).unlink(missing_ok=True)
        try:
            replace_file(folder / CHART_FILE, self._repr_png_())
        except LimnerError:  # no entry has a score and a known cost
            (folder / CHART_FILE).unlink(missing_ok=True)
        replace_file(folder / TABLE_FILE, self.markdown().encode())

    def _repr_png_(self) -> bytes:
        return self.chart()._repr_png_()

    @cached_property
    def _runs(self) -> dict[str, list[RunResult]]:
        """The runs of each entry."""
        runs: dict[str, list[RunResult]] = {}
        for run in self.comparison.results.ordered_runs():
            runs.setdefault(run.variant, []).append(run)
        return runs

    @property
    def _steps(self) -> int | float:
        return self.comparison.results.budget["steps"]

    def _painted(self) -> list[str]:
        """The entries that painted with the lowest seed, best first."""
        from limner.comparisons.painted_rows import read_rows

        folder = self.comparison.folder
        rows = list(read_rows(folder)) if folder else []
        lowest = min((row.seed for row in rows), default=0)
        found = {row.variant for row in rows if row.seed == lowest}
        return [entry for entry in self.entries if entry in found]

    def _row(self, entry: str) -> dict[str, str]:
        runs, scores = self._runs[entry], self.comparison.metrics
        shown = [score for score in dict.fromkeys([self.quality, HELD_OUT, DIVERSITY]) if score in scores]
        values = {score.replace("/", " "): mean_and_spread(self.values(entry, score), "{:.3f}") for score in shown}
        return {"entry": entry, **values, **self._cost(entry), "runs": ", ".join(map(_link, runs))}

    def _cost(self, entry: str) -> dict[str, str]:
        cost = self.costs.get(entry)
        if not isinstance(cost, EntryCost):
            return dict.fromkeys(COST_COLUMNS, "")
        texts = (
            f"{cost.generator / 1e6:.2f} M",
            f"{cost.weights / 1e6:.2f} M",
            f"{cost.multiply_adds / 1e6:,.0f} M",
            f"{cost.total(self._steps) / 1e12:.2f} T",
            f"{cost.seconds(self._steps):,.0f}",
            f"{cost.images_per_second:,.0f}",
            f"{1000 * cost.paint_seconds:.1f}",
            f"{cost.memory / 1e9:.2f} GB" if cost.memory else "",
        )
        return dict(zip(COST_COLUMNS, texts, strict=True))


def _link(run: RunResult) -> str:
    """The seed of a run, as a link to its folder."""
    text = f"{run.seed} failed" if run.problem else str(run.seed)
    return f"[{text}]({run.folder})" if run.folder else text


def read_league_file(folder: Path) -> dict[str, Any]:
    """The content of league.json, with its costs; without the file, there are none.

    Costs that another version of Limner measured, with other figures, are left out.

    Raises:
        LimnerError: if it is damaged.
    """
    file = folder / LEAGUE_FILE
    try:
        with reading(file):
            table = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {"costs": {}}
        figures = {field.name for field in fields(EntryCost)}
        costs = {
            name: cost if isinstance(cost, str) else EntryCost(**cost)
            for name, cost in table["costs"].items()
            if isinstance(cost, str) or cost.keys() == figures
        }
        if measured_on := table.get("measured_on"):
            machine_text(measured_on)
        return {key: table.get(key) for key in ("reference", "quality", "measured_on")} | {"costs": costs}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LimnerError(
            f"{file} is damaged: {type(error).__name__}: {error}. Remove it; the same command makes it again."
        ) from None


def load_league(folder: str | Path) -> League:
    """Read a league from its folder.

    Raises:
        LimnerError: if there is none, or it is damaged.
    """
    folder = Path(folder)
    table = read_league_file(folder)
    if table["reference"] is None:
        raise LimnerError(
            f"There is no league in {folder}; 'limner league --out {shell_quote(str(folder))}' makes one."
        )
    results = load_comparison(folder).results
    return League.of(results, folder, **table)
