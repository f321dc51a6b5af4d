"""The chart of a league: quality against the cost of a training, in multiply-adds and in seconds."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

from matplotlib.axes import Axes
from matplotlib.text import Annotation, Text
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from matplotlib.transforms import Bbox

from limner.comparisons.bar_chart import BAR, DOT, MARKED, Chart, add_grid
from limner.errors import LimnerError

if TYPE_CHECKING:
    from limner.comparisons.league_table import League

DISTANCES = (7, 16, 28, 42, 58)
"""How far a name may stand from its point, in typographic points; nearer is better."""
DIRECTIONS = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1))
SIDES = {1: "left", 0: "center", -1: "right"}, {1: "bottom", 0: "center", -1: "top"}


class Scale(NamedTuple):
    """What a panel shows on its horizontal axis."""

    title: str
    cost: Callable[[str], float | None]  # of an entry
    form: str  # of a tick


def league_chart(league: "League") -> Chart:
    """Two panels with one scale of quality: large dots are means, small ones seeds, and the reference is orange.

    Raises:
        LimnerError: if no entry has a score and a known cost.
    """
    scales = [
        Scale("multiply-adds of a training, 10¹²", lambda name: (league.work(name) or 0) / 1e12 or None, "{:g}"),
        Scale("seconds of a training, alone", league.seconds, "{:,g}"),
    ]
    drawn = [(scale, points) for scale in scales if (points := points_of(league, scale))]
    if not drawn:
        raise LimnerError("There is nothing to draw: no entry has a score and a known cost.")
    chart = Chart(figsize=(0.8 + 4.2 * len(drawn), 4.4), layout="constrained")
    panels: list[Axes] = []
    for number, (scale, points) in enumerate(drawn):
        panel = chart.add_subplot(1, len(drawn), number + 1, sharey=panels[0] if panels else None)
        panels.append(panel)
        for name, (x, y) in points.items():
            values, color = league.values(name, league.quality), MARKED if name == league.reference else DOT
            panel.scatter([x] * len(values), values, s=12, color=BAR, linewidths=0)
            panel.scatter(x, y, s=40, color=color, linewidths=0, zorder=3)
        _style(panel, scale)
    _set_range(panels[0], [value for name in drawn[0][1] for value in league.values(name, league.quality)])
    panels[0].set_ylabel(league.quality.replace("/", " "))
    seeds = league.comparison.results.seeds
    small = f" (large dot) of {seeds} seeds (small)" if seeds > 1 else ", one seed"
    chart.suptitle(f"{league.comparison.results.budget_text} each: mean{small}", fontsize=10)
    chart.draw_without_rendering()  # names are placed where the points finally are
    chart.set_layout_engine("none")
    for panel, (_, points) in zip(panels, drawn):
        write_names(panel, points)
    return chart


def points_of(league: "League", scale: Scale) -> dict[str, tuple[float, float]]:
    """Cost and quality of each entry that has both."""
    found = {name: (scale.cost(name), league.mean(name, league.quality)) for name in league.entries}
    return {name: (x, y) for name, (x, y) in found.items() if x is not None and y is not None}


def write_names(panel: Axes, points: Mapping[str, tuple[float, float]]) -> None:
    """Write the name of each point beside it, where it covers no other point and no other name, if there is room."""
    inside, places = panel.get_window_extent(), panel.transData.transform(list(points.values()))
    taken = [Bbox.from_bounds(x - 5, y - 5, 10, 10) for x, y in places]
    for name, point in points.items():
        tried: list[tuple[float, Annotation]] = []
        for text in _annotations(panel, name, point):
            box = _box(text)
            outside = box.x0 < inside.x0 or box.x1 > inside.x1 or box.y0 < inside.y0 or box.y1 > inside.y1
            covered = sum(_common_area(box, other) for other in taken) + 1e6 * outside
            tried.append((covered, text))
            if not covered:
                break
        _, best = min(tried, key=lambda one: one[0])
        for _, text in tried:
            if text is not best:
                text.remove()
        taken.append(_box(best))


def _annotations(panel: Axes, name: str, point: tuple[float, float]) -> Iterator[Annotation]:
    """The name at each place where it may stand, nearest first; far from its point, a line joins them."""
    for distance, (right, up) in product(DISTANCES, DIRECTIONS):
        line = {"arrowstyle": "-", "color": "#999999", "linewidth": 0.6, "shrinkA": 0, "shrinkB": 3}
        shift = (right * distance, up * distance)
        text = panel.annotate(
            name,
            point,
            shift,
            textcoords="offset points",
            fontsize=8,
            arrowprops=line if distance > DISTANCES[0] else None,
            ha=SIDES[0][right],
            va=SIDES[1][up],
        )
        yield text


def _box(text: Annotation) -> Bbox:
    """The place of a name, without its line."""
    text.get_window_extent()  # moves it to its place
    return Text.get_window_extent(text)


def _common_area(one: Bbox, other: Bbox) -> float:
    common = Bbox.intersection(one, other)
    return 0.0 if common is None else common.width * common.height


def _set_range(panel: Axes, scores: Sequence[float]) -> None:
    """A scale that holds all scores and some room; it does not pass 0 or 1 if no score does."""
    low, high = min(scores), max(scores)
    room = max(0.15 * (high - low), 0.05)
    inside = low >= 0 and high <= 1
    panel.set_ylim(max(low - room, -0.02) if inside else low - room, min(high + room, 1.03) if inside else high + room)


def _style(panel: Axes, scale: Scale) -> None:
    panel.set_xscale("log")
    panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: scale.form.format(value)))
    panel.xaxis.set_minor_formatter(NullFormatter())
    panel.margins(x=0.15)
    panel.set_xlabel(scale.title, fontsize=9)
    panel.tick_params(labelsize=8, length=0, which="both")
    add_grid(panel)
