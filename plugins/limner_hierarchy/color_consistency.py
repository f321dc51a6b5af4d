"""Color consistency: the images of all stages should have the same colors."""

from itertools import pairwise
from typing import Annotated

import torch
from einops import rearrange, reduce
from jaxtyping import Float
from limner import Loss, Sizes, Step
from pydantic import Field
from torch import Tensor


class ColorConsistency(Loss):
    """The mean color and the covariance of the colors agree between stages (Zhang et al. 2018, StackGAN++, section
    3.3).

        L_G = 1/(n-1) sum_{i=2}^{n} E[ |mu_i - mu_{i-1}|^2 + l |S_i - S_{i-1}|_F^2 ]

        mu = 1/N sum_p x_p,    S = 1/N sum_p (x_p - mu)(x_p - mu)^T

    x_p is pixel p of N, as a vector of three numbers; l weighs the covariances. With a single stage there is nothing to
    compare, and no loss term. The stage before is the target as well: both get a gradient.
    """

    def __init__(self, sizes: Sizes, *, covariance: Annotated[float, Field(ge=0)] = 5.0):
        """`covariance`: l."""
        super().__init__(sizes)
        self.covariance = covariance

    def generator(self, step: Step) -> Float[Tensor, ""] | None:
        colors = [statistics(image.float()) for image in step.generated_images]
        gaps = [
            (large[0] - small[0]).square().sum(1).mean()
            + self.covariance * (large[1] - small[1]).square().sum((1, 2)).mean()
            for small, large in pairwise(colors)
        ]
        return torch.stack(gaps).mean() if gaps else None


def statistics(images: Float[Tensor, "B 3 H W"]) -> tuple[Float[Tensor, "B 3"], Float[Tensor, "B 3 3"]]:
    """The mean and the covariance of the colors of each image."""
    mean = reduce(images, "b c h w -> b c", "mean")
    centered = rearrange(images, "b c h w -> b c (h w)") - mean[..., None]
    return mean, centered @ centered.mT / centered.shape[-1]
