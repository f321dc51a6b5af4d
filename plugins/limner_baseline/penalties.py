"""Gradient penalties: they keep the discriminator smooth around the real images, so that the game stays stable."""

from typing import Annotated

import torch
from jaxtyping import Float
from limner import Loss, Sizes, Step
from pydantic import Field
from torch import Tensor

Every = Annotated[int, Field(ge=1)]


class R1(Loss):
    """How steep the discriminator is at real images (Mescheder et al. 2018, equation 9; lazy as in StyleGAN2).

        L_D = 1/2 E_{x,c}[ ||grad_x D(x, c)||^2 ]

    It is computed at every `every`-th step only and then counts that many times.
    """

    differentiates_images = True

    def __init__(self, sizes: Sizes, *, every: Every = 16):
        """`every`: the steps from one time that it is computed to the next."""
        super().__init__(sizes)
        self.every = every

    def discriminator(self, step: Step) -> Float[Tensor, ""]:
        return steepness(step.real.match, step.real_images).mean() / 2


class MatchingAware(Loss):
    """How steep the discriminator is at real images with their own captions, in image and sentence (Tao et al.
    2022, DF-GAN).

    L_D = 2 E_{x,c}[ ||grad_{(x, s)} D(x, s)||^6 ],    s the sentence vector of c
    """

    differentiates_images = True

    def __init__(self, sizes: Sizes, *, every: Every = 4, power: Annotated[float, Field(gt=0)] = 6.0):
        """`every`: the steps from one time that it is computed to the next; `power`: of the gradient's norm."""
        super().__init__(sizes)
        self.every, self.power = every, power

    def discriminator(self, step: Step) -> Float[Tensor, ""]:
        norm = (steepness(step.real.match, [*step.real_images, step.text.sentence]) + 1e-12).sqrt()
        return 2 * (norm**self.power).mean()


def steepness(match: Float[Tensor, "B M"], inputs: list[Tensor]) -> Float[Tensor, " B"]:
    """||grad D||^2 for each image, over all inputs that the discriminator looks at: it may leave out a resolution."""
    gradients = torch.autograd.grad(match.mean(1).sum(), inputs, create_graph=True, allow_unused=True)
    squares = [gradient.float().flatten(1).square().sum(1) for gradient in gradients if gradient is not None]
    return sum(squares[1:], squares[0])
