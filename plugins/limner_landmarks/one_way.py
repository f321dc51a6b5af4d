"""The discriminator of DF-GAN and SSA-GAN: residual blocks, and one score, of the image with its caption."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated

import torch
from jaxtyping import Float
from limner import Discriminator, Judgement, LimnerError, Sizes, TextFeatures
from limner.layers import convolution
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, leaky_relu

from .blocks import everywhere

Channels = Annotated[int, Field(ge=1)]


class OneWayDiscriminator(Discriminator):
    """Residual blocks that halve the image; the sentence joins at the last map (Tao et al. 2022, DF-GAN, section 3.3).

        f = Block_n(... Block_1(Conv(x))),    D(x, c) = V leaky(U [f; s])

    s is repeated at every position of f; U is a convolution of 3 x 3, V covers the whole map. There is one score only,
    of the image with its caption. A second score, of the image alone, would pull the generator in another direction.
    Use it with a penalty on the gradient: nothing is normalized.
    """

    def __init__(
        self,
        sizes: Sizes,
        *,
        channels: Annotated[list[Channels], Field(min_length=2)] = [16, 32, 64, 128],  # noqa: B006
        stem_stride: Annotated[int, Field(ge=1)] = 2,
        head: Annotated[int, Field(ge=1)] = 64,
        residual_start: float = 0.0,
    ):
        """
        Args:
            sizes: what the parts of the model agree on.
            channels: of the first convolution and after each block; every block halves the map.
            stem_stride: how many times the first convolution shrinks the image; 1 in the paper.
            head: channels of U.
            residual_start: what the factors g of the residuals start with. With 0, as in the released code, the trunk
                is linear at first and grows slowly; with 1, the recipe df-gan diverged after some 800 steps.

        Raises:
            LimnerError: if the image cannot be shrunk so far.
        """
        super().__init__(sizes)
        shrinkage = stem_stride * 2 ** (len(channels) - 1)
        if sizes.image % shrinkage:
            raise LimnerError(f"channels: {len(channels)} layers shrink {sizes.image} pixels too far; use fewer.")
        self.feature_channels, self.feature_size = channels[-1], sizes.image // shrinkage
        self.stem = convolution(3, channels[0], stem_stride)
        self.blocks = nn.Sequential(*(HalvingBlock(*pair, residual_start) for pair in pairwise(channels)))
        self.join = nn.Conv2d(channels[-1] + sizes.text, head, 3, padding=1, bias=False)
        self.match = nn.Conv2d(head, 1, self.feature_size, bias=False)

    def look(self, images: Sequence[Float[Tensor, "B 3 _ _"]]) -> Float[Tensor, "B C h w"]:
        return self.blocks(self.stem(images[-1]))

    def judge(self, features: Float[Tensor, "B C h w"], text: TextFeatures) -> Judgement:
        joined = leaky_relu(self.join(everywhere(features, text.sentence.to(features.dtype))), 0.2)
        return Judgement(self.match(joined).float().flatten(1), None, features)


class HalvingBlock(nn.Module):
    """y = mean_2x2(Shortcut(x)) + g leaky(Conv3x3(leaky(Conv4x4(x)))), with a learned factor g."""

    def __init__(self, before: int, after: int, start: float):
        super().__init__()
        self.first = nn.Conv2d(before, after, 4, stride=2, padding=1, bias=False)
        self.second = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.shortcut = nn.Conv2d(before, after, 1) if before != after else nn.Identity()
        self.factor = nn.Parameter(torch.tensor([start]))

    def forward(self, features: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D h w"]:
        residual = leaky_relu(self.second(leaky_relu(self.first(features), 0.2)), 0.2)
        return self.shortcut(avg_pool2d(features, 2)) + self.factor * residual
