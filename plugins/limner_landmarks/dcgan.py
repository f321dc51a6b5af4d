"""The networks of GAN-INT-CLS: DCGAN, with a caption."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated

import torch
from einops import rearrange
from jaxtyping import Float
from limner import Discriminator, Generator, Judgement, LimnerError, Sizes, TextFeatures
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from .blocks import everywhere

Channels = Annotated[int, Field(ge=1)]
Width = Annotated[int, Field(ge=1)]


class DCGANGenerator(Generator):
    """Transposed convolutions with batch normalization (Radford et al. 2016), from noise and a caption (Reed et al.
    2016, section 4.1).

        t = leaky(P s),    h_0 = relu(norm(W [z; t])),    h_{i+1} = relu(norm(ConvT_i(h_i))),    x = tanh(ConvT(h_n))

    The projected sentence t joins the noise at the input, and nowhere else. Every transposed convolution doubles the
    resolution, from 4 pixels on; the last one makes the image x.
    """

    def __init__(
        self,
        sizes: Sizes,
        *,
        channels: Annotated[list[Channels], Field(min_length=1)] = [192, 96, 48, 24],  # noqa: B006
        noise: Annotated[int, Field(ge=1)] = 100,
        text_width: Width = 128,
    ):
        """
        Args:
            sizes: what the parts of the model agree on.
            channels: of the maps at 4, 8, 16, ... pixels; the image has twice the resolution of the last.
            noise: Z, the width of the noise.
            text_width: of t, the projected sentence.

        Raises:
            LimnerError: if the levels do not lead to the image size.
        """
        super().__init__(sizes)
        made = 4 * 2 ** len(channels)
        if made != sizes.image:
            raise LimnerError(
                f"channels: {len(channels)} levels make images of {made} pixels, and the image size is {sizes.image}; "
                "every level more doubles it."
            )
        self.noise_width, self.resolutions = noise, (sizes.image,)
        self.text = nn.Linear(sizes.text, text_width)
        self.first = nn.Sequential(
            nn.ConvTranspose2d(noise + text_width, channels[0], 4, bias=False), nn.BatchNorm2d(channels[0]), nn.ReLU()
        )
        self.levels = nn.Sequential(
            *(
                nn.Sequential(
                    nn.ConvTranspose2d(before, after, 4, 2, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()
                )
                for before, after in pairwise(channels)
            )
        )
        self.pixels = nn.ConvTranspose2d(channels[-1], 3, 4, 2, padding=1)
        self.apply(initialize)

    def forward(self, noise: Float[Tensor, "B Z"], text: TextFeatures) -> list[Float[Tensor, "B 3 _ _"]]:
        projected = leaky_relu(self.text(text.sentence), 0.2)
        start = rearrange(torch.cat([noise, projected], 1), "b z -> b z 1 1")
        return [self.pixels(self.levels(self.first(start))).float().tanh()]


class DCGANDiscriminator(Discriminator):
    """Strided convolutions with batch normalization; the projected sentence joins at the last map (Reed et al. 2016,
    section 4.1).

        f = Look(x),    t = leaky(P s),    D(x, c) = V leaky(norm(U [f; t]))

    t is repeated at every position of f; U is a convolution of 1 x 1, V covers the whole map. The statistics of the
    normalization are always those of the batch: real images, generated ones and mismatched pairs have their own.
    """

    def __init__(
        self,
        sizes: Sizes,
        *,
        channels: Annotated[list[Channels], Field(min_length=1)] = [24, 48, 96, 192],  # noqa: B006
        text_width: Width = 128,
    ):
        """
        Args:
            sizes: what the parts of the model agree on.
            channels: of the convolutions; each halves the map.
            text_width: of t, the projected sentence.

        Raises:
            LimnerError: if the image cannot be halved so often.
        """
        super().__init__(sizes)
        size, remainder = divmod(sizes.image, 2 ** len(channels))
        if remainder or size < 2:
            raise LimnerError(f"channels: {len(channels)} layers shrink {sizes.image} pixels too far; use fewer.")
        self.feature_channels, self.feature_size = channels[-1], size
        layers: list[nn.Module] = [nn.Conv2d(3, channels[0], 4, 2, padding=1), nn.LeakyReLU(0.2)]
        for before, after in pairwise(channels):
            layers += [nn.Conv2d(before, after, 4, 2, padding=1, bias=False), batch_norm(after), nn.LeakyReLU(0.2)]
        self.trunk = nn.Sequential(*layers)
        self.text = nn.Linear(sizes.text, text_width)
        self.join = nn.Conv2d(channels[-1] + text_width, channels[-1], 1, bias=False)
        self.norm = batch_norm(channels[-1])
        self.match = nn.Conv2d(channels[-1], 1, size)
        self.apply(initialize)

    def look(self, images: Sequence[Float[Tensor, "B 3 _ _"]]) -> Float[Tensor, "B C h w"]:
        return self.trunk(images[-1])

    def judge(self, features: Float[Tensor, "B C h w"], text: TextFeatures) -> Judgement:
        projected = leaky_relu(self.text(text.sentence), 0.2).to(features.dtype)
        joined = leaky_relu(self.norm(self.join(everywhere(features, projected))), 0.2)
        return Judgement(self.match(joined).float().flatten(1), None, features)


def batch_norm(channels: int) -> nn.BatchNorm2d:
    """Batch normalization without running statistics, which two batches at the same time would disturb."""
    return nn.BatchNorm2d(channels, track_running_stats=False)


def initialize(layer: nn.Module) -> None:
    """Initializes convolutions with N(0, 0.02^2), and the factors of a normalization with N(1, 0.02^2)."""
    if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d)):
        nn.init.normal_(layer.weight, float(isinstance(layer, nn.BatchNorm2d)), 0.02)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
