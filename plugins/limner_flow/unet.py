"""A small U-Net that finds its way from noise to an image, step by step."""

from itertools import pairwise
from math import pi
from typing import Annotated

import torch
from einops import rearrange
from jaxtyping import Float
from limner import Attention, Generator, LimnerError, Sizes, Slot, TextFeatures
from limner.layers import Mapping, Modulate, PlainPixels, UpLevel, initialize
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, pixel_unshuffle

from .flow import Images, Method, Times, grid, guided, solve, velocity_towards, without_text

Channels = Annotated[int, Field(ge=1)]
FREQUENCIES = 16
"""How many frequencies describe the time."""


class FlowUNet(Generator):
    """Turns noise into an image along the velocity that flow matching taught it (Lipman et al. 2023; Liu et al. 2023).

        dx/dt = v(x, t, c) = (X(x, t, c) - x) / (1 - t),    from x = z at t = 0 to the image at t = 1
        with guidance:  v(x, t) + g (v(x, t, c) - v(x, t))  in place of v(x, t, c)

    X is a U-Net (Ronneberger et al. 2015) that estimates the image x_1 from its noisy state x_t (Li and He 2025). It
    sees patches of pixels as channels, and makes its maps smaller and then larger again:

        w = Mapping(features of t, s),    h_0 = Conv(Patches(x)) + p,    h <- h + Conv(leaky(Modulate(h; w)))

    The condition w scales and shifts the channels of every block, attention modules read the words, and p is a learned
    value for each position. A forward pass solves the equation with `steps` evaluations (with Heun's method and with
    guidance, twice as many each). The noise has a number for each value of a pixel, and two more that only the training
    reads: they choose the time, and whether the caption is dropped.
    """

    def __init__(
        self,
        sizes: Sizes,
        *,
        patch: Annotated[int, Field(ge=1)] = 4,
        channels: Annotated[list[Channels], Field(min_length=1)] = [48, 96, 192],  # noqa: B006
        middle: Annotated[int, Field(ge=1)] = 2,
        attention: Slot[Attention] = Slot(),  # noqa: B008
        mapping: Annotated[int, Field(ge=1)] = 256,
        steps: Annotated[int, Field(ge=1, le=1000)] = 12,
        method: Method = "euler",
        guidance: Annotated[float, Field(ge=0)] = 2.0,
        shift: Annotated[float, Field(gt=0)] = 5.0,
    ):
        """
        Args:
            sizes: what the parts of the model agree on.
            patch: height and width of a patch, in pixels.
            channels: of the maps, the largest first; each map is half as high and wide as the one before.
            middle: blocks at the smallest map; there is one at the others on the way down, and one on the way up.
            attention: attention modules, at the resolutions that the recipe names, on the way up.
            mapping: width of the mapping network's two layers.
            steps: n, of the solver.
            method: of the solver, "euler" or "heun".
            guidance: g; 1 paints with the text alone, and a larger one goes further from what fits any text.
            shift: s; a larger one makes smaller steps near the noise.

        Raises:
            LimnerError: if patches and levels do not fit the image size, or an attention names another resolution.
        """
        super().__init__(sizes)
        shrinkage = patch * 2 ** (len(channels) - 1)
        if sizes.image % shrinkage:
            raise LimnerError(
                f"channels: patches of {patch} pixels and {len(channels)} levels need an image size that is a multiple "
                f"of {shrinkage}, and it is {sizes.image}; use fewer levels or smaller patches."
            )
        self.resolutions, self.noise_width = (sizes.image,), 3 * sizes.image**2 + 2
        self.patch, self.steps, self.guidance, self.shift = patch, steps, guidance, shift
        self.method: Method = method
        maps = [sizes.image // patch // 2**level for level in range(len(channels))]
        attention.require(maps)
        first, last = channels[0], channels[-1]
        self.mapping = Mapping(2 * FREQUENCIES, sizes.text, mapping)
        self.patches = initialize(nn.Conv2d(3 * patch**2, first, 3, padding=1))
        self.places = nn.Parameter(torch.randn(first, maps[0], maps[0]) / 2)
        self.down_blocks = nn.ModuleList(Block(mapping, width) for width in channels[:-1])
        self.down = nn.ModuleList(initialize(nn.Conv2d(a, b, 4, 2, 1)) for a, b in pairwise(channels))
        self.middle = nn.ModuleList(Block(mapping, last) for _ in range(middle))
        self.attentions = nn.ModuleList(attention.build(sizes, c, at) for c, at in zip(channels, maps))
        self.up = nn.ModuleList(UpLevel(mapping, a, b, residual=True) for a, b in pairwise(channels[::-1]))
        self.up_blocks = nn.ModuleList(Block(mapping, width) for width in channels[-2::-1])
        self.modulate = Modulate(mapping, first)
        self.pixels = PlainPixels(first, patch)

    def forward(self, noise: Float[Tensor, "B Z"], text: TextFeatures) -> list[Float[Tensor, "B 3 _ _"]]:
        def velocity(images: Images, times: Times) -> Images:
            return self.velocity(images, times, text)

        images = solve(velocity, self.starts(noise), grid(self.steps, self.shift), self.method)
        return [images.clamp(-1, 1)]

    def starts(self, noise: Float[Tensor, "B Z"]) -> Images:
        """x at t = 0: the noise as an image."""
        return rearrange(noise[:, :-2], "b (c h w) -> b c h w", c=3, h=self.resolutions[0])

    def velocity(self, images: Images, times: Times, text: TextFeatures) -> Images:
        """v(x, t, c) with guidance."""
        if self.guidance == 1:
            return velocity_towards(self.estimate(images, times, text), images, times)
        none = without_text(text, torch.ones_like(text.mask[:, 0]))
        both = TextFeatures(
            torch.cat([text.words, none.words]),
            torch.cat([text.sentence, none.sentence]),
            torch.cat([text.mask, none.mask]),
        )
        told, untold = self.estimate(torch.cat([images, images]), torch.cat([times, times]), both).chunk(2)
        return velocity_towards(guided(told, untold, self.guidance), images, times)

    def estimate(self, images: Images, times: Times, text: TextFeatures) -> Images:
        """X(x, t, c), the image in [-1, 1] that the path is expected to end at."""
        condition = self.mapping(features_of(times), text.sentence)
        hidden, passed = self.patches(pixel_unshuffle(images, self.patch)) + self.places, []
        for block, down in zip(self.down_blocks, self.down):
            hidden = block(hidden, condition)
            passed.append(hidden)
            hidden = down(hidden)
        for block in self.middle:
            hidden = block(hidden, condition)
        hidden = self.attend(-1, hidden, text)
        for level, (up, block) in enumerate(zip(self.up, self.up_blocks), start=2):
            hidden = block(up(hidden, condition) + passed.pop(), condition)
            hidden = self.attend(-level, hidden, text)
        return self.pixels(leaky_relu(self.modulate(hidden, condition), 0.2), condition)

    def attend(self, level: int, hidden: Float[Tensor, "B C h w"], text: TextFeatures) -> Float[Tensor, "B C h w"]:
        """The map after the attention modules of a level."""
        for attention in self.attentions[level].children():
            hidden = attention(hidden, text)
        return hidden


class Block(nn.Module):
    """y = x + Conv3x3(leaky(Modulate(x; w))) (He et al. 2016); it starts close to the identity."""

    def __init__(self, condition: int, channels: int):
        super().__init__()
        self.modulate = Modulate(condition, channels)
        self.convolution = initialize(nn.Conv2d(channels, channels, 3, padding=1))
        with torch.no_grad():
            self.convolution.weight.mul_(0.5)

    def forward(self, hidden: Float[Tensor, "B C H W"], condition: Float[Tensor, "B K"]) -> Float[Tensor, "B C H W"]:
        return hidden + self.convolution(leaky_relu(self.modulate(hidden, condition), 0.2))


def features_of(times: Times) -> Float[Tensor, "B _"]:
    """sin and cos of t at frequencies from 1/4 to 16 turns per unit of time (Vaswani et al. 2017, section 3.5)."""
    turns = 2 ** torch.linspace(-2, 4, FREQUENCIES, device=times.device, dtype=times.dtype)
    angles = 2 * pi * times[:, None] * turns
    return torch.cat([angles.sin(), angles.cos()], 1)
