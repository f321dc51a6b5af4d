"""The chart of a trade-off: a point for each variant, the Pareto frontier, and the real data."""

from collections.abc import Mapping, Sequence
from textwrap import fill

import pandas as pd

from limner.comparisons.bar_chart import BAR, DOT, MARKED, Chart, add_grid

Point = tuple[float, float]
"""Consistency and diversity."""


def tradeoff_chart(
    runs: pd.DataFrame,
    scores: tuple[str, str],
    means: Mapping[str, Point],
    frontier: Sequence[str],
    real: Point | None,
    title: str,
) -> Chart:
    """Large dots are means, small ones seeds; the line joins the frontier; the star is the real data.

    Args:
        runs: a row for each run, with its variant and its scores.
        scores: the names of the consistency and of the diversity score.
        means: the mean of each variant.
        frontier: the variants on the frontier, in the order of their consistency.
        real: the point of the real data, if there is one.
        title: of the chart.
    """
    consistency, diversity = scores
    chart = Chart(figsize=(6.4, 4.6), layout="constrained")
    panel = chart.add_subplot()
    for variant in means:
        seeds = runs[runs["variant"] == variant]
        panel.scatter(seeds[consistency], seeds[diversity], s=12, color=BAR, linewidths=0)
    panel.plot(*zip(*(means[name] for name in frontier)), color=DOT, linewidth=1.2, alpha=0.6, label="frontier")
    for variant, (x, y) in means.items():
        panel.scatter(x, y, s=46, color=DOT if variant in frontier else BAR, edgecolors=DOT, linewidths=0.8, zorder=3)
        crowded = any(0 < other - x < 0.2 and abs(height - y) < 0.05 for other, height in means.values())
        offset, side = (-6, "right") if crowded else (6, "left")
        panel.annotate(variant, (x, y), xytext=(offset, 5), textcoords="offset points", fontsize=8, ha=side)
    if real:
        panel.scatter(*real, s=170, marker="*", color=MARKED, zorder=4, label="real data")
    panel.set_xlabel(f"consistency: {consistency.replace('/', ' ')}")
    panel.set_ylabel(f"diversity: {diversity.replace('/', ' ')}")
    panel.set_xlim(left=0)
    panel.set_ylim(bottom=0)
    panel.margins(x=0.12, y=0.12)
    panel.set_title(fill(title, 80), fontsize=9)
    panel.legend(fontsize=8, frameon=False, loc="best")
    add_grid(panel)
    return chart
