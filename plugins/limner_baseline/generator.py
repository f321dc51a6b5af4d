"""The convolutional generator: from noise and a sentence, doubling the resolution level by level."""

from itertools import pairwise
from typing import Annotated

import torch
from einops import rearrange, reduce
from jaxtyping import Float
from limner import Attention, Generator, LimnerError, Sizes, Slot, TextFeatures
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu, pixel_shuffle

Channels = Annotated[int, Field(ge=1)]


class ConvolutionalGenerator(Generator):
    """A dense layer makes a 4 x 4 map; each level doubles it; the last one folds channels into pixels.

        w = MLP([k z; s]),  h_0 = W w + p,  h_{i+1} = Up_i(h_i; w),  image = Pixels(leaky(Modulate(h_n; w)), w)

    z is the noise, scaled by k (`noise_scale`) so that it weighs against the sentence s; p is a learned map of places.
    The MLP is a mapping network (Karras et al. 2019): it can join *where* (from the noise) and *what* (from the
    sentence), which a single dense layer can only add up. Pixels are mixed from a palette, or are a plain convolution.
    """

    def __init__(
        self,
        sizes: Sizes,
        *,
        channels: Annotated[list[Channels], Field(min_length=1)] = [128, 96, 48],  # noqa: B006
        noise: Annotated[int, Field(ge=1)] = 32,
        noise_scale: Annotated[float, Field(gt=0)] = 2.0,
        attention: Slot[Attention] = Slot(),  # noqa: B008
        residual: bool = False,
        mapping: Annotated[int, Field(ge=1)] = 256,
        palette: Annotated[int, Field(ge=0)] = 0,
    ):
        """
        Args:
            sizes: what the parts of the model agree on.
            channels: of the maps at 4, 8, 16, ... pixels; what is left up to the image size is one pixel shuffle.
            noise: Z, the width of the noise.
            noise_scale: what the noise is multiplied by where it joins the sentence.
            attention: attention modules, at the resolutions that the recipe names.
            residual: whether each level adds a shortcut around its convolution.
            mapping: width of the mapping network's two layers.
            palette: how many colors the pixels are mixed from; 0 for pixels that are a plain convolution.
        """
        super().__init__(sizes)
        self.noise_width, self.noise_scale, self.resolutions = noise, noise_scale, (sizes.image,)
        resolutions = [4 * 2**level for level in range(len(channels))]
        shuffle = sizes.image // resolutions[-1]
        if shuffle * resolutions[-1] != sizes.image or shuffle < 1:
            raise LimnerError(
                f"channels: {len(channels)} levels make a map of {resolutions[-1]} pixels, of which the image size "
                f"{sizes.image} is no multiple; use fewer levels or another image size."
            )
        attention.require(resolutions)
        first, second = nn.Linear(noise + sizes.text, mapping), nn.Linear(mapping, mapping)
        for layer in (first, second):
            nn.init.kaiming_normal_(layer.weight, 0.2)  # keeps the size of what passes through (He et al. 2015)
        self.mapping = nn.Sequential(first, nn.LeakyReLU(0.2), second, nn.LeakyReLU(0.2))
        self.dense = nn.Linear(mapping, channels[0] * 16)
        self.places = nn.Parameter(torch.randn(channels[0], 4, 4) / 2)
        self.attentions = nn.ModuleList(attention.build(sizes, c, size) for c, size in zip(channels, resolutions))
        self.levels = nn.ModuleList(UpLevel(mapping, c, following, residual) for c, following in pairwise(channels))
        self.modulate = Modulate(mapping, channels[-1])
        self.pixels = (
            PalettePixels(mapping, channels[-1], shuffle, palette) if palette else PlainPixels(channels[-1], shuffle)
        )

    def forward(self, noise: Float[Tensor, "B Z"], text: TextFeatures) -> list[Float[Tensor, "B 3 _ _"]]:
        condition = self.mapping(torch.cat([self.noise_scale * noise, text.sentence], 1))
        hidden = rearrange(self.dense(condition), "b (c h w) -> b c h w", h=4, w=4) + self.places  # [B, C, 4, 4]
        for level, attentions in zip([*self.levels, None], self.attentions):
            for attend in attentions.children():
                hidden = attend(hidden, text)
            if level is not None:
                hidden = level(hidden, condition)  # [B, C', 2H, 2W]
        return [self.pixels(leaky_relu(self.modulate(hidden, condition), 0.2), condition)]


class UpLevel(nn.Module):
    """Twice the resolution: modulate by noise and sentence, then a transposed convolution.

    y = ConvT(leaky(Modulate(x)))  [+ Up(Conv1x1(x)) with a residual]
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


class Modulate(nn.Module):
    """Normalise each position over its channels, then scale and shift each channel by what the condition says.

        y = (1 + a(c)) x / rms(x) + b(c)

    Root-mean-square normalisation (Zhang and Sennrich 2019); a and b are linear, as in conditional
    normalisation (Dumoulin et al. 2017).
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


class PlainPixels(nn.Module):
    """image = tanh(PixelShuffle(Conv(h))): each position's channels unfold into a square of pixels."""

    def __init__(self, channels: int, shuffle: int):
        super().__init__()
        self.shuffle = shuffle
        self.convolution = nn.Conv2d(channels, 3 * shuffle**2, 3, padding=1)

    def forward(self, hidden: Float[Tensor, "B C H W"], condition: Float[Tensor, "B K"]) -> Float[Tensor, "B 3 _ _"]:
        return pixel_shuffle(self.convolution(hidden).float(), self.shuffle).tanh()


class PalettePixels(nn.Module):
    """Every pixel is a mixture of P colors, so that *where* is drawn apart from *in which color*.

        m = softmax_P(PixelShuffle(Conv(h))),    c = tanh(A w + Conv1x1(h)),    image = sum_P m c

    A pixel has masks m of its own; the colors c come from the condition w for the whole image, and each position of
    the map may change them a little. An outline is then one sharp mask, whatever the two colors that it parts.
    """

    def __init__(self, condition: int, channels: int, shuffle: int, colors: int):
        super().__init__()
        self.shuffle, self.colors = shuffle, colors
        self.masks = nn.Conv2d(channels, colors * shuffle**2, 3, padding=1)
        self.palette = nn.Linear(condition, 3 * colors)
        self.change = nn.Conv2d(channels, 3 * colors, 1)
        with torch.no_grad():
            self.masks.weight.mul_(2.0)  # masks that part from each other at the first step
            self.change.weight.mul_(0.3)

    def forward(self, hidden: Float[Tensor, "B C H W"], condition: Float[Tensor, "B K"]) -> Float[Tensor, "B 3 _ _"]:
        # s: the pixels that a position of the map unfolds into
        masks = rearrange(self.masks(hidden).float(), "b (p s) h w -> b p 1 s h w", p=self.colors).softmax(1)
        colors = rearrange(self.palette(condition), "b k -> b k 1 1") + self.change(hidden)
        colors = rearrange(colors.float().tanh(), "b (p c) h w -> b p c 1 h w", c=3)
        mixed = reduce(masks * colors, "b p c s h w -> b c s h w", "sum")
        return rearrange(mixed, "b c (i j) h w -> b c (h i) (w j)", i=self.shuffle)
