"""From an image to scores: the convolutions of a discriminator, and the head that reads the sentence."""

from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise
from typing import TypeVar

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from limner.errors import LimnerError
from limner.layers.maps import require_maps
from limner.types import TextFeatures

LayerT = TypeVar("LayerT", bound=nn.Module)


def convolution(before: int, after: int, stride: int = 1) -> nn.Conv2d:
    """A convolution that shrinks the map `stride` times; its kernel overlaps by a pixel on each side."""
    return nn.Conv2d(before, after, 3 if stride == 1 else stride + 2, stride, padding=1)


def initialize(layer: LayerT) -> LayerT:
    """Initializes a convolution so that it keeps the scale of the activations (He et al. 2015); other layers stay."""
    if isinstance(layer, nn.Conv2d) and layer.bias is not None:
        nn.init.kaiming_normal_(layer.weight, 0.2)
        nn.init.zeros_(layer.bias)
    return layer


def halving_layers(channels: Sequence[int], size: int, residual: Collection[int]) -> Iterator[nn.Module]:
    """Convolutions with leaky ReLU: each one halves a map of `size` pixels, the last one keeps its size.

    The layers are made one by one, so `map(initialize, halving_layers(...))` initializes each before the next is made.

    Args:
        channels: before the first convolution and after each one.
        size: height and width of the map.
        residual: resolutions of the map at which a residual block is added, such as [8].

    Raises:
        LimnerError: if the map cannot be halved so often, or has none of the resolutions in `residual`.
    """
    halvings = len(channels) - 2
    if size % 2**halvings:
        raise LimnerError(f"channels: {len(channels)} layers shrink a map of {size} pixels too far; use fewer.")
    sizes = [size // 2**step for step in range(halvings + 1)]
    require_maps("residual", "discriminator", residual, sizes)
    for step, (before, after) in enumerate(pairwise(channels)):
        if sizes[step] in residual:
            yield ResidualBlock(before)
        yield convolution(before, after, 2 if step < halvings else 1)
        yield nn.LeakyReLU(0.2)


class ResidualBlock(nn.Module):
    """y = leaky(x + Conv3x3(x)) (He et al. 2016); the resolution stays the same."""

    def __init__(self, channels: int):
        super().__init__()
        self.convolution = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.kaiming_normal_(self.convolution.weight, 0.2)
        with torch.no_grad():
            self.convolution.weight.mul_(0.5)  # the shortcut dominates at first
            self.convolution.bias.zero_()  # pyright: ignore[reportOptionalMemberAccess]

    def forward(self, features: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C h w"]:
        return leaky_relu(features + self.convolution(features), 0.2)


class TextHead(nn.Module):
    """Scores how well a feature map f matches a sentence s.

        g = leaky((1 + a(s)) W f + b(s)),    D(f, s) = v . g,    D_p(f, s) = u . g_p

    The sentence scales and shifts the channels of W f, alike at every position; a and b are linear. With `regions`
    (PatchGAN, Isola et al. 2017), the scores are the h w D_p, then h w times D, so that both weigh the same in a mean.
    """

    def __init__(self, text: int, channels: int, size: int, width: int, regions: bool = False):
        """`text`: D; `channels`: of f; `size`: h and w; `width`: of W f; `regions`: score each position p, too."""
        super().__init__()
        self.project = nn.Conv2d(channels, width, 1)
        self.affine = nn.Linear(text, 2 * width)
        self.match, self.region = nn.Linear(width * size**2, 1), nn.Conv2d(width, 1, 1) if regions else None

    def forward(self, features: Float[Tensor, "B C h w"], text: TextFeatures) -> Float[Tensor, "B S"]:
        scale, shift = rearrange(self.affine(text.sentence), "b (two c) -> two b c 1 1", two=2)
        joined = leaky_relu((1 + scale) * self.project(features) + shift, 0.2)
        whole = self.match(rearrange(joined, "b c h w -> b (c h w)")).float()
        regions = None if self.region is None else self.region(joined).float().flatten(1)
        return whole if regions is None else torch.cat([regions, whole.expand_as(regions)], 1)
