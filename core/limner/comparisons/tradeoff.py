"""Diversity against consistency: variants of a recipe in one picture, with the frontier that they make."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limner.comparisons.bar_chart import Chart
from limner.comparisons.results import Comparison, load_comparison
from limner.comparisons.tradeoff_chart import draw
from limner.comparisons.train_variants import compare
from limner.comparisons.variants import Vary
from limner.errors import LimnerError, nearest
from limner.files import replace_file
from limner.interfaces import Dataset
from limner.models.painter import RealImages, measure
from limner.models.report import Report
from limner.plugins import PluginHost, host
from limner.recipes.build import build_dataset
from limner.recipes.merging import resolve
from limner.recipes.schema import Recipe

TRADEOFF_FILE, PICTURE_FILE = "tradeoff.json", "tradeoff.png"
Point = tuple[float, float]


@dataclass(frozen=True)
class Tradeoff:
    """A comparison seen as points: how consistent with the text each variant's images are, and how diverse.

    It shows itself in a notebook. `consistency` and `diversity` name the two scores, the higher the better; `real` is
    the point of the data's own images, None where the data cannot show several images of one prompt.
    """

    comparison: Comparison
    consistency: str
    diversity: str
    real: Point | None = None

    def points(self) -> dict[str, Point]:
        """The mean over its seeds of each variant."""
        summary = self.comparison.summary().scores
        names = [score.replace("/", " ") for score in (self.consistency, self.diversity)]
        variants = list(self.comparison["variant"].unique())
        found = {variant: [summary.get(f"{variant}/{name}") for name in names] for variant in variants}
        return {v: (x, y) for v, (x, y) in found.items() if x is not None and y is not None}

    def frontier(self) -> list[str]:
        """The variants that no other beats: better in one, and at least as good in the other."""
        points = self.points()
        best = [name for name, own in points.items() if not any(_beats(other, own) for other in points.values())]
        return sorted(best, key=lambda name: points[name])

    def table(self) -> Report:
        """Both scores of each variant, their spread over the seeds, the frontier marked; and those of real data."""
        summary, frontier = self.comparison.summary(), self.frontier()
        rows, spread = {}, {}
        columns = {name: f"{name}{' *' if name in frontier else ''}" for name in self.points()}
        for score in (self.consistency.replace("/", " "), self.diversity.replace("/", " ")):
            for name, column in columns.items():
                rows[f"{column}/{score}"] = summary[f"{name}/{score}"]
                if f"{name}/{score}" in summary.spread:
                    spread[f"{column}/{score}"] = summary.spread[f"{name}/{score}"]
        if self.real:
            names = (self.consistency.replace("/", " "), self.diversity.replace("/", " "))
            rows |= {f"real data/{score}": value for score, value in zip(names, self.real)}
        return Report(rows, spread, ["* on the frontier: no other variant is better in one and as good in the other"])

    def chart(self) -> Chart:
        """The picture: consistency to the right, diversity upwards."""
        return draw(self)

    def _repr_png_(self) -> bytes:
        return self.chart()._repr_png_()

    def table_of_values(self) -> dict[str, Any]:
        """What tradeoff.json holds."""
        return {
            "consistency": self.consistency,
            "diversity": self.diversity,
            "real": self.real,
            "points": self.points(),
            "frontier": self.frontier(),
        }


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
    plugins: PluginHost | None = None,
) -> Tradeoff:
    """Compare variants of a recipe (`limner.compare`), and set their diversity against their consistency.

    Keys that say how images are sampled, such as `{"sampling.truncation": [0.5, 1.0, 2.0]}`, cost no training of their
    own: one model is sampled at each of their values.

    Args:
        recipe: a recipe's name, a TOML file, a dict, or a `Recipe`.
        vary: keys of the recipe and the values to compare; several keys give every combination.
        seeds: how many times each variant is trained.
        consistency: the score that says how well images fit their prompts.
        diversity: the score that says how much the images of one prompt differ.
        steps: the budget of each training in steps,
        seconds: or in seconds; by default the recipe's own.
        out: a folder for all that `limner.compare` writes, tradeoff.json and tradeoff.png; it is gone on with.
        overrides: changes to the recipe for all variants.
        quiet: show no progress bar.
        plugins: the plugin host; by default all that is installed.

    Raises:
        LimnerError: where a variant is wrong, before any work, or no run has one of the two scores.
    """
    plugins = plugins or host()
    found = compare(
        recipe, vary, seeds, steps=steps, seconds=seconds, out=out, overrides=overrides, quiet=quiet, plugins=plugins
    )
    for score in (consistency, diversity):
        if len(found) and score not in found.metrics:
            raise LimnerError(
                f"No run has the score '{score}'{nearest(score, found.metrics)}; there is {', '.join(found.metrics)}."
            )
    source = recipe.table() if isinstance(recipe, Recipe) else recipe
    checked = Recipe.check(plugins, resolve(plugins, source, overrides), "the recipe")
    result = Tradeoff(found, consistency, diversity, real_point(plugins, checked, (consistency, diversity)))
    if out is not None and len(found):
        replace_file(Path(out) / TRADEOFF_FILE, json.dumps(result.table_of_values(), indent=1).encode())
        replace_file(Path(out) / PICTURE_FILE, result._repr_png_())
    return result


def real_point(plugins: PluginHost, recipe: Recipe, scores: tuple[str, str]) -> Point | None:
    """The two scores of the data's own images, where the data can show several images of one prompt."""
    dataset = build_dataset(plugins, recipe)
    if type(dataset).real_images is Dataset.real_images:
        return None
    report = measure(plugins, recipe, RealImages(dataset))
    return report[scores[0]], report[scores[1]]


def load_tradeoff(folder: str | Path) -> Tradeoff:
    """Read a trade-off back from its folder.

    Raises:
        LimnerError: when there is none, or it is damaged.
    """
    file = Path(folder) / TRADEOFF_FILE
    if not file.is_file():
        raise LimnerError(
            f"There is no trade-off {file}; 'limner tradeoff RECIPE --vary ... --out {folder}' makes one."
        )
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        real = tuple(told["real"]) if told["real"] else None
        return Tradeoff(load_comparison(folder), told["consistency"], told["diversity"], real)
    except (ValueError, KeyError, TypeError) as error:
        raise LimnerError(f"{file} is damaged: {type(error).__name__}: {error}.") from None


def _beats(one: Point, other: Point) -> bool:
    return one[0] >= other[0] and one[1] >= other[1] and one != other
