"""Masks of the six shapes at unit area, with which the mask of an object is compared."""

from functools import cache

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor

from .shapes import DISTANCES

#: Masks are TEMPLATE_SIZE pixels wide and high. They show -SPAN..SPAN around the centroid, in units of the
#: square root of the shape's area.
TEMPLATE_SIZE = 28
SPAN = 1.05

# Each shape is drawn with many small shifts, scales and degrees of softness; the best match counts.
SHIFTS = (-0.06, 0.0, 0.06)
SCALES = (0.93, 1.0, 1.07)
SOFTNESSES = (0.05, 0.15)


@cache
def _moments() -> tuple[Float[Tensor, " S"], Float[Tensor, " S"]]:
    """Area and height of the centroid (x is 0 by symmetry) of each shape, in its own coordinates."""
    steps = torch.linspace(-1, 1, 402)[:-1] + 1 / 401
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    inside = torch.stack([(distance(x, y) < 0).float() for distance in DISTANCES])
    share = inside.mean((1, 2))
    return 4 * share, (inside * y).mean((1, 2)) / share


def areas() -> Float[Tensor, " S"]:
    """The area of each shape in its own coordinates, where its box has area 4."""
    return _moments()[0]


@cache
def templates() -> Float[Tensor, "S V P"]:
    """V variants of each of the S shapes' masks, as rows of P = TEMPLATE_SIZE^2 pixels."""
    steps = SPAN * (2 * (torch.arange(TEMPLATE_SIZE) + 0.5) / TEMPLATE_SIZE - 1)
    shift_x, shift_y, scale_x, scale_y, softness = torch.cartesian_prod(
        *map(torch.tensor, (SHIFTS, SHIFTS, SCALES, SCALES, SOFTNESSES))
    ).T[:, :, None, None]
    masks = []
    for distance, area, height in zip(DISTANCES, *_moments(), strict=True):
        x = (steps[None, :] - shift_x) * area.sqrt() / scale_x
        y = (-steps[:, None] - shift_y) * area.sqrt() / scale_y + height
        outside = distance(*torch.broadcast_tensors(x, y)) / area.sqrt()
        masks.append((0.5 - outside / softness).clamp(0, 1))
    return rearrange(torch.stack(masks), "s v h w -> s v (h w)")


def match(masks: Float[Tensor, "M H W"]) -> tuple[Float[Tensor, " M"], Int[Tensor, " M"]]:
    """The overlap with the best template, from 0 to 1, and the shape of that template, for masks at unit area.

    The overlap of masks m and t is the Tanimoto coefficient, m.t / (m.m + t.t - m.t). For hard masks it is the
    intersection over union.
    """
    rows = rearrange(masks, "m h w -> m (h w)")
    bank = templates()
    product = torch.einsum("mp,svp->msv", rows, bank)
    total = rows.square().sum(1)[:, None, None] + bank.square().sum(2)
    return (product / (total - product)).amax(2).max(1)
