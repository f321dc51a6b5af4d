"""Diagrams of boxes and arrows, as SVG and as PNG."""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

WIDTH, HEIGHT = 1.45, 0.75
"""Inches from one column to the next, and from one row to the next."""
INK, PAPER, PLAIN, COLOR = "#24292f", "#f6f8fa", "#ffffff", "#d9c8f5"
"""Of text and arrows, the background, a box, and a box in color. They can be read on light and on dark pages."""
FONTS: Any = {"svg.fonttype": "none", "svg.hashsalt": "limner", "font.family": "sans-serif"}

Place = tuple[int | float, int | float]
"""A column, counted from the left, and a row, counted from the bottom."""
Arrow = tuple[str, str] | tuple[str, str, str]
"""The boxes at both ends and, for some arrows, a label."""


@dataclass(frozen=True)
class Diagram:
    """Boxes and arrows; shows itself in a notebook, on a background of its own.

    Attributes:
        boxes: the places by the text of each box.
        arrows: what points where.
        about: the boxes in color.
    """

    boxes: Mapping[str, Place]
    arrows: Sequence[Arrow]
    about: Sequence[str] = ()

    def _repr_svg_(self) -> str:
        """As wide as drawn, or as its place on the page if that is narrower."""
        size = r'width="([0-9.]+pt)" height="[0-9.]+pt"'
        return re.sub(size, r'width="100%" style="max-width: \1"', self._drawn("svg", Date=None).decode(), count=1)

    def _repr_png_(self) -> bytes:
        """JupyterLab shows no SVG in a notebook that it does not trust yet."""
        return self._drawn("png")

    def _drawn(self, kind: str, **metadata: None) -> bytes:
        columns, rows = zip(*self.boxes.values())
        widest = max(len(line) for name in self.boxes for line in name.split("\n"))
        side = 0.2 + 0.033 * widest  # half of the widest box, at either side
        left, right, bottom, top = min(columns) - side, max(columns) + side, min(rows) - 0.5, max(rows) + 0.5
        file = io.BytesIO()
        with rc_context(FONTS):
            figure = Figure(figsize=((right - left) * WIDTH, (top - bottom) * HEIGHT), facecolor=PAPER, dpi=100)
            axes = figure.add_axes((0, 0, 1, 1))
            axes.set(xlim=(left, right), ylim=(bottom, top))
            axes.axis("off")
            patches = {}
            for name, (x, y) in self.boxes.items():
                color, weight = (COLOR, "bold") if name in self.about else (PLAIN, "normal")
                box = {"boxstyle": "round,pad=0.4", "facecolor": color, "edgecolor": INK}
                text = axes.text(x, y, name, color=INK, fontsize=10, weight=weight, ha="center", va="center", bbox=box)
                patches[name] = text.get_bbox_patch()
            for start, end, *label in self.arrows:
                (x, y), (to_x, to_y) = self.boxes[start], self.boxes[end]
                ends = {"patchA": patches[start], "patchB": patches[end], "shrinkA": 1, "shrinkB": 2}
                axes.annotate("", (to_x, to_y), (x, y), arrowprops={"arrowstyle": "-|>", "color": INK, **ends})
                for text in label:
                    box = {"boxstyle": "round,pad=0.1", "facecolor": PAPER, "edgecolor": "none"}
                    middle = ((x + to_x) / 2, (y + to_y) / 2)
                    axes.text(*middle, text, color=INK, fontsize=8, ha="center", va="center", bbox=box)
            figure.savefig(file, format=kind, facecolor=PAPER, metadata=metadata)
        return file.getvalue()
