"""The chart of a comparison: for each score a panel, in it a bar to each variant's mean and a dot for each seed."""

import io
from collections.abc import Sequence
from textwrap import fill
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from limner.errors import LimnerError, nearest
from limner.models.report import Report

if TYPE_CHECKING:
    from limner.comparisons.results import Comparison

BAR, DOT = "#9ecae1", "#08306b"
DOTS_PER_INCH = 110
IN_A_ROW = 6  # panels, before a new row begins


class Chart(Figure):
    """A figure of matplotlib that shows itself in a notebook; `savefig` writes it."""

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.savefig(file, format="png", dpi=DOTS_PER_INCH)
        return file.getvalue()


def draw(comparison: "Comparison", metrics: Sequence[str]) -> Chart:
    """Draw these scores of a comparison; scores "group/name" of a group stand in a row.

    Raises:
        LimnerError: for a score that no run has, or where there is none at all.
    """
    if not metrics:
        raise LimnerError("There is nothing to plot: no run has a score.")
    for metric in metrics:
        if metric not in comparison.metrics:
            known = comparison.metrics
            raise LimnerError(f"No run has the score '{metric}'{nearest(metric, known)}; there is {', '.join(known)}.")
    places = places_of(metrics)
    rows, columns = (1 + max(place[axis] for place in places.values()) for axis in (0, 1))
    variants = list(comparison["variant"].unique())
    width = max(4.0, 0.3 + 0.07 * max(map(len, variants)) + 1.6 * columns)
    chart = Chart(figsize=(width, 0.7 + rows * (0.55 + 0.28 * len(variants))), layout="constrained")
    for metric, (row, column) in places.items():
        panel = chart.add_subplot(rows, columns, row * columns + column + 1)
        _draw_panel(panel, comparison, metric, variants)
        panel.set_yticks(range(len(variants)), variants if column == 0 else [""] * len(variants))
    about = comparison.attrs
    budget = " ".join(f"{amount:.10g} {unit}" for unit, amount in about["budget"].items())
    title = f"{', '.join(about['vary'])}: mean (bar) and every seed (dot), {budget} each"
    chart.suptitle(fill(title, int(12 * width)), fontsize=10)
    return chart


def places_of(metrics: Sequence[str]) -> dict[str, tuple[int, int]]:
    """The row and column of each score's panel: few in one row, many with a row for each group, plain names right."""
    if len(metrics) <= IN_A_ROW:
        return {metric: (0, column) for column, metric in enumerate(metrics)}
    groups = Report(dict.fromkeys(metrics, 0.0)).columns()
    plain = groups.pop("", {})
    names = list(dict.fromkeys(name for group in groups.values() for name in group))
    places = {
        f"{group}/{name}": (row, names.index(name)) for row, (group, its) in enumerate(groups.items()) for name in its
    }
    rows = len(groups) or -(-len(plain) // IN_A_ROW)
    return places | {name: (number % rows, len(names) + number // rows) for number, name in enumerate(plain)}


def _draw_panel(panel: Axes, comparison: "Comparison", metric: str, variants: Sequence[str]) -> None:
    """One score: variants from top to bottom, the score from left to right, from 0 to 1 where it stays within."""
    for place, variant in enumerate(variants):
        values = comparison.loc[comparison["variant"] == variant, metric].dropna()
        if len(values):
            panel.barh(place, values.mean(), height=0.7, color=BAR)
            dots = {"s": 12, "color": DOT, "alpha": 0.8, "linewidths": 0, "clip_on": False, "zorder": 3}
            panel.scatter(values, [place] * len(values), **dots)
    scores = comparison[metric].dropna().tolist()
    if min(scores) >= 0 and max(scores) <= 1:
        panel.set_xlim(0, 1)
        panel.set_xticks([0, 0.5, 1], ["0", ".5", "1"])
    else:
        panel.set_xlim(1.05 * min(0, *scores), 1.05 * max(0, *scores))
    panel.set_ylim(len(variants) - 0.5, -0.5)
    panel.set_title(metric.replace("/", " "), fontsize=9)
    panel.tick_params(labelsize=8, length=0)
    panel.grid(axis="x", color="#dddddd", linewidth=0.6)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)
