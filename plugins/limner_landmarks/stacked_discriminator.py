"""The discriminators of the StackGAN family: one for each stage."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Literal

import torch
from einops import rearrange
from jaxtyping import Float
from limner import Discriminator, Judgement, LimnerError, Sizes, TextFeatures
from pydantic import Field
from torch import Tensor, nn

from .blocks import everywhere
from .dcgan import batch_norm


class StackedDiscriminator(Discriminator):
    """A discriminator D_i for the images x_i of each stage (Zhang et al. 2017, StackGAN; 2018, StackGAN++, eq. 6).

        f_i = Down_i(x_i),    D_i(x_i, c) = w_i . leaky(BN(Conv([f_i; s]))),    D_i(x_i) = v_i . f_i

    Down_i halves the image with 4 x 4 convolutions and batch normalization until it has 4 x 4 positions; s, the
    sentence, is put at each of them. A batch is normalized by its own mean and variance, in evaluation as well. In
    StackGAN, the stages are trained one after the other: with `newest`, only the last stage that has joined is judged.
    """

    def __init__(
        self,
        sizes: Sizes,
        *,
        channels: Annotated[int, Field(ge=2)] = 16,
        kernel: Literal[1, 3] = 3,
        realism: bool = False,
        newest: bool = False,
    ):
        """
        Args:
            sizes: what the parts of the model agree on.
            channels: of the first map of a 64-pixel image; each halving doubles them, up to eight times as many at
                4 x 4 positions, at which a smaller image arrives after fewer halvings.
            kernel: of the convolution that joins image and sentence: 1 in the text of the paper, 3 in its code.
            realism: whether each image is also scored without its text.
            newest: whether only the last stage that has joined is judged.

        Raises:
            LimnerError: if an image size is not 8, 16, 32 or 64.
        """
        super().__init__(sizes)
        self.scales, self.newest = sizes.resolutions or (sizes.image,), newest
        if wrong := [scale for scale in self.scales if scale not in (8, 16, 32, 64)]:
            raise LimnerError(f"discriminator: 'stacked' judges images of 8, 16, 32 or 64 pixels, got {wrong[0]}.")
        wide = 8 * channels
        self.feature_channels, self.feature_size = wide * len(self.scales), 4
        self.towers = nn.ModuleList(tower(scale, wide) for scale in self.scales)
        self.heads = nn.ModuleList(Head(wide, sizes.text, kernel) for _ in self.scales)
        self.plain = nn.ModuleList(nn.Conv2d(wide, 1, 4) for _ in self.scales if realism)
        self.first, self.last = 0, len(self.scales)  # the scales that are judged

    def look(self, images: Sequence[Float[Tensor, "B 3 _ _"]]) -> Float[Tensor, "B C h w"]:
        self.last = len(images)
        self.first = self.last - 1 if self.newest else 0
        maps = [tower(image) for tower, image in list(zip(self.towers, images))[self.first :]]
        none = torch.zeros_like(maps[0])
        return torch.cat([none] * self.first + maps + [none] * (len(self.scales) - self.last), 1)

    def judge(self, features: Float[Tensor, "B C h w"], text: TextFeatures) -> Judgement:
        parts = features.chunk(len(self.scales), 1)
        judged = range(self.first, self.last)
        match = torch.cat([self.heads[i](parts[i], text.sentence) for i in judged], 1)
        realism = torch.cat([self.plain[i](parts[i]).flatten(1) for i in judged], 1).float() if self.plain else None
        return Judgement(match, realism, features)


class Head(nn.Module):
    """w . leaky(BN(Conv([f; s])))."""

    def __init__(self, channels: int, text: int, kernel: int):
        super().__init__()
        convolution = nn.Conv2d(channels + text, channels, kernel, padding=kernel // 2, bias=False)
        self.join = nn.Sequential(convolution, *leaky(channels))
        self.match = nn.Conv2d(channels, 1, 4)

    def forward(self, features: Float[Tensor, "B C 4 4"], sentence: Float[Tensor, "B D"]) -> Float[Tensor, "B 1"]:
        return rearrange(self.match(self.join(everywhere(features, sentence))).float(), "b 1 1 1 -> b 1")


def tower(size: int, wide: int) -> nn.Sequential:
    """From an image of `size` pixels to `wide` channels at 4 x 4 positions; the first convolution is not normalized."""
    halvings = (size // 4).bit_length() - 1
    widths = [wide >> level for level in range(halvings - 1, -1, -1)]
    layers: list[nn.Module] = [nn.Conv2d(3, widths[0], 4, 2, 1, bias=False), nn.LeakyReLU(0.2)]
    for before, after in pairwise(widths):
        layers += [nn.Conv2d(before, after, 4, 2, 1, bias=False), *leaky(after)]
    return nn.Sequential(*layers)


def leaky(channels: int) -> list[nn.Module]:
    """Batch normalization, then leaky ReLU."""
    return [batch_norm(channels), nn.LeakyReLU(0.2)]
