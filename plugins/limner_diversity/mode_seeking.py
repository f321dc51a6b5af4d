"""Mode seeking: the images of one prompt should differ as much as their noises do."""

from typing import Annotated

from jaxtyping import Float
from limner import Loss, Sizes, Step
from pydantic import Field
from torch import Tensor


class ModeSeeking(Loss):
    """How similar two images of one prompt are, relative to the distance of their noises (Mao et al. 2019, eq. 4).

        L_G = E_{z,z',c}[ d(z, z') / (d(G(z, c), G(z', c)) + e) ],    d(a, b) = mean |a - b|

    The second noise z' is that of the row before, so no more noise is drawn. The second image costs another forward
    pass of the generator. A generator that ignores its noise has the loss d(z, z') / e.
    """

    def __init__(self, sizes: Sizes, *, least: Annotated[float, Field(gt=0)] = 0.01):
        """`least`: e, which bounds the loss of identical images; in units of pixel values, which range over 2."""
        super().__init__(sizes)
        self.least = least

    def generator(self, step: Step) -> Float[Tensor, ""]:
        noise = step.noise.roll(1, 0)
        images = step.conditional_generator.generator(noise, step.text.detach())[-1]
        distance = (images - step.generated_images[-1]).float().abs().mean((1, 2, 3))
        return ((noise - step.noise).abs().mean(1) / (distance + self.least)).mean()
