"""From a condition to an image: `ImageDecoder` and the layers that it is built from."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu

from limner.errors import LimnerError
from limner.interfaces import Attention
from limner.layers.condition import Mapping
from limner.layers.maps import require_maps
from limner.layers.pixels import PalettePixels, PlainPixels
from limner.slots import Slot
from limner.types import Canvas, Sizes, TextFeatures


class ImageDecoder(nn.Module):
    """From noise and a sentence to an image: what the convolutional generator and the first stage have in common.

        w = Mapping(k z, s),  h_0 = W w + p,  h_{i+1} = Up_i(g_i; w),  g_i = Attend_i(Block_i(h_i; w)),
        x = Pixels(leaky(Modulate(g_n; w)), w)

    A dense layer makes a 4 x 4 map and adds p, a learned value for each position. Each level doubles the resolution;
    the last map is turned into pixels. Blocks and attention modules stand where the recipe names them. k scales the
    noise relative to the sentence. This is a mixin: a subclass calls `build_decoder` in its constructor, and `decode`
    in its forward pass.
    """

    def build_decoder(
        self,
        sizes: Sizes,
        size: int,
        channels: Sequence[int],
        *,
        noise: int,
        text: int,
        noise_scale: float,
        attention: Slot[Attention],
        mapping: int,
        palette: int,
        residual: bool = False,
        blocks: Sequence[int] = (),
    ) -> None:
        """
        Args:
            sizes: what the parts of the model agree on.
            size: height and width of the image, in pixels.
            channels: of the maps at 4, 8, 16, ... pixels; a pixel shuffle covers the rest of the way to `size`.
            noise, text: Z and D, the widths of the noise and of the sentence.
            noise_scale: k.
            attention: attention modules, at the resolutions that the recipe names.
            mapping: K, the width of w.
            palette: how many colors the pixels are mixed from; 0 for `PlainPixels`.
            residual: whether each level adds a shortcut around its convolution.
            blocks: resolutions at which a residual block is added, before the attention modules.

        Raises:
            LimnerError: if `size` is not a multiple of the last map's, or an attention or block names another
                resolution.
        """
        resolutions = [4 * 2**level for level in range(len(channels))]
        shuffle, remainder = divmod(size, resolutions[-1])
        if remainder:
            raise LimnerError(
                f"channels: {len(channels)} levels make a map of {resolutions[-1]} pixels, and the image size {size} "
                "is not a multiple of it; use fewer levels or another size."
            )
        attention.require(resolutions)
        require_maps("blocks", "generator", blocks, resolutions)
        self.noise_scale = noise_scale
        self.mapping = Mapping(noise, text, mapping)
        self.dense = nn.Linear(mapping, channels[0] * 16)
        self.places = nn.Parameter(torch.randn(channels[0], 4, 4) / 2)
        self.attentions = nn.ModuleList(attention.build(sizes, c, at) for c, at in zip(channels, resolutions))
        self.levels = nn.ModuleList(UpLevel(mapping, c, following, residual) for c, following in pairwise(channels))
        self.blocks = nn.ModuleList(
            nn.ModuleList(ModulatedBlock(mapping, c) for _ in range(list(blocks).count(at)))
            for c, at in zip(channels, resolutions)
        )
        last = channels[-1]
        self.modulate = Modulate(mapping, last)
        self.pixels = PalettePixels(mapping, last, shuffle, palette) if palette else PlainPixels(last, shuffle)

    def decode(self, noise: Tensor, sentence: Tensor, text: TextFeatures, noise_at_input: bool = False) -> Canvas:
        """The image x and the last map g_n, from z [B, Z], s [B, D] and the words that the attention modules read.

        With `noise_at_input`, only h_0 depends on the noise: everything after it gets w = Mapping(0, s).
        """
        condition = self.mapping(self.noise_scale * noise, sentence)
        hidden = rearrange(self.dense(condition), "b (c h w) -> b c h w", h=4, w=4) + self.places  # [B, C, 4, 4]
        if noise_at_input:
            condition = self.mapping(torch.zeros_like(noise), sentence)
        for level, blocks, attentions in zip([*self.levels, None], self.blocks, self.attentions):
            for block in blocks.children():
                hidden = block(hidden, condition)
            for attend in attentions.children():
                hidden = attend(hidden, text)
            if level is not None:
                hidden = level(hidden, condition)  # [B, C', 2H, 2W]
        return Canvas(hidden, self.pixels(leaky_relu(self.modulate(hidden, condition), 0.2), condition))


class UpLevel(nn.Module):
    """Doubles the resolution: modulate by the condition, then a transposed convolution.

    y = ConvT(leaky(Modulate(x)))  [+ Up(Conv1x1(x)) if residual]
    """

    def __init__(self, condition: int, channels: int, following: int, residual: bool):
        super().__init__()
        self.modulate = Modulate(condition, channels)
        self.convolution = nn.ConvTranspose2d(channels, following, 4, stride=2, padding=1)
        self.shortcut = nn.Conv2d(channels, following, 1) if residual else None

    def forward(self, hidden: Float[Tensor, "B C H W"], condition: Float[Tensor, "B K"]) -> Tensor:
        doubled = self.convolution(leaky_relu(self.modulate(hidden, condition), 0.2))
        if self.shortcut is not None:
            doubled = doubled + interpolate(self.shortcut(hidden), scale_factor=2)
        return doubled


class ModulatedBlock(nn.Module):
    """y = x + Conv3x3(leaky(Modulate(x; w))) (He et al. 2016); the resolution stays the same."""

    def __init__(self, condition: int, channels: int):
        super().__init__()
        self.modulate = Modulate(condition, channels)
        self.convolution = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, hidden: Float[Tensor, "B C H W"], condition: Float[Tensor, "B K"]) -> Float[Tensor, "B C H W"]:
        return hidden + self.convolution(leaky_relu(self.modulate(hidden, condition), 0.2))


class Modulate(nn.Module):
    """Normalizes each position over its channels, then scales and shifts each channel by the condition.

        y = (1 + a(c)) x / rms(x) + b(c)

    This is root-mean-square normalization (Zhang and Sennrich 2019); a and b are linear, as in conditional
    normalization (Dumoulin et al. 2017).
    """

    def __init__(self, condition: int, channels: int):
        super().__init__()
        self.affine = nn.Linear(condition, 2 * channels)
        with torch.no_grad():
            self.affine.weight.mul_(0.5)
            self.affine.bias.zero_()

    def forward(self, hidden: Float[Tensor, "B C H W"], condition: Float[Tensor, "B K"]) -> Float[Tensor, "B C H W"]:
        scale, shift = rearrange(self.affine(condition), "b (two c) -> two b c 1 1", two=2)
        normal = hidden * torch.rsqrt(hidden.square().mean(1, keepdim=True) + 1e-6)
        return normal * (1 + scale) + shift
