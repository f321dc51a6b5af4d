"""Mode seeking: images of one prompt must differ as their noises differ."""

from typing import Annotated

from jaxtyping import Float
from limner import Loss, Sizes, Step
from pydantic import Field
from torch import Tensor


class ModeSeeking(Loss):
    """How near two images of one prompt are to each other, for the distance of their noises (Mao et al. 2019, eq. 4).

        L_G = E_{z,z',c}[ d(z, z') / (d(G(z, c), G(z', c)) + e) ],    d(a, b) = mean |a - b|

    The second noise z' is that of the row before, so nothing more has to be drawn; the second image costs another
    pass of the generator. A generator that ignores its noise pays d(z, z') / e.
    """

    def __init__(self, sizes: Sizes, *, least: Annotated[float, Field(gt=0)] = 0.01):
        """`least`: e, which bounds what identical images cost; in the units of the images, of which 2 is all."""
        super().__init__(sizes)
        self.least = least

    def generator(self, step: Step) -> Float[Tensor, ""]:
        noise = step.noise.roll(1, 0)
        images = step.conditional_generator.generator(noise, step.text.detach())[-1]
        apart = (images - step.generated_images[-1]).float().abs().mean((1, 2, 3))
        return ((noise - step.noise).abs().mean(1) / (apart + self.least)).mean()
