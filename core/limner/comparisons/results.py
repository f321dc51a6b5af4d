"""The result of a comparison: a pandas frame with a summary, a chart and a page."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any, cast

import pandas as pd
from PIL import Image

from limner.comparisons.results_file import Results, read_results
from limner.errors import LimnerError, nearest, printable
from limner.files import replace_file
from limner.models.pictures import Pictures
from limner.models.report import Report, markdown_table, markdown_text

if TYPE_CHECKING:
    from limner.comparisons.bar_chart import Chart
    from limner.comparisons.differences import Differences

TABLE_FILE, CHART_FILE = "table.md", "chart.png"


class Comparison(pd.DataFrame):
    """A row for each run: the variant, its values, seed, steps, seconds, images per second, and every score.

    Whatever pandas makes of it (a group, a part, a mean) is a plain frame again. `attrs` holds the content of
    results.json: also the command, the recipe, the machine and the versions. `folder` is where it is kept, if it is.
    `limner.compare` makes a comparison, `limner.load_comparison` reads one.
    """

    _metadata = ["folder"]  # noqa: RUF012  # pyright: ignore[reportIncompatibleVariableOverride]
    folder: Path | None = None

    @classmethod
    def of(cls, results: Results, folder: Path | None = None) -> "Comparison":
        """The frame of these results; variants in the order of their values, each with its seeds."""
        frame = cls(
            [
                {"variant": run.variant, **run.settings, "seed": run.seed, "steps": run.steps, "seconds": run.seconds}
                | {"images/s": run.images_per_second, **run.scores}
                for run in results.ordered_runs()
            ]
        )
        frame.attrs.update(results.to_json())
        frame.folder = folder
        return frame

    @property
    def results(self) -> Results:
        """The content of results.json."""
        return Results.from_json(cast(dict[str, Any], self.attrs))

    @property
    def metrics(self) -> list[str]:
        """The names of the scores."""
        return list(dict.fromkeys(name for run in self.results.runs for name in run.scores))

    @property
    def problems(self) -> list[str]:
        """A sentence for each run that failed, and so has no scores."""
        return [f"{run.variant}, seed {run.seed}: {run.problem}" for run in self.results.runs if run.problem]

    def summary(self) -> Report:
        """The mean of every score over a variant's seeds, and the standard deviation if there are several.

        A row for each score, a column for each variant. Runs that failed have no scores and are left out.
        """
        scores, spread = {}, {}
        for row in self.metrics:
            for variant in self["variant"].unique():
                values = self.loc[self["variant"] == variant, row].dropna()
                name = f"{variant}/{row.replace('/', ' ')}"
                if len(values) > 0:
                    scores[name] = float(values.mean())
                if len(values) > 1:
                    spread[name] = float(values.std())
        return Report(scores, spread)

    def plot(self, metrics: Sequence[str] | None = None) -> "Chart":  # pyright: ignore[reportIncompatibleVariableOverride]
        """A chart that shows itself in a notebook: for each score a panel, with a bar to the mean and a dot per seed.

        Args:
            metrics: names of scores, such as `["trained/exact", "diversity"]`; by default all.

        Raises:
            LimnerError: if no run has such a score, or any score at all.
        """
        from limner.comparisons.bar_chart import bar_chart

        results, chosen = self.results, self.metrics if metrics is None else metrics
        if not chosen:
            raise LimnerError("There is nothing to plot: no run has a score, or no score is named.")
        self.require_scores(chosen)
        title = f"{', '.join(results.vary)}: mean (bar) and every seed (dot), {results.budget_text} each"
        return bar_chart(self, chosen, title)

    def differences(self, metrics: Sequence[str] | None = None, to: str | None = None) -> "Differences":
        """How far each variant is from one of them, with a 95 % interval; runs of equal seeds are compared in pairs.

        Args:
            metrics: names of scores, such as `["trained/exact", "diversity"]`; by default all.
            to: the variant that the others are compared with; by default the first.

        Raises:
            LimnerError: if there is no such score or variant.
        """
        from limner.comparisons.differences import Differences

        self.require_scores(metrics or ())
        return Differences.of(self, self.metrics if metrics is None else metrics, to)

    def pictures(self, seed: int | None = None, variants: Sequence[str] | None = None) -> Pictures:
        """What the variants paint: a row for each, with the same prompts and the same noise.

        Args:
            seed: of the trainings; by default the lowest one.
            variants: their names, in the order of the rows; by default all.

        Raises:
            LimnerError: if the comparison keeps no pictures of such runs.
        """
        from limner.comparisons.painted_rows import read_rows

        rows = list(read_rows(self.folder)) if self.folder else []
        names = list(self["variant"].unique()) if variants is None else list(variants)
        seeds = sorted({row.seed for row in rows if row.variant in names})
        seed = seeds[0] if seed is None and seeds else seed
        found = {row.variant: row for row in rows if row.seed == seed}
        shown = [found[name] for name in names if name in found]
        if not shown or (variants is not None and len(shown) < len(names)):
            place = f"{self.folder} has pictures of" if self.folder else "A comparison without a folder ('out') keeps"
            have = ", ".join(sorted({f"{row.variant} (seed {row.seed})" for row in rows})) or "no pictures"
            raise LimnerError(f"{place} {have}; the command of a comparison with 'out' makes them.")
        largest = max(image.size for row in shown for image in row.images)
        images = [image.resize(largest, Image.Resampling.NEAREST) for row in shown for image in row.images]
        labels = [row.variant for row in shown for _ in row.images]
        alike = all(row.prompts == shown[0].prompts for row in shown)
        if not alike:
            labels = [f"{row.variant}: {prompt}" for row in shown for prompt in row.prompts]
        columns = max(len(row.images) for row in shown)
        return Pictures(images, labels, columns, max(1, 96 // largest[0]), shown[0].prompts if alike else ())

    def require_scores(self, names: Iterable[str]) -> None:
        """Check that there are scores of these names.

        Raises:
            LimnerError: if no run has one of them.
        """
        require_known(names, self.metrics)

    def markdown(self) -> str:
        """The comparison as a page: how it was made, its summary, and every run."""
        results, scores = self.results, self.summary()
        columns = ["variant", "seed", "steps", "seconds", "images/s", *self.metrics]
        rows = [
            [str(row[0]), str(row[1]), str(row[2]), f"{row[3]:.1f}", f"{row[4]:.0f}", *(_score(s) for s in row[5:])]
            for row in self[columns].itertuples(index=False, name=None)
        ]
        parts = [
            f"# {markdown_text(' and '.join(results.vary))} in {markdown_text(results.source)}",
            f"    {' '.join(printable(results.command).split())}",
            _conditions(results),
            *([f"{results.missing} runs are still missing."] if results.missing else []),
            "Mean ± standard deviation over the seeds:" if scores.spread else "One seed, so the spread is unknown:",
            scores.markdown(),
            *(self.differences().markdown() if results.seeds > 1 and len(self["variant"].unique()) > 1 else []),
            "Every run:",
            markdown_table(columns, rows),
            *map(markdown_text, self.problems),
        ]
        return "\n\n".join(parts) + "\n"

    def illustrate(self, folder: Path) -> None:
        """Write table.md and, if there are scores, chart.png."""
        replace_file(folder / TABLE_FILE, self.markdown().encode())
        if self.metrics:
            replace_file(folder / CHART_FILE, self.plot()._repr_png_())


def require_known(names: Iterable[str], known: Sequence[str]) -> None:
    """Check that scores of these names are known.

    Raises:
        LimnerError: for one that is not.
    """
    for name in names:
        if name not in known:
            raise LimnerError(f"No run has the score '{name}'{nearest(name, known)}; there is {', '.join(known)}.")


def _conditions(results: Results) -> str:
    """The budget, the machine and the versions, in a sentence."""
    versions = results.versions
    return (
        f"{results.budget_text} each, in {results.precisions}, on {results.trained_on}; "
        f"limner {versions['limner']}, torch {versions['torch']}, Python {versions['python']}; {results.date[:10]}."
    )


def mean_and_spread(values: Sequence[int] | Sequence[float], form: str = "{:,.0f}") -> str:
    """The mean, and the standard deviation if there are several values, as text; nothing if there is none."""
    if not values:
        return ""
    shown = form.format(mean(values))
    return f"{shown} ± {form.format(stdev(values))}" if len(values) > 1 else shown


def _score(value: float) -> str:
    return "" if pd.isna(value) else f"{value:.3f}"


def load_comparison(path: str | Path) -> Comparison:
    """Read a comparison from its folder, or from its results.json.

    Raises:
        LimnerError: if there is none, or it is damaged.
    """
    path = Path(path)
    return Comparison.of(read_results(path), path.parent if path.suffix == ".json" else path)
