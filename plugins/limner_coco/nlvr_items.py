"""What an image in the layout of NLVR shows: three gray boxes with items, read from the pixels without a network."""

from dataclasses import dataclass
from typing import cast

import numpy as np
from jaxtyping import Float, UInt8
from scipy import ndimage

GRAY = 211
COLORS = {"yellow": (255, 255, 0), "blue": (0, 153, 255), "black": (0, 0, 0)}
BOXES = ((0, 0), (66, 0), (33, 66))
"""Left and top edge of each box, in an image 128 wide and high."""
BOX, IMAGE = 62, 128
"""The side of a box, and of that image."""
SIZES = {10: (5.5, 13.5), 20: (15.5, 25.0), 30: (25.5, 34.0)}
"""The widths of items, in units of which a box has 100, and between which measured widths each of them is taken."""
SHAPES = {"triangle": (0.38, 0.61), "circle": (0.61, 0.88), "square": (0.88, 1.25)}
"""The shares of its square that an item of each shape covers: 1/2, pi/4 and 1, if its edges are sharp."""
SPECK = 25
"""Spots below this area, in square units, are ignored; the smallest item, a triangle, has 50."""
STACK_SHARE = 0.82
"""The least share of its rectangle that a stack of blocks covers; two circles cover pi/4."""
NEIGHBORHOOD = np.ones((3, 3))
BLOCK, GAP = 20, 1
"""The width of a block, and the gap between two blocks of a stack."""


@dataclass(frozen=True)
class Item:
    """An item of a box. `left` and `top` are in units of which a box has 100, from its upper left corner."""

    color: str
    shape: str
    size: int
    left: float
    top: float


Boxes = list[list[Item]]
"""The items of each of the three boxes of an image."""


def read_boxes(image: UInt8[np.ndarray, "3 H W"]) -> Boxes | None:
    """The items in an image with values from 0 to 255; None if a spot of it is no item.

    Every pixel gets the nearest of four colors: gray, yellow, blue, black. Connected pixels of one color are a spot.
    The pixels of its edge are unmixed, pixel = (1 - a) gray + a color, so that its sides and its area are known more
    precisely than by whole pixels; noise inside does no harm. The sides tell the size, and the area tells the shape. A
    spot as wide as a block and several times as high is a stack of blocks.
    """
    pixels = image.transpose(1, 2, 0).astype(np.float64)
    scale = image.shape[-1] / IMAGE
    boxes = []
    for left, top in BOXES:
        x, y, side = round(left * scale), round(top * scale), round(BOX * scale)
        items = _read_box(pixels[y : y + side, x : x + side], 100 / side)
        if items is None:
            return None
        boxes.append(items)
    return boxes


def _read_box(pixels: Float[np.ndarray, "H W 3"], unit: float) -> list[Item] | None:
    """The items of a box; `unit` is the width of a pixel."""
    palette = np.array([(GRAY,) * 3, *COLORS.values()], np.float64)
    nearest = ((pixels[:, :, None] - palette) ** 2).sum(-1).argmin(-1)
    found = []
    for index, color in enumerate(COLORS, 1):
        spots, count = cast(tuple[np.ndarray, int], ndimage.label(nearest == index))
        away = palette[index] - palette[0]
        covered = ((pixels - palette[0]) @ away / (away @ away)).clip(0, 1)
        for number in range(1, count + 1):
            spot = spots == number
            inside = ndimage.binary_erosion(spot, NEIGHBORHOOD)
            around = ndimage.binary_dilation(spot, NEIGHBORHOOD) & (nearest == 0)
            items = _items_of(np.where(inside, 1, np.where(spot | around, covered, 0)), color, unit)
            if items is None:
                return None
            found += items
    return found


def _items_of(mask: Float[np.ndarray, "H W"], color: str, unit: float) -> list[Item] | None:
    """The item that a soft mask shows, or the blocks of a stack; none for a speck, None for anything else."""
    area = mask.sum() * unit**2
    if area < SPECK:
        return []
    across, down = mask.max(0), mask.max(1)
    width, height = across.sum() * unit, down.sum() * unit
    columns, last = np.flatnonzero(across > 0.05), np.flatnonzero(down > 0.05)[-1]
    left = float(columns[0] + 1 - across[columns[0]]) * unit
    right = float(columns[-1] + across[columns[-1]]) * unit
    base = float(last + down[last]) * unit
    step = BLOCK + GAP
    blocks = round((height + GAP) / step)
    filled = area > STACK_SHARE * width * height
    if blocks > 1 and _size(width) == BLOCK and abs(height + GAP - blocks * step) < 6 and filled:
        x = (left + right - BLOCK) / 2
        return [Item(color, "square", BLOCK, x, base - BLOCK - place * step) for place in range(blocks)]
    size = _size(width)
    if size is None or _size(height) != size:
        return None
    shape = next((name for name, (least, most) in SHAPES.items() if least <= area / size**2 < most), None)
    return None if shape is None else [Item(color, shape, size, (left + right - size) / 2, base - size)]


def _size(width: float) -> int | None:
    return next((size for size, (least, most) in SIZES.items() if least <= width < most), None)
