"""The judge: it reads what an image of a scene shows, without knowing how the image was made.

No part of it is learned, so it cannot be fooled the way a network can, and each step can be inspected:

1. Every pixel gets the nearest palette color. The color along the border of the image is the background.
2. Where a whole neighborhood has one other color, there is the core of an object. Connected cores are one object.
3. Every pixel is unmixed, pixel = (1 - a) background + a object, which gives the soft mask a of each object.
4. The mask, moved to its centroid and scaled to unit area, is compared with masks of the six shapes.

Mild blur, noise, wrong tints and specks do no harm. A mask that fits no shape well has no shape. An image with an extra
object, a noisy image or an empty one is never an exact match.
"""

from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample, interpolate, max_pool2d, one_hot

from .drawing import background_index
from .scenes import ANY, COLORS, COLUMNS, LONE_WIDTHS, PALETTE
from .templates import SPAN, TEMPLATE_SIZE, areas, match

NONE = -1

#: A soft mask whose overlap with its best template is below this (0..1) has no shape. Clean shapes reach 0.98, and
#: 0.93 under strong blur; wobbly ones that a person just recognizes lie around the threshold. Below it are
#: half shapes (at most 0.91), rings (0.7), a diamond (0.91 at 64 pixels, as a circle) and most fuzzy blobs.
SHAPE_FIT = 0.92
#: Specks below this fraction of the image's area are ignored; the smallest real object is three times as large.
SMALLEST_OBJECT = 0.02
#: The background must make up this fraction of the image's outermost pixels.
BACKGROUND_SHARE = 0.6
#: In the core of an object, this fraction of a neighborhood has one color.
CORE_SHARE = 0.85
#: A color farther than this (RGB in 0..1) from every mixture of object and background belongs to neither.
FOREIGN = 0.25
#: The judge looks for a third object, because it would be one too many.
CANDIDATES = 3
#: Larger images are first averaged down to this size in pixels, which shows the shapes well enough.
LARGEST_READ = 64
IMAGES_PER_PASS = 64


@dataclass(frozen=True)
class Readings:
    """What N images show. The two largest objects are described, largest first; ``NONE`` (-1) stands for unknown.

    Attributes:
        backgrounds: index into ``BACKGROUNDS``.
        counts: number of objects.
        colors: index into ``COLORS`` of each object.
        shapes: index into ``SHAPES`` of each object.
        fits: overlap of the object's mask with that of the best shape, from 0 to 1.
        centers: x and y of each object's centroid, as fractions of the image, y downward.
        widths: width of the shape's box, as a fraction of the image.
    """

    backgrounds: Int[Tensor, " N"]
    counts: Int[Tensor, " N"]
    colors: Int[Tensor, "N 2"]
    shapes: Int[Tensor, "N 2"]
    fits: Float[Tensor, "N 2"]
    centers: Float[Tensor, "N 2 2"]
    widths: Float[Tensor, "N 2"]

    def __len__(self) -> int:
        return len(self.counts)


def read(images: Float[Tensor, "N 3 H W"]) -> Readings:
    """Reads square images with values in [-1, 1].

    Raises:
        ValueError: if the images are not square RGB images.
    """
    if images.ndim != 4 or images.shape[1] != 3 or images.shape[2] != images.shape[3]:
        raise ValueError(f"the judge reads images of shape [N, 3, H, H], not {list(images.shape)}")
    images = images.detach().cpu().float()
    if images.shape[-1] > LARGEST_READ:
        images = interpolate(images, size=LARGEST_READ, mode="area")
    parts = [_read_batch(batch) for batch in images.split(IMAGES_PER_PASS)]
    return Readings(*(torch.cat([getattr(part, name) for part in parts]) for name in vars(parts[0])))


def score(readings: Readings, asked: Int[Tensor, "N F"]) -> dict[str, Bool[Tensor, " N"]]:
    """Whether images show what was asked for, attribute by attribute; what is not asked for counts as shown.

    An attribute of two objects is right if it is right for both. Objects are matched with the caption by their order
    along the axis that is asked for. If the opposite order fits more colors and shapes, these are judged in the
    opposite order, and the relation is wrong.

    Args:
        readings: of N images.
        asked: rows of facts, ``ANY`` for what is not asked for; F = 4 for one object and 6 for two.

    Returns:
        shape, color, size (F = 4) or relation (F = 6), background, and exact: all of these, and the right number of
        objects.
    """
    judged = _score_one(readings, asked) if asked.shape[1] == len(COLUMNS[1]) else _score_two(readings, asked)
    judged["background"] = _agrees(readings.backgrounds, asked[:, -1])
    right_count = readings.counts == (1 if asked.shape[1] == len(COLUMNS[1]) else 2)
    judged["exact"] = torch.stack(list(judged.values())).all(0) & right_count
    return judged


def _agrees(seen: Int[Tensor, "*any"], asked: Int[Tensor, "*any"]) -> Bool[Tensor, "*any"]:
    return (asked == ANY) | (asked == seen)


def _score_one(readings: Readings, asked: Int[Tensor, "N 4"]) -> dict[str, Bool[Tensor, " N"]]:
    border = (LONE_WIDTHS[0][1] + LONE_WIDTHS[1][0]) / 2
    size = torch.where(readings.counts > 0, (readings.widths[:, 0] > border).long(), NONE)
    return {
        "shape": _agrees(readings.shapes[:, 0], asked[:, 2]),
        "color": _agrees(readings.colors[:, 0], asked[:, 1]),
        "size": _agrees(size, asked[:, 0]),
    }


def _score_two(readings: Readings, asked: Int[Tensor, "N 6"]) -> dict[str, Bool[Tensor, " N"]]:
    axis = asked[:, 0].clamp(min=0)
    step = readings.centers[:, 1] - readings.centers[:, 0]  # from the larger object to the other: x, y
    along = step.gather(1, axis[:, None]).squeeze(1)
    in_order = torch.where((along < 0)[:, None], torch.tensor([1, 0]), torch.tensor([0, 1]))
    colors, shapes = asked[:, 1:5:2], asked[:, 2:5:2]

    def right(order: Int[Tensor, "N 2"]) -> Bool[Tensor, "N 2 2"]:  # color and shape of each object
        seen = torch.stack([readings.colors.gather(1, order), readings.shapes.gather(1, order)], dim=1)
        return _agrees(seen, torch.stack([colors, shapes], dim=1))

    straight, opposite = right(in_order), right(1 - in_order)
    crossed = opposite.sum((1, 2)) > straight.sum((1, 2))
    color, shape = torch.where(crossed[:, None, None], opposite, straight).all(2).unbind(1)
    dominates = step.abs().gather(1, axis[:, None]) > step.abs().gather(1, 1 - axis[:, None])
    both = readings.counts >= 2
    relation = (asked[:, 0] == ANY) | (dominates.squeeze(1) & ~crossed)
    return {"shape": shape & both, "color": color & both, "relation": relation & both}


def _read_batch(images: Float[Tensor, "N 3 H W"]) -> Readings:
    pixels = (images.clamp(-1, 1) + 1) / 2
    size = pixels.shape[-1]
    palette = torch.tensor(PALETTE) / 255
    labels = _nearest(pixels, palette)
    background = _surrounding(labels)
    color = _mean_color(pixels, (labels == background[:, None, None])[:, None])  # [N, 1, 3]
    cores = _cores(labels, background)
    masks = _unmix(pixels, color, _mean_color(pixels, cores), cores)
    masses = masks.sum((2, 3))
    order = masses.argsort(dim=1, descending=True)[:, :2]
    counts = (masses > SMALLEST_OBJECT * size**2).sum(1)

    kept = torch.arange(2) < counts[:, None]
    masks = masks.gather(1, order[:, :, None, None].expand(-1, -1, size, size))
    colors = _mean_color(pixels, cores.gather(1, order[:, :, None, None].expand(-1, -1, size, size)))
    names = torch.cdist(colors, palette).argmin(2)
    fits, widths, centers = torch.zeros(kept.shape), torch.zeros(kept.shape), torch.zeros(*kept.shape, 2)
    shapes = torch.full(kept.shape, NONE)
    if kept.any():
        fits[kept], shapes[kept], centers[kept], widths[kept] = _recognize(masks[kept])
    return Readings(
        background_index(background),
        counts,
        torch.where(kept & (names < len(COLORS)), names, NONE),
        torch.where(fits >= SHAPE_FIT, shapes, NONE),
        fits,
        centers,
        widths,
    )


def _nearest(pixels: Float[Tensor, "N 3 H W"], palette: Float[Tensor, "P 3"]) -> Int[Tensor, "N H W"]:
    """Each pixel's nearest palette entry: least |p|^2 - 2 pixel . p."""
    products = torch.einsum("nchw,pc->nphw", pixels, palette)
    return (palette.square().sum(1)[:, None, None] - 2 * products).argmin(1)


def _surrounding(labels: Int[Tensor, "N H W"]) -> Int[Tensor, " N"]:
    """The palette entry of most of the outermost pixels, or ``NONE`` without a clear majority."""
    sides = (labels[:, 0], labels[:, -1], labels[:, 1:-1, 0], labels[:, 1:-1, -1])
    shares = one_hot(torch.cat(sides, dim=1), len(PALETTE)).float().mean(1)
    share, index = shares.max(1)
    return torch.where(share >= BACKGROUND_SHARE, index, NONE)


def _mean_color(pixels: Float[Tensor, "N 3 H W"], masks: Bool[Tensor, "N K H W"]) -> Float[Tensor, "N K 3"]:
    weights = masks.float()
    return torch.einsum("nchw,nkhw->nkc", pixels, weights) / weights.sum((2, 3)).clamp(min=1)[:, :, None]


def _cores(labels: Int[Tensor, "N H W"], background: Int[Tensor, " N"]) -> Bool[Tensor, "N K H W"]:
    """The cores of up to ``CANDIDATES`` objects, largest first; missing ones are empty.

    A pixel is in a core if nearly all of its neighborhood, about a tenth of the image wide, has one color that is not
    the background's. The thin rims of mixed colors around objects have no core.
    """
    size = labels.shape[-1]
    reach = max(1, size // 32)
    shares = _box_mean(_one_map_each(labels, len(PALETTE)).float(), reach)
    share, label = shares.max(1)
    is_core = (share >= CORE_SHARE) & (label != background[:, None, None]) & (background >= 0)[:, None, None]
    components = _components(is_core)
    area_of = torch.zeros(len(labels), size**2 + 1).scatter_add_(
        1, components.flatten(1), torch.ones(len(labels), size**2)
    )
    area_of[:, 0] = 0  # component 0 is "no core"
    area, chosen = area_of.topk(CANDIDATES, dim=1)
    chosen = torch.where(area > 0, chosen, NONE)
    return components[:, None] == chosen[:, :, None, None]


def _one_map_each(indices: Int[Tensor, "N H W"], count: int) -> Bool[Tensor, "N {count} H W"]:
    """A mask for each of the indices 0 .. count - 1."""
    return indices[:, None] == torch.arange(count)[:, None, None]


def _box_mean(maps: Float[Tensor, "N C H W"], reach: int) -> Float[Tensor, "N C H W"]:
    """The mean over 2 reach + 1 pixels in both directions; pixels beyond the image do not count."""
    width = 2 * reach + 1
    rows = avg_pool2d(maps, (1, width), stride=1, padding=(0, reach), count_include_pad=False)
    return avg_pool2d(rows, (width, 1), stride=1, padding=(reach, 0), count_include_pad=False)


def _components(mask: Bool[Tensor, "N H W"]) -> Int[Tensor, "N H W"]:
    """Numbers the connected parts of each mask: one number per part, 0 outside.

    Every pixel starts with a number of its own. In each round it takes the largest number among its neighbors, and then
    the number that the pixel with that number has by now. This second step doubles the reach in each round.
    """
    height, width = mask.shape[1:]
    own = torch.arange(1, height * width + 1, dtype=torch.float32).view(height, width)
    numbers = own * mask
    while True:
        spread = max_pool2d(numbers[:, None], 3, stride=1, padding=1).squeeze(1) * mask
        pointers = torch.cat([torch.zeros(len(mask), 1), spread.flatten(1)], dim=1)
        jumped = pointers.gather(1, spread.flatten(1).long()).view_as(spread)
        if torch.equal(jumped, numbers):
            return numbers.long()
        numbers = jumped


def _unmix(
    pixels: Float[Tensor, "N 3 H W"],
    background: Float[Tensor, "N 1 3"],
    colors: Float[Tensor, "N K 3"],
    cores: Bool[Tensor, "N K H W"],
) -> Float[Tensor, "N K H W"]:
    """How much of each pixel each object covers: the least-squares a of pixel = (1 - a) background + a color.

    A pixel belongs to the object whose mixtures come closest to its color. Near ties (almost pure background, or two
    similar colors) go to the nearer core. A pixel far from every core, or with a color that no mixture explains,
    belongs to no object.
    """
    size = pixels.shape[-1]
    direction = colors - background
    from_background = pixels - background.squeeze(1)[:, :, None, None]
    length = direction.square().sum(2).clamp(min=1e-4)[:, :, None, None]
    products = torch.einsum("nchw,nkc->nkhw", from_background, direction)
    amount = (products / length).clamp(0, 1)
    # |pixel - mixture|^2 = |f|^2 - 2 a f.d + a^2 |d|^2, where f is the pixel and d the object, minus the background
    squared = from_background.square().sum(1, keepdim=True) - 2 * amount * products + amount.square() * length
    error = squared.clamp(min=0).sqrt()
    distance = _distance_to_box(cores)
    cost = error + 0.5 * distance / size
    cost = torch.where(cores.any(3).any(2)[:, :, None, None], cost, torch.inf)
    own = _one_map_each(cost.argmin(1), cores.shape[1])
    accepted = own & (error < FOREIGN) & (distance <= 5 * size / 32) & (amount > 0.1) & cost.isfinite()
    return amount * accepted


def _distance_to_box(cores: Bool[Tensor, "N K H W"]) -> Float[Tensor, "N K H W"]:
    """The distance of each pixel to the bounding box of each core, in pixels and along the farther axis."""
    positions = torch.arange(cores.shape[-1], dtype=torch.float32)

    def beyond(occupied: Bool[Tensor, "N K S"]) -> Float[Tensor, "N K S"]:
        low = torch.where(occupied, positions, torch.inf).amin(2, keepdim=True)
        high = torch.where(occupied, positions, -torch.inf).amax(2, keepdim=True)
        return torch.maximum(low - positions, positions - high).clamp(min=0)

    x, y = beyond(cores.any(2)), beyond(cores.any(3))
    return torch.maximum(rearrange(x, "n k w -> n k 1 w"), rearrange(y, "n k h -> n k h 1"))


def _recognize(
    masks: Float[Tensor, "M H W"],
) -> tuple[Float[Tensor, " M"], Int[Tensor, " M"], Float[Tensor, "M 2"], Float[Tensor, " M"]]:
    """Fit, shape, centroid and width (both as fractions of the image) from the masks of single objects."""
    size = masks.shape[-1]
    mass = masks.sum((1, 2)).clamp(min=1e-6)
    positions = (torch.arange(size) + 0.5) / size
    x = (masks.sum(1) @ positions) / mass
    y = (masks.sum(2) @ positions) / mass
    centers = torch.stack([x, y], dim=1)
    unit = mass.sqrt() / size  # the side of a square of the same area
    steps = SPAN * (2 * (torch.arange(TEMPLATE_SIZE) + 0.5) / TEMPLATE_SIZE - 1)
    window_x = x[:, None] + unit[:, None] * steps
    window_y = y[:, None] + unit[:, None] * steps
    grid = torch.stack(
        [
            (2 * window_x - 1)[:, None, :].expand(-1, TEMPLATE_SIZE, -1),
            (2 * window_y - 1)[:, :, None].expand(-1, -1, TEMPLATE_SIZE),
        ],
        dim=3,
    )
    normalized = grid_sample(masks[:, None], grid, align_corners=False).squeeze(1)
    fits, shapes = match(normalized)
    # A shape of width w, in a box of area 4 in its own coordinates, has area (w / 2)^2 areas[shape].
    widths = 2 * unit / areas()[shapes].sqrt()
    return fits, shapes, centers, widths
