"""The picture of a trade-off: a point for each variant, the frontier, and the real data."""

from textwrap import fill
from typing import TYPE_CHECKING

from limner.comparisons.bar_chart import BAR, DOT, Chart
from limner.errors import LimnerError

if TYPE_CHECKING:
    from limner.comparisons.tradeoff import Tradeoff

REAL = "#d94801"


def draw(tradeoff: "Tradeoff") -> Chart:
    """Large dots are means, small ones seeds; the line joins the frontier; the star is real data.

    Raises:
        LimnerError: where no variant has both scores.
    """
    points, frontier = tradeoff.points(), tradeoff.frontier()
    if not points:
        raise LimnerError("There is nothing to draw: no run has both scores.")
    about = tradeoff.comparison.attrs
    chart = Chart(figsize=(6.4, 4.6), layout="constrained")
    panel = chart.add_subplot()
    for variant in points:
        runs = tradeoff.comparison[tradeoff.comparison["variant"] == variant]
        panel.scatter(runs[tradeoff.consistency], runs[tradeoff.diversity], s=12, color=BAR, linewidths=0)
    panel.plot(*zip(*(points[name] for name in frontier)), color=DOT, linewidth=1.2, alpha=0.6, label="frontier")
    for variant, (x, y) in points.items():
        panel.scatter(x, y, s=46, color=DOT if variant in frontier else BAR, edgecolors=DOT, linewidths=0.8, zorder=3)
        panel.annotate(variant, (x, y), xytext=(6, 5), textcoords="offset points", fontsize=8)
    if tradeoff.real:
        panel.scatter(*tradeoff.real, s=170, marker="*", color=REAL, zorder=4, label="real data")
    panel.set_xlabel(f"consistency: {tradeoff.consistency.replace('/', ' ')}")
    panel.set_ylabel(f"diversity: {tradeoff.diversity.replace('/', ' ')}")
    panel.set_xlim(left=0)
    panel.set_ylim(bottom=0)
    panel.margins(x=0.12, y=0.12)
    budget = " ".join(f"{amount:.10g} {unit}" for unit, amount in about["budget"].items())
    seeds = f"{about['seeds']} seed{'s' if about['seeds'] > 1 else ''}"
    panel.set_title(fill(f"{', '.join(about['vary'])}: {seeds}, {budget} each", 80), fontsize=9)
    panel.legend(fontsize=8, frameon=False, loc="best")
    panel.grid(color="#dddddd", linewidth=0.6)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)
    return chart
