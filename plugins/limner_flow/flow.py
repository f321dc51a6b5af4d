"""The equations of flow matching: a straight path from noise to image, and the differential equation along it."""

from collections.abc import Callable
from itertools import pairwise
from typing import Literal

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from limner import TextFeatures
from torch import Tensor

Images = Float[Tensor, "B 3 H W"]
Times = Float[Tensor, " B"]
Velocity = Callable[[Images, Times], Images]
"""v(x, t): how fast each image moves at its time."""
Method = Literal["euler", "heun"]
NEAREST = 0.05
"""The smallest 1 - t by which an error is divided, so that the velocity at t = 1 is finite (Li and He 2025, JiT)."""


def between(noise: Images, images: Images, times: Times) -> Images:
    """x_t = (1 - t) z + t x, on the straight line from noise z to image x (Liu et al. 2023, equation 1)."""
    part = rearrange(times, "b -> b 1 1 1")
    return (1 - part) * noise + part * images


def velocity_towards(estimate: Images, images: Images, times: Times) -> Images:
    """v = (x - x_t) / (1 - t): the velocity that reaches the image x at time 1, from x_t at time t."""
    left = rearrange(1 - times, "b -> b 1 1 1").clamp(min=NEAREST)
    return (estimate - images) / left


def guided(with_text: Images, without: Images, guidance: float) -> Images:
    """v = v(x, t) + g (v(x, t, c) - v(x, t)) (Ho and Salimans 2022, equation 6, with g = 1 + w)."""
    return without + guidance * (with_text - without)


def without_text(text: TextFeatures, rows: Bool[Tensor, " B"]) -> TextFeatures:
    """The text with nothing to say in these rows: the sentence is 0, and so is its only word."""
    first = torch.arange(text.mask.shape[1], device=rows.device) == 0
    return TextFeatures(
        torch.where(rearrange(rows, "b -> b 1 1"), 0, text.words),
        torch.where(rearrange(rows, "b -> b 1"), 0, text.sentence),
        torch.where(rearrange(rows, "b -> b 1"), first, text.mask),
    )


def grid(steps: int, shift: float) -> list[float]:
    """The times from 0 to 1 between which the solver steps: t = u / (u + s (1 - u)), for u = 0, 1 / n, ..., 1.

    A shift s above 1 puts more of them near the noise, where it is decided what the image shows (Esser et al. 2024,
    equation 23).
    """
    places = [step / steps for step in range(steps + 1)]
    return [u / (u + shift * (1 - u)) for u in places]


def solve(velocity: Velocity, noise: Images, times: list[float], method: Method = "euler") -> Images:
    """The image x at the last time, from the noise x at the first, by dx/dt = v(x, t).

        Euler:  x <- x + h v(x, t)
        Heun:   x <- x + h / 2 (v(x, t) + v(x + h v(x, t), t + h))

    Heun's method is more accurate, and takes twice the time. Its last step is one of Euler's, because the velocity at
    time 1 is not defined.
    """
    images = noise
    for now, following in pairwise(times):
        step = following - now
        slope = velocity(images, images.new_full((len(images),), now))
        moved = images + step * slope
        if method == "heun" and following < 1:
            moved = images + step / 2 * (slope + velocity(moved, images.new_full((len(images),), following)))
        images = moved
    return images
