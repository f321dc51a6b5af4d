"""From scenes to pixels: anti-aliased drawing in batches."""

import torch
from einops import rearrange
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from .scenes import BACKGROUNDS, COLORS, PALETTE, TINT_STEP, SceneBatch
from .shapes import DISTANCES

# Pixels drawn at once: few enough for the intermediate results to stay in the processor's cache.
PIXELS_PER_PASS = 2**18


def render(scenes: SceneBatch, size: int) -> UInt8[Tensor, "N 3 {size} {size}"]:
    """Draws scenes as square images.

    The color of a pixel is mixed from those of background and object, by how much of the pixel the object covers. So a
    scene looks the same at every size.

    Args:
        scenes: N scenes.
        size: width and height in pixels.

    Returns:
        RGB images with values 0..255.

    Raises:
        ValueError: if `size` is not positive.
    """
    if size < 1:
        raise ValueError(f"an image needs a positive size, not {size}")
    images = torch.empty(len(scenes), 3, size, size, dtype=torch.uint8)
    step = max(1, PIXELS_PER_PASS // size**2)
    for start in range(0, len(scenes), step):
        rows = slice(start, start + step)
        images[rows] = _render_batch(scenes[rows], size)
    return images


def _render_batch(scenes: SceneBatch, size: int) -> UInt8[Tensor, "N 3 {size} {size}"]:
    palette = torch.tensor(PALETTE, dtype=torch.float32)
    background = palette[len(COLORS) :][scenes.backgrounds] + TINT_STEP * scenes.background_tints
    colors = palette[scenes.colors] + TINT_STEP * scenes.tints
    canvas = background[:, :, None, None].clamp(0, 255).expand(-1, -1, size, size)
    for k in range(scenes.objects):
        covered = coverage(scenes.shapes[:, k], scenes.centers[:, k], scenes.widths[:, k], size)
        color = colors[:, k, :, None, None].clamp(0, 255)
        canvas = torch.lerp(canvas, color, covered[:, None])
    return canvas.add(0.5).to(torch.uint8)


def coverage(
    shapes: Int[Tensor, " N"], centers: Float[Tensor, "N 2"], widths: Float[Tensor, " N"], size: int
) -> Float[Tensor, "N {size} {size}"]:
    """The fraction of each pixel, from 0 to 1, that an object covers.

    If d is the distance from the pixel's center to the outline, in pixels and negative inside, the fraction is about
    1/2 - d, clamped to 0..1.

    Args:
        shapes: indices into ``SHAPES``.
        centers: x and y of the objects' boxes, as fractions of the image, y downward.
        widths: widths of the boxes as fractions of the image.
        size: width and height of the image in pixels.
    """
    covered = torch.empty(len(shapes), size, size)
    pixels = (torch.arange(size) + 0.5) / size
    radius = widths[:, None] / 2
    x = rearrange((pixels - centers[:, :1]) / radius, "n w -> n 1 w")
    y = rearrange((centers[:, 1:] - pixels) / radius, "n h -> n h 1")
    scale = rearrange(radius * size, "n 1 -> n 1 1")  # pixels per unit of the shape's own coordinates
    for index, distance in enumerate(DISTANCES):
        rows = (shapes == index).nonzero().squeeze(1)
        if len(rows):
            covered[rows] = (0.5 - distance(x[rows], y[rows]) * scale[rows]).clamp_(0, 1)
    return covered


def background_index(palette_index: Int[Tensor, "*any"]) -> Int[Tensor, "*any"]:
    """The index into ``BACKGROUNDS`` of a palette entry, or -1 for an object's color."""
    index = palette_index - len(COLORS)
    return torch.where((index >= 0) & (index < len(BACKGROUNDS)), index, -1)
