"""The six shapes, as signed distance functions.

A signed distance function d(x, y) is negative inside a shape, positive outside and zero on its outline. Its absolute
value is the distance to the outline. With it, the shape can be drawn at any size, and within half a pixel of the
outline it tells how much of the pixel the shape covers.

Every shape fits the box -1 <= x, y <= 1 (y upward) and is centered in it. The circle and the square do not touch the
sides of the box, so that the six shapes have similar areas. All distances are exact near straight and round outlines;
at outer corners they are those of the nearest straight edge, which keeps the corners sharp.

For the technique see Hart, "Sphere tracing" (1996), and Quilez, "2D distance functions" (web page).
"""

from collections.abc import Callable
from math import cos, pi, sin, sqrt
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

#: x and y can be a row and a column: they broadcast.
Coordinate: TypeAlias = Float[Tensor, "*#points"]

CIRCLE_RADIUS = 0.93
SQUARE_HALF_SIDE = 0.83
TRIANGLE_HEIGHT = 1.84
STAR_RADIUS = 1 / sin(2 * pi / 5)  # the two side tips touch x = -1 and x = 1
STAR_INNER_RATIO = 0.5
CROSS_HALF_ARM = 0.37


def circle(x: Coordinate, y: Coordinate) -> Coordinate:
    """d = |p| - r."""
    return torch.sqrt(x * x + y * y) - CIRCLE_RADIUS


def square(x: Coordinate, y: Coordinate) -> Coordinate:
    """d = max(|x|, |y|) - a."""
    return torch.maximum(x.abs(), y.abs()) - SQUARE_HALF_SIDE


def triangle(x: Coordinate, y: Coordinate) -> Coordinate:
    """d = max(n . (p - tip), -y - h/2): the half-planes of the slanted side (mirrored by |x|) and of the base."""
    height = TRIANGLE_HEIGHT
    length = sqrt(height**2 + 1)
    normal_x, normal_y = height / length, 1 / length
    slanted = normal_x * x.abs() + normal_y * (y - height / 2)
    return torch.maximum(slanted, -y - height / 2)


def star(x: Coordinate, y: Coordinate) -> Coordinate:
    """d = n . (p' - tip), where p' is p folded along the star's mirror lines into one tenth of the plane.

    The five-pointed star has five mirror lines. Folding along those at 0, 72, 0 and 36 degrees from the vertical brings
    every point between 0 and 36 degrees, where the outline is one straight line from the upper tip to the neighboring
    inner corner.
    """
    radius, inner = STAR_RADIUS, STAR_RADIUS * STAR_INNER_RATIO
    middle = radius * (1 - cos(pi / 5)) / 2  # half of the space between the feet and the bottom of the box
    x, y = _fold(x.abs(), y + middle, 2 * pi / 5)
    x, y = _fold(x.abs(), y, pi / 5)
    edge_x, edge_y = inner * sin(pi / 5), inner * cos(pi / 5) - radius
    length = sqrt(edge_x**2 + edge_y**2)
    return (-edge_y * x + edge_x * (y - radius)) / length


def _fold(x: Coordinate, y: Coordinate, angle: float) -> tuple[Coordinate, Coordinate]:
    """Mirrors the points beyond the line through the origin, at `angle` from the vertical, back across it."""
    beyond = 2 * torch.relu(cos(angle) * x - sin(angle) * y)
    return x - beyond * cos(angle), y + beyond * sin(angle)


def heart(x: Coordinate, y: Coordinate) -> Coordinate:
    """d = min(diamond, disk): a square on its corner, with a half disk on each of its two upper sides.

    The diamond is (|x| + |y|) / sqrt(2) - r, the disk |(|x|, y) - (r, r) / sqrt(2)| - r, for sides of 2r.
    """
    radius = 1 / (1 + sqrt(0.5))  # the disks touch x = -1 and x = 1
    offset = radius * sqrt(0.5)
    # The heart reaches from the diamond's lower corner, -2 offset, to the disks' top, offset + radius.
    x, y = x.abs(), y + (radius - offset) / 2
    diamond = (x + y.abs()) * sqrt(0.5) - radius
    disk = torch.sqrt((x - offset) ** 2 + (y - offset) ** 2) - radius
    return torch.minimum(diamond, disk)


def cross(x: Coordinate, y: Coordinate) -> Coordinate:
    """d = max(larger - l, smaller - a) of |x|, |y|: two bars of length 2l and width 2a."""
    x, y = x.abs(), y.abs()
    return torch.maximum(torch.maximum(x, y) - 1, torch.minimum(x, y) - CROSS_HALF_ARM)


#: The function of each shape, in the order of ``scenes.SHAPES``.
DISTANCES: tuple[Callable[[Coordinate, Coordinate], Coordinate], ...] = (
    circle,
    square,
    triangle,
    star,
    heart,
    cross,
)
