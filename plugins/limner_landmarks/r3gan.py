"""The networks of R3GAN: residual blocks of grouped convolutions, without any normalization, here with a caption."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, TypeVar

import torch
from einops import rearrange
from jaxtyping import Float
from limner import Discriminator, Generator, Judgement, LimnerError, Sizes, TextFeatures
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, leaky_relu, pixel_shuffle

from .blocks import GAIN, remaining

Channels = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=1)]
LayerT = TypeVar("LayerT", nn.Conv2d, nn.Linear)


class R3GANGenerator(Generator):
    """A mirror image of its discriminator (Huang et al. 2024, R3GAN, section 3).

        h_0 = B * W [z; E s],    h_{i+1} = Blocks_i(up(Conv1x1(h_i))),    image = tanh(PixelShuffle(Conv(h_n)))

    B is a learned map of 4 x 4, which noise and sentence scale channel by channel; there is no mapping network. up is
    bilinear. Use it with the losses "relativistic", "r1" and "r2".

    With channels = [768, 768, 768, 768, 384, 192, 96], group = 16 and noise = 64, these are the published sizes for 256
    pixels. Fewer levels stop at a smaller map, and a pixel shuffle covers the rest of the way to the image size.
    """

    def __init__(
        self,
        sizes: Sizes,
        *,
        channels: Annotated[list[Channels], Field(min_length=1)] = [128, 96, 64],  # noqa: B006
        blocks: Count = 2,
        group: Count = 16,
        expansion: Count = 2,
        noise: Count = 64,
        embedding: Count = 64,
    ):
        """
        Args:
            sizes: what the parts of the model agree on.
            channels: of the maps at 4, 8, 16, ... pixels.
            blocks: residual blocks at each resolution.
            group: channels in each group of a grouped convolution.
            expansion: how many times wider a residual block is inside.
            noise: Z, the width of the noise.
            embedding: width of E s, the embedded sentence.

        Raises:
            LimnerError: if the image size is not a multiple of the last map's, or groups do not divide the channels.
        """
        super().__init__(sizes)
        self.noise_width, self.resolutions = noise, (sizes.image,)
        self.shuffle = remaining(sizes.image, len(channels))
        self.sentence = scaled(nn.Linear(sizes.text, embedding, bias=False))
        self.dense = scaled(nn.Linear(noise + embedding, channels[0], bias=False))
        self.basis = nn.Parameter(torch.randn(channels[0], 4, 4))
        self.levels = nn.ModuleList(
            residual_blocks(width, blocks, group, expansion, len(channels)) for width in channels
        )
        self.transitions = nn.ModuleList(change_channels(before, after) for before, after in pairwise(channels))
        kernel = 1 if self.shuffle == 1 else 3
        self.pixels = scaled(nn.Conv2d(channels[-1], 3 * self.shuffle**2, kernel, padding=kernel // 2, bias=False))
        with torch.no_grad():  # all pixels of a position start alike (Aitken et al. 2017)
            alike = self.pixels.weight[:: self.shuffle**2].repeat_interleave(self.shuffle**2, 0)
            self.pixels.weight.copy_(alike)

    def forward(self, noise: Float[Tensor, "B Z"], text: TextFeatures) -> list[Float[Tensor, "B 3 _ _"]]:
        condition = self.dense(torch.cat([noise, self.sentence(text.sentence)], 1))
        hidden = self.levels[0](self.basis * rearrange(condition, "b c -> b c 1 1"))
        for transition, level in zip(self.transitions, list(self.levels)[1:]):
            hidden = level(interpolate(transition(hidden), scale_factor=2, mode="bilinear"))
        return [pixel_shuffle(self.pixels(hidden).float(), self.shuffle).tanh()]


class R3GANDiscriminator(Discriminator):
    """Residual blocks at each resolution, then a product with the sentence (Huang et al. 2024, R3GAN, section 3).

        h_0 = Conv(x),    h_{i+1} = Conv1x1(mean_2x2(Blocks_i(h_i))),    f = Blocks_n(h_n)
        D(x, c) = (W (B * f)) . E s

    B * f weighs and sums the positions of each channel, with learned weights. The product is that of projection
    (Miyato and Koyama 2018); the paper embeds a class in the place of the sentence.

    With channels = [96, 192, 384, 768, 768, 768, 768], group = 16 and stem_stride = 1, these are the published sizes
    for 256 pixels.
    """

    def __init__(
        self,
        sizes: Sizes,
        *,
        channels: Annotated[list[Channels], Field(min_length=1)] = [64, 128, 128],  # noqa: B006
        stem_stride: Count = 4,
        blocks: Count = 1,
        group: Count = 16,
        expansion: Count = 2,
        embedding: Count = 128,
    ):
        """
        Args:
            sizes: what the parts of the model agree on.
            channels: of the maps, the largest first; from one to the next, the resolution halves.
            stem_stride: how many times the first convolution shrinks the image; 1 in the paper.
            blocks: residual blocks at each resolution.
            group: channels in each group of a grouped convolution.
            expansion: how many times wider a residual block is inside.
            embedding: width of E s, the embedded sentence.

        Raises:
            LimnerError: if the image cannot be shrunk so far, or groups do not divide the channels.
        """
        super().__init__(sizes)
        shrinkage = stem_stride * 2 ** (len(channels) - 1)
        if sizes.image % shrinkage:
            raise LimnerError(f"channels: {len(channels)} levels shrink {sizes.image} pixels too far; use fewer.")
        self.feature_channels, self.feature_size = channels[-1], sizes.image // shrinkage
        overlap = int(stem_stride > 1)
        self.stem = scaled(
            nn.Conv2d(3, channels[0], stem_stride + 2 * overlap, stem_stride, padding=overlap, bias=False)
        )
        self.levels = nn.ModuleList(
            residual_blocks(width, blocks, group, expansion, len(channels)) for width in channels
        )
        self.transitions = nn.ModuleList(change_channels(before, after) for before, after in pairwise(channels))
        last = channels[-1]
        self.basis = scaled(nn.Conv2d(last, last, self.feature_size, groups=last, bias=False))
        self.dense = scaled(nn.Linear(last, embedding, bias=False))
        self.sentence = scaled(nn.Linear(sizes.text, embedding, bias=False), embedding**-0.5)

    def look(self, images: Sequence[Float[Tensor, "B 3 _ _"]]) -> Float[Tensor, "B C h w"]:
        hidden = self.levels[0](self.stem(images[-1]))
        for transition, level in zip(self.transitions, list(self.levels)[1:]):
            hidden = level(transition(avg_pool2d(hidden, 2)))
        return hidden

    def judge(self, features: Float[Tensor, "B C h w"], text: TextFeatures) -> Judgement:
        image = self.dense(self.basis(features).flatten(1)).float()
        match = (image * self.sentence(text.sentence).float()).sum(1, keepdim=True)
        return Judgement(match, None, features)


class GroupedBlock(nn.Module):
    """y = x + Conv1x1(leaky(Conv3x3_grouped(leaky(Conv1x1(x)))))

    The last convolution starts at 0. The weights of the others start L^(-1/4) times smaller than usual, where L is the
    number of blocks in the network (fix-up initialization, Zhang et al. 2019). This takes the place of normalization.
    """

    def __init__(self, channels: int, group: int, expansion: int, depth: int):
        """`group`: channels in a group; `depth`: L."""
        super().__init__()
        wide = expansion * channels
        gain = GAIN * depth**-0.25
        self.expand = scaled(nn.Conv2d(channels, wide, 1), gain)
        self.mix = scaled(nn.Conv2d(wide, wide, 3, padding=1, groups=wide // group), gain)
        self.reduce = scaled(nn.Conv2d(wide, channels, 1, bias=False), 0.0)

    def forward(self, hidden: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        wide = leaky_relu(self.mix(leaky_relu(self.expand(hidden), 0.2)), 0.2)
        return hidden + self.reduce(wide)


def residual_blocks(channels: int, blocks: int, group: int, expansion: int, levels: int) -> nn.Sequential:
    """The blocks at one resolution.

    Raises:
        LimnerError: if the groups do not divide the channels.
    """
    if expansion * channels % group:
        raise LimnerError(
            f"group: groups of {group} channels do not divide {expansion * channels}, the width inside a block of "
            f"{channels} channels; choose a number that does."
        )
    return nn.Sequential(*(GroupedBlock(channels, group, expansion, blocks * levels) for _ in range(blocks)))


def change_channels(before: int, after: int) -> nn.Module:
    """A convolution of 1 x 1, or nothing if the channels stay the same."""
    return nn.Identity() if before == after else scaled(nn.Conv2d(before, after, 1, bias=False))


def scaled(layer: LayerT, gain: float = 1.0) -> LayerT:
    """Initializes a layer with N(0, gain^2 / n), for n inputs of each output; its bias starts at 0."""
    nn.init.normal_(layer.weight, 0.0, gain / layer.weight[0].numel() ** 0.5)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
