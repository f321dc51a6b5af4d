"""Gradient penalties keep the discriminator smooth around the real images, which stabilizes training."""

from typing import Annotated, Literal

import torch
from jaxtyping import Float
from limner import Judgement, Loss, Sizes, Step
from pydantic import Field
from torch import Tensor

from .adversarial import realism

Every = Annotated[int, Field(ge=1)]
Condition = Literal["text", "none", "both"]


class R1(Loss):
    """The squared gradient of the discriminator at real images (Mescheder et al. 2018, equation 9, without gamma).

        L_D = 1/2 E_{x,c}[ ||grad_x D(x, c)||^2 ]

    `condition` names the score D: "text" is D(x, c), the score of the image with its caption; "none" is D(x), the score
    of the image alone; "both" is their sum. Set it to the `condition` of the adversarial loss. The penalty is lazy: it
    is computed once in `every` steps, and multiplied by `every` (Karras et al. 2020, StyleGAN2).
    """

    differentiates_images = True

    def __init__(self, sizes: Sizes, *, every: Every = 16, condition: Condition = "text"):
        """`every`: the number of steps from one penalty to the next; `condition`: the score that is penalized: that of
        the image with its caption ("text"), of the image alone ("none"), or the sum ("both").
        """
        super().__init__(sizes)
        self.every = every
        self.condition: Condition = condition

    def discriminator(self, step: Step) -> Float[Tensor, ""]:
        """
        Raises:
            LimnerError: if `condition` asks for the score of the image alone and the discriminator gives none.
        """
        return squared_gradient(score(step.real, self.condition), step.real_images).mean() / 2


class R2(R1):
    """The same at generated images (Mescheder et al. 2018, equation 10, without gamma).

        L_D = 1/2 E_{z,c}[ ||grad_x D(G(z, c), c)||^2 ]

    R3GAN (Huang et al. 2024) uses it together with R1, with the same weight.
    """

    def discriminator(self, step: Step) -> Float[Tensor, ""]:
        """
        Raises:
            LimnerError: if `condition` asks for the score of the image alone and the discriminator gives none.
        """
        squares = squared_gradient(score(step.generated, self.condition), step.own_generated_images)
        squares = squares / step.rows.processes**2  # `rows.gather` counts a gradient once for each process
        return step.rows.gather(squares, len(step.noise)).mean() / 2


class MatchingAware(Loss):
    """The gradient of the discriminator at real images with their own captions, with respect to both (Tao et al. 2022,
    DF-GAN).

    L_D = 2 E_{x,c}[ ||grad_{(x, s)} D(x, s)||^6 ],    s the sentence vector of c

    It can be lazy, as R1. But the sixth power makes rare and very large gradients: with `every = 4`, DF-GAN at 64 px
    painted only black or white after 300 steps with Adam, and with `every = 1` it did not.
    """

    differentiates_images = True

    def __init__(self, sizes: Sizes, *, every: Every = 1, power: Annotated[float, Field(gt=0)] = 6.0):
        """`every`: the number of steps from one penalty to the next; `power`: of the gradient norm."""
        super().__init__(sizes)
        self.every, self.power = every, power

    def discriminator(self, step: Step) -> Float[Tensor, ""]:
        inputs = [*step.real_images, step.text.sentence]
        norm = (squared_gradient(score(step.real, "text"), inputs) + 1e-12).sqrt()
        return 2 * (norm**self.power).mean()


def score(judgement: Judgement, condition: Condition) -> Float[Tensor, " B"]:
    """D for each image; the mean where there are several scores."""
    match condition:
        case "text":
            return judgement.match.mean(1)
        case "none":
            return realism(judgement).mean(1)
        case "both":
            return judgement.match.mean(1) + realism(judgement).mean(1)


def squared_gradient(scores: Float[Tensor, " B"], inputs: list[Tensor]) -> Float[Tensor, " B"]:
    """||grad D||^2 for each image, over all inputs; a discriminator need not use every resolution."""
    gradients = torch.autograd.grad(scores.sum(), inputs, create_graph=True, allow_unused=True)
    squares = [gradient.float().flatten(1).square().sum(1) for gradient in gradients if gradient is not None]
    return sum(squares[1:], squares[0])
