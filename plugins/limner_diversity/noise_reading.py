"""Noise reading: if the noise can be predicted from the image, the generator does not ignore it."""

from typing import Annotated

from einops import rearrange
from jaxtyping import Float
from limner import LimnerError, Loss, Sizes, Step
from pydantic import Field
from torch import Tensor, nn


class NoiseReading(Loss):
    """Predicts the first K numbers of the noise from the generated image (as in InfoGAN, Chen et al. 2016).

        L = E_{z,c}[ mean_{k <= K} (r_k(f(G(z, c))) - z_k)^2 ]

    Both players minimize it. The reader r, which is linear in the discriminator's features f, learns to predict the
    noise; the generator learns to make it predictable. For Gaussian noise, the squared error gives a lower bound on the
    mutual information between noise and image.
    """

    def __init__(self, sizes: Sizes, *, numbers: Annotated[int, Field(ge=1)] = 4):
        """`numbers`: K, how many numbers of the noise are predicted."""
        super().__init__(sizes)
        if numbers > sizes.noise:
            raise LimnerError(f"numbers: the noise has only {sizes.noise}, so {numbers} of them cannot be read.")
        self.numbers = numbers
        self.reader = nn.Linear(sizes.features * sizes.feature_size**2, numbers)

    def discriminator(self, step: Step) -> Float[Tensor, ""]:
        return self.error(step)

    def generator(self, step: Step) -> Float[Tensor, ""]:
        return self.error(step)

    def error(self, step: Step) -> Float[Tensor, ""]:
        """The mean squared error of the prediction."""
        features = rearrange(step.generated.features, "b c h w -> b (c h w)")
        return (self.reader(features).float() - step.noise[:, : self.numbers]).square().mean()
