"""The generator of GigaGAN: noise and sentence mix the kernels of every convolution, for each image anew."""

from itertools import pairwise
from typing import Annotated

import torch
from einops import einsum, rearrange, repeat
from jaxtyping import Float
from limner import Attention, Generator, Sizes, Slot, TextFeatures
from limner.layers import Mapping
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate, leaky_relu

from .blocks import GAIN, Pixels, remaining

Count = Annotated[int, Field(ge=1)]


class AdaptiveKernelGenerator(Generator):
    """Convolutions with kernels that noise and sentence select (Kang et al. 2023, GigaGAN, section 3.1).

        w = Mapping(z, s),    up(h_0) = B,    h_{i+1} = Attend(Adapt(Adapt(up(h_i); w); w)),    image = Pixels(h_n)

    B is a learned map of 4 x 4 that all images share. A leaky ReLU follows each Adapt. Usually, a convolution has one
    kernel for everything that a model paints. Here it has several, and each image gets its own mixture of them.
    """

    def __init__(
        self,
        sizes: Sizes,
        *,
        channels: Annotated[list[Count], Field(min_length=1)] = [128, 64, 32, 16],  # noqa: B006
        kernels: Count = 4,
        noise: Count = 64,
        mapping: Count = 128,
        attention: Slot[Attention] = Slot(),  # noqa: B008
    ):
        """
        Args:
            sizes: what the parts of the model agree on.
            channels: of the maps at 4, 8, 16, ... pixels; the last one is enlarged to the image size.
            kernels: N, how many kernels each convolution mixes; with 1, it can only scale its inputs (StyleGAN2).
            noise: Z, the width of the noise.
            mapping: width of w.
            attention: attention modules, at the resolutions that the recipe names.

        Raises:
            LimnerError: if the image size is not a multiple of the last map's, or an attention names another
                resolution.
        """
        super().__init__(sizes)
        self.noise_width, self.resolutions = noise, (sizes.image,)
        resolutions = [4 * 2**level for level in range(len(channels))]
        attention.require(resolutions)
        self.mapping = Mapping(noise, sizes.text, mapping)
        self.start = nn.Parameter(torch.randn(channels[0], 4, 4))
        pairs = [(channels[0], channels[0]), *pairwise(channels)]
        self.levels = nn.ModuleList(AdaptiveLevel(mapping, *pair, kernels) for pair in pairs)
        self.attentions = nn.ModuleList(attention.build(sizes, *level) for level in zip(channels, resolutions))
        self.pixels = Pixels(channels[-1], remaining(sizes.image, len(channels)))

    def forward(self, noise: Float[Tensor, "B Z"], text: TextFeatures) -> list[Float[Tensor, "B 3 _ _"]]:
        style = self.mapping(noise, text.sentence)
        hidden = repeat(self.start, "c h w -> b c h w", b=len(noise))
        for index, (level, attentions) in enumerate(zip(self.levels, self.attentions)):
            hidden = level(interpolate(hidden, scale_factor=2) if index else hidden, style)
            for attend in attentions.children():
                hidden = attend(hidden, text)
        return [self.pixels(hidden)]


class AdaptiveLevel(nn.Module):
    """leaky(Adapt(leaky(Adapt(x; w)); w))"""

    def __init__(self, style: int, before: int, after: int, kernels: int):
        super().__init__()
        self.convolutions = nn.ModuleList(AdaptiveConvolution(style, c, after, kernels) for c in (before, after))

    def forward(self, hidden: Float[Tensor, "B C H W"], style: Float[Tensor, "B K"]) -> Float[Tensor, "B D H W"]:
        for convolution in self.convolutions:
            hidden = leaky_relu(convolution(hidden, style), 0.2)
        return hidden


class AdaptiveConvolution(nn.Module):
    """A convolution with a kernel of its own for each image (Kang et al. 2023, equation 1).

        K = sum_n softmax_n(F w) K_n,    M_oi = (S w)_i K_oi,    y_o = g / |M_o| sum_i M_oi * x_i + b_o

    The softmax mixes N kernels. S w scales each input channel, and each output channel o is divided by the norm of its
    weights, so that no normalization of the map is needed (Karras et al. 2020, StyleGAN2, section 2.2). The gain g is
    that of a leaky ReLU.
    """

    def __init__(self, style: int, before: int, after: int, kernels: int):
        """`style`: width of w; `kernels`: N."""
        super().__init__()
        self.kernels = nn.Parameter(torch.randn(kernels, after, before, 3, 3))
        self.select, self.scale = nn.Linear(style, kernels), nn.Linear(style, before)
        self.bias = nn.Parameter(torch.zeros(after))
        nn.init.ones_(self.scale.bias)

    def forward(self, hidden: Float[Tensor, "B C H W"], style: Float[Tensor, "B K"]) -> Float[Tensor, "B D H W"]:
        mixed = einsum(self.select(style).softmax(1), self.kernels, "b n, n o i y x -> b o i y x")
        mixed = mixed * rearrange(self.scale(style), "b i -> b 1 i 1 1")
        mixed = GAIN * mixed / (torch.linalg.vector_norm(mixed, dim=(2, 3, 4), keepdim=True) + 1e-8)
        grouped = conv2d(  # one group of channels for each image
            rearrange(hidden, "b i h w -> 1 (b i) h w"),
            rearrange(mixed, "b o i y x -> (b o) i y x"),
            padding=1,
            groups=len(hidden),
        )
        return rearrange(grouped, "1 (b o) h w -> b o h w", b=len(hidden)) + rearrange(self.bias, "o -> o 1 1")
