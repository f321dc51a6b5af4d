"""What a scene is, and how scenes are drawn at random.

A scene is one or two colored shapes on a colored background. What can be *said* about it are its
**facts**, a row of integers in a canonical order:

    two objects   [axis, color 1, shape 1, color 2, shape 2, background]
    one object    [size, color, shape, background]

Along the axis the left (or upper) object comes first, so "a red circle above a blue square" and "a blue square below a
red circle" are the same row. What cannot be said (exact place, exact width, a slight tint) is drawn at random, so that
a prompt has many images.

What a caption **asks** for is a row of facts in which some entries are ``ANY`` (-1). The caption is true of a scene if
every entry that is not ``ANY`` agrees with the facts of the scene.
"""

from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

SHAPES = ("circle", "square", "triangle", "star", "heart", "cross")
COLORS = ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink")
BACKGROUNDS = ("white", "gray", "black", "brown")
SIZES = ("small", "large")
AXES = ("horizontal", "vertical")

#: RGB (0..255) of the eight object colors, followed by the four backgrounds. The two closest ones
#: are 95 apart, and a tint moves a color by at most 14, so the nearest entry is always the right one.
PALETTE = (
    (214, 32, 44),  # red
    (250, 132, 14),  # orange
    (255, 226, 30),  # yellow
    (28, 158, 62),  # green
    (60, 214, 230),  # cyan
    (30, 72, 214),  # blue
    (134, 36, 178),  # purple
    (255, 128, 196),  # pink
    (246, 246, 246),  # white
    (132, 136, 140),  # gray
    (18, 18, 22),  # black
    (116, 66, 28),  # brown
)
TINT_STEP = 8

#: (color, shape) pairs that no training scene shows: can a model that has seen red things and
#: stars paint a red star?
HELD_OUT = (("red", "star"), ("blue", "heart"), ("green", "cross"), ("yellow", "triangle"))

#: In a row of facts that a caption asks for: not asked for.
ANY = -1

#: The columns of a row of facts, by the number of objects.
COLUMNS = {
    1: ("size", "color", "shape", "background"),
    2: ("axis", "color", "shape", "color", "shape", "background"),
}

# Widths as fractions of the image's width: of a single small or large object, and of each of two.
LONE_WIDTHS = ((0.38, 0.44), (0.64, 0.72))
PAIR_WIDTHS = (0.40, 0.455)
MARGIN = 0.02
GAP = 0.04
# How far the second object of a pair may be shifted against the first, across the axis. Along the
# axis they are at least 0.44 apart, so the relation is never in doubt.
SHIFT = 0.12


@dataclass(frozen=True)
class SceneBatch:
    """N scenes of K objects each; K is 1 or 2.

    Attributes:
        facts: what can be said about each scene (see the docstring of this module); F is 4 (K=1) or 6 (K=2).
        centers: x and y of each object's bounding box, as fractions of the image, y downward.
        widths: each object's nominal width as a fraction of the image's width.
        tints: steps of -1, 0 or 1 by which each object's red, green and blue are shifted.
        background_tints: the same for the background.
    """

    facts: Int[Tensor, "N F"]
    centers: Float[Tensor, "N K 2"]
    widths: Float[Tensor, "N K"]
    tints: Int[Tensor, "N K 3"]
    background_tints: Int[Tensor, "N 3"]

    def __len__(self) -> int:
        return len(self.facts)

    def __getitem__(self, rows: slice | Tensor) -> "SceneBatch":
        """The scenes at `rows` (a slice, or a tensor of indices), as a batch."""
        return SceneBatch(
            self.facts[rows],
            self.centers[rows],
            self.widths[rows],
            self.tints[rows],
            self.background_tints[rows],
        )

    @property
    def objects(self) -> int:
        """How many objects each scene shows, K."""
        return self.widths.shape[1]

    @property
    def colors(self) -> Int[Tensor, "N K"]:
        """Each object's index into ``COLORS``."""
        return self.facts[:, 1:-1:2]

    @property
    def shapes(self) -> Int[Tensor, "N K"]:
        """Each object's index into ``SHAPES``."""
        return self.facts[:, 2:-1:2]

    @property
    def backgrounds(self) -> Int[Tensor, " N"]:
        """Each scene's index into ``BACKGROUNDS``."""
        return self.facts[:, -1]


def is_held_out(color: Int[Tensor, "*any"], shape: Int[Tensor, "*any"]) -> Bool[Tensor, "*any"]:
    """Whether objects of these colors and shapes (indices) are held out of training."""
    table = torch.zeros(len(COLORS), len(SHAPES), dtype=torch.bool)
    for color_name, shape_name in HELD_OUT:
        table[COLORS.index(color_name), SHAPES.index(shape_name)] = True
    return table[color, shape]


@cache
def possible_objects(objects: int, held_out: bool) -> Int[Tensor, "R C"]:
    """Every [color, shape] (C = 2) or [color, shape, color, shape] (C = 4) that a scene can show.

    Two objects of a scene differ in color. With `held_out`, at least one object is a held-out pair; without, none is.
    """
    ranges = [torch.arange(len(COLORS)), torch.arange(len(SHAPES))] * objects
    rows = torch.cartesian_prod(*ranges)
    kept = is_held_out(rows[:, 0::2], rows[:, 1::2]).any(1) == held_out
    if objects == 2:
        kept &= rows[:, 0] != rows[:, 2]
    return rows[kept]


def draw_facts(
    count: int, generator: torch.Generator, *, objects: int = 2, held_out: bool = False
) -> Int[Tensor, "N F"]:
    """Facts of `count` random scenes; every possible row of facts is equally likely.

    Args:
        count: how many scenes.
        generator: source of randomness.
        objects: 1 or 2 objects in each scene.
        held_out: True for scenes with at least one held-out pair, False for scenes with none.

    Raises:
        ValueError: if `objects` is neither 1 nor 2.
    """
    if objects not in COLUMNS:
        raise ValueError(f"a scene has 1 or 2 objects, not {objects}")
    shown = possible_objects(objects, held_out)
    first = torch.randint(2, (count, 1), generator=generator)  # a size or an axis
    chosen = shown[torch.randint(len(shown), (count,), generator=generator)]
    background = torch.randint(len(BACKGROUNDS), (count, 1), generator=generator)
    return torch.cat([first, chosen, background], dim=1)


def compose(facts: Int[Tensor, "N F"], generator: torch.Generator) -> SceneBatch:
    """Scenes that show these facts, with random places, widths and tints.

    Objects lie within the image and do not touch. Equal facts give different scenes on every draw.
    """
    if facts.shape[1] == len(COLUMNS[1]):
        widths, centers = _place_one(facts[:, 0], generator)
    else:
        widths, centers = _place_two(facts[:, 0], generator)
    count, objects = widths.shape
    tints = torch.randint(-1, 2, (count, objects + 1, 3), generator=generator)
    return SceneBatch(facts, centers, widths, tints[:, :objects], tints[:, objects])


def draw_scenes(count: int, generator: torch.Generator, *, objects: int = 2, held_out: bool = False) -> SceneBatch:
    """`count` random scenes; see `draw_facts` for the arguments."""
    return compose(draw_facts(count, generator, objects=objects, held_out=held_out), generator)


def _place_one(
    size: Int[Tensor, " N"], generator: torch.Generator
) -> tuple[Float[Tensor, "N 1"], Float[Tensor, "N 1 2"]]:
    low, high = torch.tensor(LONE_WIDTHS)[size].unbind(1)
    width = low + (high - low) * torch.rand(len(size), generator=generator)
    free = 1 - 2 * MARGIN - width
    center = MARGIN + width[:, None] / 2 + free[:, None] * torch.rand(len(size), 2, generator=generator)
    return width[:, None], center[:, None]


def _place_two(
    axis: Int[Tensor, " N"], generator: torch.Generator
) -> tuple[Float[Tensor, "N 2"], Float[Tensor, "N 2 2"]]:
    count = len(axis)
    low, high = PAIR_WIDTHS
    widths = low + (high - low) * torch.rand(count, 2, generator=generator)
    first, second = widths.unbind(1)
    # Along the axis: the remaining space is split at random into before, between and after.
    free = 1 - 2 * MARGIN - GAP - first - second
    cuts = (torch.rand(count, 2, generator=generator).sort(dim=1).values * free[:, None]).unbind(1)
    along_first = MARGIN + cuts[0] + first / 2
    along_second = MARGIN + cuts[1] + first + GAP + second / 2
    # Across it: the first object anywhere, the second near the line of the first.
    random = torch.rand(count, 2, generator=generator)
    across_first = MARGIN + first / 2 + (1 - 2 * MARGIN - first) * random[:, 0]
    shifted = across_first + SHIFT * (2 * random[:, 1] - 1)
    edge = MARGIN + second / 2
    across_second = torch.minimum(torch.maximum(shifted, edge), 1 - edge)
    along = torch.stack([along_first, along_second], dim=1)
    across = torch.stack([across_first, across_second], dim=1)
    vertical = (axis == 1)[:, None]
    centers = torch.stack([torch.where(vertical, across, along), torch.where(vertical, along, across)], dim=2)
    return widths, centers
