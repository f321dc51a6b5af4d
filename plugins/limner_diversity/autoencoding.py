"""Autoencoding: from a few numbers that are read from a real image, the generator paints this image again."""

from threading import Lock
from typing import Annotated
from weakref import WeakKeyDictionary

import torch
from einops import rearrange
from jaxtyping import Float
from limner import LimnerError, Loss, Sizes, Step
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import mse_loss

COMPUTED: WeakKeyDictionary[Step, dict[Loss, Tensor]] = WeakKeyDictionary()
"""The losses of the steps that still exist. Outside of the modules, so that these can be copied and pickled."""
COMPUTING = Lock()


class Autoencoding(Loss):
    """Reads K numbers from a real image x, and paints x again from them (CVAE-GAN, Bao et al. 2017).

        m = M f(x),    log sigma^2 = V f(x),    z' = [m + sigma z_{1..K}; z_{K+1..Z}]
        L = E_{x,c,z}[ |G(z', c) - x|^2 + d KL(N(m, sigma^2) || N(0, I)) ]
        KL = 1/2 sum_{k <= K} (m_k^2 + sigma_k^2 - 1 - log sigma_k^2)

    Both players minimize it. The discriminator and the reader (M and V, linear in the discriminator's features f) learn
    what to read; the generator learns to paint it. The first K numbers of the step's noise z select the sample from
    N(m, sigma^2), the others stay in their places, and c is the image's own caption. |.|^2 is the mean over pixels, and
    over the resolutions of the generator. With `noise-reading`, both directions are learned: from image to noise to
    image, and from noise to image to noise (BicycleGAN, Zhu et al. 2017).
    """

    def __init__(
        self,
        sizes: Sizes,
        *,
        numbers: Annotated[int, Field(ge=1)] = 6,
        divergence: Annotated[float, Field(ge=0)] = 0.02,
        part: Annotated[float, Field(gt=0, le=1)] = 1.0,
        every: Annotated[int, Field(ge=1)] = 1,
    ):
        """
        Args:
            sizes: what the parts of the model agree on.
            numbers: K, how many numbers are read.
            divergence: d, the weight of the divergence, which is in nats per image.
            part: the fraction of the batch that is painted again: its first rows, at least one.
            every: the number of steps from one computation to the next.

        Raises:
            LimnerError: if the noise has fewer than K numbers.
        """
        super().__init__(sizes)
        if numbers > sizes.noise:
            raise LimnerError(
                f"numbers: the noise has only {sizes.noise}, so the generator cannot paint from {numbers} of them."
            )
        self.numbers, self.divergence, self.part, self.every = numbers, divergence, part, every
        self.reader = nn.Linear(sizes.features * sizes.feature_size**2, 2 * numbers)  # M and V

    def discriminator(self, step: Step) -> Float[Tensor, ""]:
        return self.of_step(step)

    def generator(self, step: Step) -> Float[Tensor, ""]:
        return self.of_step(step)

    def of_step(self, step: Step) -> Float[Tensor, ""]:
        """The loss. The player that asks first computes it, for both; the other one waits."""
        with COMPUTING:
            of_step = COMPUTED.setdefault(step, {})
            if self not in of_step:
                of_step[self] = self.compute(step)
            return of_step[self]

    def compute(self, step: Step) -> Float[Tensor, ""]:
        """The loss of the first rows of the batch."""
        rows = max(1, round(self.part * len(step.noise)))
        features, noise = step.real.features[:rows], step.noise[:rows]
        numbers = self.reader(rearrange(features, "b c h w -> b (c h w)")).float()
        mean, log_variance = numbers.chunk(2, dim=1)
        sample = mean + (log_variance / 2).exp() * noise[:, : self.numbers]
        read = torch.cat([sample, noise[:, self.numbers :]], 1)
        images = step.conditional_generator.generator(read, step.text.detach()[:rows])
        errors = [
            mse_loss(image.float(), real[:rows].detach()) for image, real in zip(images, step.real_images, strict=True)
        ]
        divergence = (mean.square() + log_variance.exp() - 1 - log_variance).sum(1) / 2
        return torch.stack(errors).mean() + self.divergence * divergence.mean()
