"""What a comparison found: a frame of pandas that sums itself up, plots itself, and lives in a folder."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from limner.errors import LimnerError
from limner.files import replace_file
from limner.models.report import Report, markdown_table

if TYPE_CHECKING:
    from limner.comparisons.bar_chart import Chart

RESULTS_FILE, TABLE_FILE, CHART_FILE = "results.json", "table.md", "chart.png"


class Comparison(pd.DataFrame):
    """A row for each run: the variant, its values, seed, steps, seconds, images per second, and every score.

    Whatever pandas makes of it (a group, a part, a mean) is a plain frame again. `attrs` holds all else that is known:
    the command, the recipe, the machine, the versions. `limner.compare` makes one, `limner.load_comparison` reads one.
    """

    @classmethod
    def of(cls, results: dict[str, Any]) -> "Comparison":
        """The frame of what results.json holds; variants in the order of their values, each with its seeds."""
        vary = results["vary"]
        runs = sorted(results["runs"], key=lambda r: ([vary[k].index(v) for k, v in r["settings"].items()], r["seed"]))
        told = ("seed", "steps", "seconds", "images/s")
        rows = [
            {"variant": run["variant"], **run["settings"], **{key: run[key] for key in told}, **run["scores"]}
            for run in runs
        ]
        frame = cls(rows)
        frame.attrs.update(results)
        return frame

    @property
    def metrics(self) -> list[str]:
        """The names of the scores."""
        return list(dict.fromkeys(name for run in self.attrs["runs"] for name in run["scores"]))

    @property
    def problems(self) -> list[str]:
        """A sentence for each run that diverged, and so has no scores."""
        return [f"{r['variant']}, seed {r['seed']}: {r['problem']}" for r in self.attrs["runs"] if "problem" in r]

    def summary(self) -> Report:
        """The mean of every score over a variant's seeds, and their standard deviation where there are several.

        A row for each score, a column for each variant. Runs that diverged have no scores and are left out.
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
            LimnerError: for a score that no run has, or where no run has any.
        """
        from limner.comparisons.bar_chart import draw

        return draw(self, self.metrics if metrics is None else metrics)

    def markdown(self) -> str:
        """The comparison as a page: how it was made, its summary, and every run."""
        about = self.attrs
        machine, versions = about["machine"], about["versions"]
        threads = f"{machine['threads']} {'thread' if machine['threads'] == 1 else 'threads'}"
        budget = " ".join(f"{amount:.10g} {unit}" for unit, amount in about["budget"].items())
        precisions = " and ".join(dict.fromkeys(run["precision"] for run in about["runs"]))
        scores = self.summary()
        spread = "Mean ± standard deviation over the seeds" if scores.spread else "One seed, so no spread is known"
        told = ["variant", "seed", "steps", "seconds", "images/s", *self.metrics]
        every = [
            [str(row[0]), str(row[1]), str(row[2]), f"{row[3]:.1f}", f"{row[4]:.0f}", *(_score(s) for s in row[5:])]
            for row in self[told].itertuples(index=False, name=None)
        ]
        parts = [
            f"# {' and '.join(about['vary'])} in {about['source']}",
            f"    {about['command']}",
            f"{budget} each, one after the other, on {machine['processor']} ({machine['cores']} cores, "
            f"{threads}, {machine['device']}, {precisions}); limner {versions['limner']}, "
            f"torch {versions['torch']}, Python {versions['python']}; {about['date'][:10]}.",
            *([f"{about['missing']} runs are still missing."] if about["missing"] else []),
            f"{spread}:",
            scores.markdown(),
            "Every run:",
            markdown_table(told, every),
            *self.problems,
        ]
        return "\n\n".join(parts) + "\n"

    def illustrate(self, folder: Path) -> None:
        """Write table.md and, where there is a score, chart.png."""
        replace_file(folder / TABLE_FILE, self.markdown().encode())
        if self.metrics:
            replace_file(folder / CHART_FILE, self.plot()._repr_png_())


def _score(value: float) -> str:
    return "" if pd.isna(value) else f"{value:.3f}"


def load_comparison(path: str | Path) -> Comparison:
    """Read a comparison back from its folder, or from its results.json.

    Raises:
        LimnerError: when there is none, or it is damaged.
    """
    return Comparison.of(read_results(Path(path)))


def read_results(path: Path) -> dict[str, Any]:
    """What the results.json in a folder says, or the file itself.

    Raises:
        LimnerError: when there is none, or it is damaged.
    """
    file = path if path.suffix == ".json" else path / RESULTS_FILE
    if not file.is_file():
        raise LimnerError(f"There is no comparison {file}; 'limner compare RECIPE --vary ... --out {path}' makes one.")
    try:
        results = json.loads(file.read_text(encoding="utf-8"))
        Comparison.of(results)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LimnerError(f"{file} is damaged: {type(error).__name__}: {error}.") from None
    return results
