"""The loss of flow matching."""

from math import log
from typing import Annotated

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from limner import LimnerError, Loss, Sizes, Step, TextFeatures
from pydantic import Field
from torch import Tensor

from .flow import Times, between, velocity_towards, without_text
from .unet import FlowUNet


class FlowMatching(Loss):
    """The generator learns the velocity of a straight path from noise z to a real image x (Lipman et al. 2023, equation
    23 with sigma_min = 0; Liu et al. 2023, equation 1).

        x_t = (1 - t) z + t x,    L = E_{x,c,z,t}[ |v(x_t, t, c) - (x - z)|^2 ],    |.|^2 the mean over pixels

    The minimum is v = E[x - z | x_t, t, c], and the differential equation dx/dt = v turns noise into images with the
    distribution of the real ones. logit t ~ N(-log s, 1), where s is the `shift` (Esser et al. 2024, section 3.1); the
    times of a batch are spread evenly over this distribution (Kingma et al. 2021, appendix I.1). A caption is dropped
    with the probability `drop`, so that the generator also knows images without a text, which guidance needs (Ho and
    Salimans 2022, algorithm 1).
    """

    needs_discriminator = False

    def __init__(
        self,
        sizes: Sizes,
        *,
        shift: Annotated[float, Field(gt=0)] = 5.0,
        drop: Annotated[float, Field(ge=0, lt=1)] = 0.1,
    ):
        """
        Args:
            sizes: what the parts of the model agree on.
            shift: s; a larger one trains more at times near the noise.
            drop: the probability that a caption is dropped.
        """
        super().__init__(sizes)
        self.shift, self.drop = shift, drop

    def generator(self, step: Step) -> Float[Tensor, ""]:
        """
        Raises:
            LimnerError: if the generator has no velocity.
        """
        network = step.conditional_generator.generator
        if not isinstance(network, FlowUNet):
            raise LimnerError(
                "The loss flow-matching needs a generator with a velocity; use generator.name = 'flow-unet'."
            )
        noise, own = network.starts(step.noise), step.rows.own
        times, dropped = self.times(step.noise), self.dropped(step.noise)
        text = without_text(step.text, dropped)
        images = between(noise, step.batch.images, times)
        shown = TextFeatures(own(text.words), own(text.sentence), own(text.mask))
        estimate = step.rows.gather(network.estimate(own(images), own(times), shown), len(step.batch))
        velocity = velocity_towards(estimate, images, times)
        return (velocity - velocity_towards(step.batch.images, images, times)).square().mean()

    def times(self, noise: Float[Tensor, "B Z"]) -> Times:
        """t of each row: a part of 1 / B of the distribution each, at a place that the noise decides for all rows."""
        precise = torch.float32 if noise.device.type == "mps" else torch.float64  # Apple's GPUs have no float64
        start = torch.special.ndtr(noise[0, -2].to(precise))
        place = (torch.arange(len(noise), device=noise.device) + start) / len(noise)
        return torch.sigmoid(torch.special.ndtri(place) - log(self.shift)).to(noise.dtype)

    def dropped(self, noise: Float[Tensor, "B Z"]) -> Bool[Tensor, " B"]:
        """The rows whose captions are dropped, which the last number of their noise decides."""
        return rearrange(torch.special.ndtr(noise[:, -1:]), "b 1 -> b") < self.drop
