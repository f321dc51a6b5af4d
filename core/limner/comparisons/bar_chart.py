"""The charts of a comparison: for each score a panel, with bars to the means and dots for the seeds, or intervals."""

import io
from collections.abc import Sequence
from textwrap import fill
from typing import Literal

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from limner.models.report import Report

BAR, DOT, MARKED = "#9ecae1", "#08306b", "#d94801"
DOTS_PER_INCH = 110
PANELS_PER_ROW = 6


class Chart(Figure):
    """A matplotlib figure that shows itself in a notebook; `savefig` writes it."""

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.savefig(file, format="png", dpi=DOTS_PER_INCH)
        return file.getvalue()


def bar_chart(runs: pd.DataFrame, metrics: Sequence[str], title: str) -> Chart:
    """Draw these scores of runs, a row of the frame each; scores "group/name" of a group share a row of panels."""
    places = places_of(metrics)
    rows, columns = (1 + max(place[axis] for place in places.values()) for axis in (0, 1))
    variants = list(runs["variant"].unique())
    width = max(4.0, 0.3 + 0.07 * max(map(len, variants)) + 1.6 * columns)
    chart = Chart(figsize=(width, 0.7 + rows * (0.55 + 0.28 * len(variants))), layout="constrained")
    for metric, (row, column) in places.items():
        panel = chart.add_subplot(rows, columns, row * columns + column + 1)
        _draw_bars(panel, runs, metric, variants)
        _style(panel, runs[metric].dropna().tolist(), metric)
        panel.set_yticks(range(len(variants)), variants if column == 0 else [""] * len(variants))
        panel.set_ylim(len(variants) - 0.5, -0.5)
    chart.suptitle(fill(title, int(12 * width)), fontsize=10)
    return chart


def interval_chart(differences: pd.DataFrame, title: str) -> Chart:
    """Draw differences, a row each with "metric", "variant", "mean", "low" and "high"; bold ones leave out 0."""
    metrics, variants = list(differences["metric"].unique()), list(differences["variant"].unique())
    columns = min(len(metrics), PANELS_PER_ROW)
    rows = -(-len(metrics) // columns)
    width = max(4.0, 0.3 + 0.07 * max(map(len, variants)) + 1.8 * columns)
    chart = Chart(figsize=(width, 0.7 + rows * (0.55 + 0.28 * len(variants))), layout="constrained")
    for number, metric in enumerate(metrics):
        panel = chart.add_subplot(rows, columns, number + 1)
        part = differences[differences["metric"] == metric]
        for variant, mean, low, high in zip(*(part[name].tolist() for name in ("variant", "mean", "low", "high"))):
            place, bold = variants.index(variant), low > 0 or high < 0
            panel.plot([low, high], [place, place], color=DOT, linewidth=3 if bold else 1)
            panel.plot([mean], [place], "o", color=DOT, markersize=4)
        panel.axvline(0, color="#888888", linewidth=0.8)
        panel.set_title(metric.replace("/", " "), fontsize=9)
        panel.tick_params(labelsize=8, length=0)
        panel.spines[["top", "right", "left"]].set_visible(False)
        panel.set_yticks(range(len(variants)), variants if number % columns == 0 else [""] * len(variants))
        panel.set_ylim(len(variants) - 0.5, -0.5)
    chart.suptitle(fill(title, int(12 * width)), fontsize=10)
    return chart


def places_of(metrics: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Row and column of each score's panel. Few scores form one row; many a row per group, plain names at the right."""
    if len(metrics) <= PANELS_PER_ROW:
        return {metric: (0, column) for column, metric in enumerate(metrics)}
    groups = Report(dict.fromkeys(metrics, 0.0)).columns()
    plain = groups.pop("", {})
    names = list(dict.fromkeys(name for group in groups.values() for name in group))
    places = {
        f"{group}/{name}": (row, names.index(name)) for row, (group, its) in enumerate(groups.items()) for name in its
    }
    rows = len(groups) or -(-len(plain) // PANELS_PER_ROW)
    return places | {name: (number % rows, len(names) + number // rows) for number, name in enumerate(plain)}


def _draw_bars(panel: Axes, runs: pd.DataFrame, metric: str, variants: Sequence[str]) -> None:
    """One score: variants from top to bottom, values from left to right."""
    for place, variant in enumerate(variants):
        values = runs.loc[runs["variant"] == variant, metric].dropna()
        if len(values):
            panel.barh(place, values.mean(), height=0.7, color=BAR)
            dots = {"s": 12, "color": DOT, "alpha": 0.8, "linewidths": 0, "clip_on": False, "zorder": 3}
            panel.scatter(values, [place] * len(values), **dots)


def _style(panel: Axes, scores: Sequence[float], metric: str) -> None:
    """The axes of a panel. The scale is from 0 to 1 if all scores are."""
    if min(scores) >= 0 and max(scores) <= 1:
        panel.set_xlim(0, 1)
        panel.set_xticks([0, 0.5, 1], ["0", ".5", "1"])
    else:
        panel.set_xlim(1.05 * min(0, *scores), 1.05 * max(0, *scores))
    panel.set_title(metric.replace("/", " "), fontsize=9)
    panel.tick_params(labelsize=8, length=0)
    add_grid(panel, "x")


def add_grid(panel: Axes, axis: Literal["both", "x"] = "both") -> None:
    """Light lines behind what is drawn, and no frame at the top and on the right."""
    panel.grid(axis=axis, color="#dddddd", linewidth=0.6)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)
