"""The generator of DF-GAN: noise and sentence shift and scale every channel, several times in each block."""

from itertools import pairwise
from typing import Annotated

import torch
from einops import rearrange
from jaxtyping import Float
from limner import Generator, Sizes, TextFeatures
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu

from .blocks import Pixels, remaining
from .fusion import ChannelAffine

Channels = Annotated[int, Field(ge=1)]


class DeepFusionGenerator(Generator):
    """One stage of residual blocks with deep fusion (Tao et al. 2022, DF-GAN, section 3.4).

        w = [z; s],    h_0 = W z,    h_{i+1} = Block_i(h_i; w),    image = tanh(Conv(up(leaky(h_n))))

    Only the noise makes the first map, of 4 x 4. Each block doubles the resolution. At every fusion, the channels are
    scaled and shifted by noise and sentence twice, with a nonlinearity in between, and nothing is normalized.

    With channels = [256, 256, 128, 64, 32], these are the published widths for 64 pixels. Fewer levels stop at a
    smaller map, which is enlarged to the image size before the last convolution.
    """

    def __init__(
        self,
        sizes: Sizes,
        *,
        channels: Annotated[list[Channels], Field(min_length=1)] = [128, 64, 32, 16],  # noqa: B006
        noise: Annotated[int, Field(ge=1)] = 100,
    ):
        """
        Args:
            sizes: what the parts of the model agree on.
            channels: of the maps at 4, 8, 16, ... pixels.
            noise: Z, the width of the noise.

        Raises:
            LimnerError: if the image size is not a multiple of the last map's.
        """
        super().__init__(sizes)
        self.noise_width, self.resolutions = noise, (sizes.image,)
        self.dense = nn.Linear(noise, channels[0] * 16)
        self.blocks = nn.ModuleList(
            DeepFusionBlock(noise + sizes.text, before, after) for before, after in pairwise(channels)
        )
        self.pixels = Pixels(channels[-1], remaining(sizes.image, len(channels)))

    def forward(self, noise: Float[Tensor, "B Z"], text: TextFeatures) -> list[Float[Tensor, "B 3 _ _"]]:
        condition = torch.cat([noise, text.sentence], 1)
        hidden = rearrange(self.dense(noise), "b (c h w) -> b c h w", h=4, w=4)
        for block in self.blocks:
            hidden = block(hidden, condition)
        return [self.pixels(leaky_relu(hidden, 0.2))]


class DeepFusionBlock(nn.Module):
    """Doubles the resolution of a map x, and fuses it with the condition w twice.

        y = Shortcut(up(x)) + Conv(Fuse(Conv(Fuse(up(x); w)); w))

    The shortcut is a convolution of 1 x 1 if the channels change. What treats each position alike is computed before
    the resolution is doubled, which gives the same map.
    """

    def __init__(self, condition: int, before: int, after: int):
        super().__init__()
        self.fuse_first, self.fuse_second = DeepFusion(condition, before), DeepFusion(condition, after)
        self.first, self.second = nn.Conv2d(before, after, 3, padding=1), nn.Conv2d(after, after, 3, padding=1)
        self.shortcut = nn.Conv2d(before, after, 1) if before != after else nn.Identity()

    def forward(self, hidden: Float[Tensor, "B C h w"], condition: Float[Tensor, "B K"]) -> Float[Tensor, "B D H W"]:
        fused = self.first(interpolate(self.fuse_first(hidden, condition), scale_factor=2))
        return interpolate(self.shortcut(hidden), scale_factor=2) + self.second(self.fuse_second(fused, condition))


class DeepFusion(nn.Module):
    """Fuse(x; w) = leaky(F_2(leaky(F_1(x; w)); w)),    F_i(x; w) = a_i(w) x + b_i(w)

    One affine transform can only shift and scale. Two with a nonlinearity in between can do more.
    """

    def __init__(self, condition: int, channels: int):
        super().__init__()
        self.affines = nn.ModuleList(ChannelAffine(condition, channels, channels, start=1.0) for _ in range(2))

    def forward(self, hidden: Float[Tensor, "B C H W"], condition: Float[Tensor, "B K"]) -> Float[Tensor, "B C H W"]:
        for affine in self.affines:
            scale, shift = affine(condition)
            hidden = leaky_relu(scale * hidden + shift, 0.2)
        return hidden
