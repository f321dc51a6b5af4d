"""Charts of a report as SVG, in the colors of the page: curves over steps, and bars with a dot for each seed."""

import math
from collections.abc import Mapping, Sequence

from limner.reports.html import text

WIDTH, HEIGHT, LEFT, BELOW = 320, 170, 44, 20
"""Units of a panel of curves, and its margins for the numbers at the axes."""
POINTS, USUAL = 240, 0.98
"""Points of a curve at most, and the part of the values that decides the scale."""
ROW, LONGEST = 34, 46
"""Units of the height of a bar with its name, and characters of a name."""
Curve = Sequence[tuple[float, float]]


def curves(title: str, named: Mapping[str, Curve]) -> str:
    """A panel with at most two curves over steps. The scale fits nearly all values; the others are cut off."""
    finite = {name: [(x, y) for x, y in curve if math.isfinite(y)] for name, curve in named.items()}
    drawn = {name: _thinned(curve) for name, curve in finite.items() if curve}
    if not drawn:
        return ""
    values = sorted(y for curve in drawn.values() for _, y in curve)
    cut = len(values) - 1 - int(USUAL * (len(values) - 1))
    low, high = values[cut // 2], values[-1 - cut // 2]
    low, high = (low, high) if high > low else (low - 0.5, high + 0.5)
    end = max(x for curve in drawn.values() for x, _ in curve) or 1
    right, bottom = WIDTH - 6, HEIGHT - BELOW

    def place(x: float, y: float) -> str:
        part = min(1.0, max(0.0, (y - low) / (high - low)))
        return f"{LEFT + (right - LEFT) * x / end:.1f},{bottom - (bottom - 8) * part:.1f}"

    lines = "".join(
        f'<polyline class="{color}" points="{" ".join(place(x, y) for x, y in curve)}"/>'
        for color, curve in zip(("first", "second"), drawn.values())
    )
    ticks = [(low, bottom), ((low + high) / 2, (bottom + 8) / 2), (high, 8)]
    rules = "".join(
        f'<line class="grid-line" x1="{LEFT}" x2="{right}" y1="{y}" y2="{y}"/>'
        f'<text x="{LEFT - 5}" y="{y + 4}" text-anchor="end">{value:.3g}</text>'
        for value, y in ticks
    )
    steps = f'<text x="{LEFT}" y="{HEIGHT - 4}">0</text>'
    steps += f'<text x="{right}" y="{HEIGHT - 4}" text-anchor="end">step {end:,.0f}</text>'
    keys = "".join(
        f'<span class="key {color}">― {text(name)}</span>' for color, name in zip(("first", "second"), drawn)
    )
    label = f"{title} over {end:,.0f} steps"
    return (
        f'<figure><h3>{text(title)}</h3><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{text(label)}">'
        f"{rules}{steps}{lines}</svg>{keys}</figure>"
    )


def _thinned(curve: Curve) -> list[tuple[float, float]]:
    """A curve of at most `POINTS` points, each the mean of its neighbors."""
    size = -(-len(curve) // POINTS)
    groups = [curve[start : start + size] for start in range(0, len(curve), size)]
    return [(sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group)) for group in groups]


def bars(title: str, values: Mapping[str, Sequence[float]]) -> str:
    """A panel with a bar to the mean of each variant, and a dot for each of its seeds."""
    finite = {name: [value for value in of if math.isfinite(value)] for name, of in values.items()}
    every = [value for of in finite.values() for value in of]
    if not every:
        return ""
    low, high = min(0.0, *every), max(0.0, *every)
    if low == 0 and high <= 1:
        high = 1.0
    high = high if high > low else low + 1

    def place(value: float) -> float:
        return 4 + (WIDTH - 60) * (value - low) / (high - low)

    rows = []
    for number, (name, of) in enumerate(finite.items()):
        top = number * ROW
        rows.append(f'<text class="name" x="4" y="{top + 12}">{text(_short(name))}</text>')
        if not of:
            rows.append(f'<text x="4" y="{top + 27}">no score</text>')
            continue
        mean = sum(of) / len(of)
        start, end = sorted((place(0.0), place(mean)))
        rows.append(
            f'<rect class="bar" x="{start:.1f}" y="{top + 17}" width="{max(end - start, 0.5):.1f}" height="13"/>'
        )
        rows += [f'<circle class="dot" cx="{place(value):.1f}" cy="{top + 23.5}" r="2.6"/>' for value in of]
        rows.append(f'<text x="{place(max(*of, mean, 0.0)) + 6:.1f}" y="{top + 28}">{mean:.3g}</text>')
    size = f"0 0 {WIDTH} {ROW * len(finite) + 2}"
    label = f"{title}: mean and every seed of each variant"
    return (
        f'<figure><h3>{text(title)}</h3><svg viewBox="{size}" role="img" aria-label="{text(label)}">'
        f"{''.join(rows)}</svg></figure>"
    )


def _short(name: str) -> str:
    """A name that fits the width of a panel; the start is left out, because variants differ at the end."""
    return name if len(name) <= LONGEST else f"…{name[1 - LONGEST :]}"
