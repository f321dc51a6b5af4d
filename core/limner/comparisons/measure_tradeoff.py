"""The trade-off between diversity and consistency with the text: a point per variant, and the Pareto frontier."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limner.comparisons.bar_chart import Chart
from limner.comparisons.results import Comparison, load_comparison, require_known
from limner.comparisons.tradeoff_chart import Point, tradeoff_chart
from limner.comparisons.train_variants import compare
from limner.comparisons.variants import Vary
from limner.errors import LimnerError
from limner.files import reading, replace_file
from limner.interfaces import Dataset
from limner.locks import claim
from limner.models.painter import RealImages, measure
from limner.models.report import Report
from limner.models.trial import try_metrics
from limner.plugins import PluginHost, host
from limner.recipes.build import build_dataset
from limner.recipes.merging import resolve
from limner.recipes.schema import Recipe
from limner.shell import shell_quote

TRADEOFF_FILE, PICTURE_FILE = "tradeoff.json", "tradeoff.png"


@dataclass(frozen=True)
class Tradeoff:
    """A comparison seen as points: how consistent with the text the images of each variant are, and how diverse.

    It shows itself in a notebook. `consistency` and `diversity` are the names of two scores, the higher the better;
    `real` is the point of the data's own images, None if the data cannot show several images of one prompt.
    """

    comparison: Comparison
    consistency: str
    diversity: str
    real: Point | None = None

    def points(self) -> dict[str, Point]:
        """The means of both scores over the seeds, by variant. Variants without both scores are left out."""
        summary = self.comparison.summary().scores
        consistency, diversity = self._rows()
        points = {}
        for variant in self.comparison["variant"].unique():
            x, y = summary.get(f"{variant}/{consistency}"), summary.get(f"{variant}/{diversity}")
            if x is not None and y is not None:
                points[variant] = x, y
        return points

    def frontier(self) -> list[str]:
        """The variants on the Pareto frontier: no other is better in one score and at least as good in the other."""
        points = self.points()
        best = [name for name, own in points.items() if not any(_beats(other, own) for other in points.values())]
        return sorted(best, key=lambda name: points[name])

    def table(self) -> Report:
        """Both scores of each variant and of the real data, with their spread; the frontier is marked."""
        summary, frontier = self.comparison.summary(), self.frontier()
        scores, spread = {}, {}
        for place, row in enumerate(self._rows()):
            for name, point in self.points().items():
                cell = f"{name}{' *' if name in frontier else ''}/{row}"
                scores[cell] = point[place]
                if f"{name}/{row}" in summary.spread:
                    spread[cell] = summary.spread[f"{name}/{row}"]
        if self.real:
            scores |= {f"real data/{row}": value for row, value in zip(self._rows(), self.real)}
        return Report(scores, spread, ["* on the frontier: no other variant is better in one and as good in the other"])

    def chart(self) -> Chart:
        """The chart: consistency to the right, diversity upwards.

        Raises:
            LimnerError: if no variant has both scores.
        """
        points, results = self.points(), self.comparison.results
        if not points:
            raise LimnerError("There is nothing to draw: no run has both scores.")
        seeds = f"{results.seeds} seed{'s' if results.seeds > 1 else ''}"
        title = f"{', '.join(results.vary)}: {seeds}, {results.budget_text} each"
        scores = (self.consistency, self.diversity)
        return tradeoff_chart(self.comparison, scores, points, self.frontier(), self.real, title)

    def _rows(self) -> tuple[str, str]:
        """What tables call the two scores."""
        return self.consistency.replace("/", " "), self.diversity.replace("/", " ")

    def _repr_png_(self) -> bytes:
        return self.chart()._repr_png_()

    def table_of_values(self) -> dict[str, Any]:
        """The content of tradeoff.json."""
        return {
            "consistency": self.consistency,
            "diversity": self.diversity,
            "real": self.real,
            "points": self.points(),
            "frontier": self.frontier(),
        }

    def write(self, folder: Path) -> None:
        """Write tradeoff.json and tradeoff.png."""
        replace_file(folder / TRADEOFF_FILE, json.dumps(self.table_of_values(), indent=1).encode())
        replace_file(folder / PICTURE_FILE, self._repr_png_())


def tradeoff(
    recipe: str | Path | Mapping[str, Any] | Recipe,
    vary: Vary,
    seeds: int = 3,
    *,
    consistency: str = "trained/exact",
    diversity: str = "diversity",
    steps: int | None = None,
    seconds: int | float | None = None,
    out: str | Path | None = None,
    overrides: Sequence[str] = (),
    quiet: bool = False,
    jobs: int = 1,
    plugins: PluginHost | None = None,
) -> Tradeoff:
    """Compare variants of a recipe as `limner.compare` does, and plot their diversity against their consistency.

    Variants that differ only in how images are sampled, such as `{"sampling.truncation": [0.5, 1.0, 2.0]}`, share one
    training.

    Args:
        recipe: a recipe's name, a TOML file, a dict, or a `Recipe`.
        vary: keys of the recipe and the values to compare; several keys give every combination.
        seeds: how many times each variant is trained.
        consistency: the score that says how well images fit their prompts.
        diversity: the score that says how much the images of one prompt differ.
        steps: the budget of each training in steps,
        seconds: or in seconds; by default the recipe's own.
        out: a folder for the files of `limner.compare`, tradeoff.json and tradeoff.png; called again, it is resumed.
        overrides: changes to the recipe for all variants.
        quiet: show no progress bar.
        jobs: how many runs are trained at the same time, as in `limner.compare`.
        plugins: the plugin host; by default all that is installed.

    Raises:
        LimnerError: if a variant is wrong, or there is no such score, before any work.
    """
    plugins = plugins or host()
    source = recipe.table() if isinstance(recipe, Recipe) else recipe
    checked = Recipe.check(plugins, resolve(plugins, source, overrides), "the recipe")
    if known := try_metrics(plugins, checked):
        require_known([consistency, diversity], list(known))
    more = {"out": out, "overrides": overrides, "quiet": quiet, "jobs": jobs, "plugins": plugins}
    found = compare(recipe, vary, seeds, steps=steps, seconds=seconds, **more)
    if len(found):
        found.require_scores([consistency, diversity])
    result = Tradeoff(found, consistency, diversity, real_point(plugins, checked, (consistency, diversity)))
    if out is not None and len(found):
        with claim(Path(out)):
            result.write(Path(out))
    return result


def real_point(plugins: PluginHost, recipe: Recipe, scores: tuple[str, str]) -> Point | None:
    """The two scores of the data's own images; None if the data cannot show several images of one prompt."""
    dataset = build_dataset(recipe)
    if type(dataset).real_images is Dataset.real_images:
        return None
    report = measure(plugins, recipe, RealImages(dataset))
    return report[scores[0]], report[scores[1]]


def load_tradeoff(folder: str | Path) -> Tradeoff:
    """Read a trade-off from its folder.

    Raises:
        LimnerError: if there is none, or it is damaged.
    """
    file = Path(folder) / TRADEOFF_FILE
    with reading(file):
        found = file.is_file()
    if not found:
        made = f"'limner tradeoff RECIPE --vary ... --out {shell_quote(str(folder))}' makes one"
        raise LimnerError(f"There is no trade-off {file}; {made}.")
    try:
        table = json.loads(file.read_text(encoding="utf-8"))
        real = tuple(table["real"]) if table["real"] else None
        return Tradeoff(load_comparison(folder), table["consistency"], table["diversity"], real)
    except (ValueError, KeyError, TypeError) as error:
        raise LimnerError(f"{file} is damaged: {type(error).__name__}: {error}.") from None


def _beats(one: Point, other: Point) -> bool:
    return one[0] >= other[0] and one[1] >= other[1] and one != other
