"""The convolutional generator: from noise and a sentence, doubling the resolution level by level."""

from itertools import pairwise
from typing import Annotated, Literal

import torch
from einops import rearrange
from jaxtyping import Float
from limner import Attention, Generator, LimnerError, Sizes, Slot, TextFeatures
from limner.layers import ConditioningAugmentation, Mapping, Modulate, PalettePixels, PlainPixels, UpLevel
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

Channels = Annotated[int, Field(ge=1)]


class ConvolutionalGenerator(Generator):
    """A dense layer makes a 4 x 4 map; each level doubles it; the last one folds channels into pixels.

        w = MLP([k z; s]),  h_0 = W w + p,  h_{i+1} = Up_i(h_i; w),  image = Pixels(leaky(Modulate(h_n; w)), w)

    With `noise_at = "input"` the levels and the pixels are told the sentence alone, w' = MLP([0; s]); with
    `augmentation`, s is drawn from the sentence's neighbourhood, by numbers that are a part of the noise.

    z is the noise, scaled by k (`noise_scale`) so that it weighs against the sentence s; p is a learned map of places.
    The MLP is a mapping network. Pixels are mixed from a palette, or are a plain convolution (`limner.layers`).
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
        noise_at: Literal["input", "every level"] = "every level",
        augmentation: Annotated[int, Field(ge=0)] = 0,
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
            noise_at: where the noise enters: at the first map only, or at every level.
            augmentation: width of the sentence's conditioning augmentation; 0 for the sentence as it is. To be used
                with the loss "conditioning-divergence".
        """
        super().__init__(sizes)
        self.noise_width, self.noise_scale, self.resolutions = noise + augmentation, noise_scale, (sizes.image,)
        self.parts_of_noise, self.noise_at_input = (noise, augmentation), noise_at == "input"
        resolutions = [4 * 2**level for level in range(len(channels))]
        shuffle = sizes.image // resolutions[-1]
        if shuffle * resolutions[-1] != sizes.image or shuffle < 1:
            raise LimnerError(
                f"channels: {len(channels)} levels make a map of {resolutions[-1]} pixels, of which the image size "
                f"{sizes.image} is no multiple; use fewer levels or another image size."
            )
        attention.require(resolutions)
        self.augment = ConditioningAugmentation(sizes.text, augmentation) if augmentation else None
        self.mapping = Mapping(noise, augmentation or sizes.text, mapping)
        self.dense = nn.Linear(mapping, channels[0] * 16)
        self.places = nn.Parameter(torch.randn(channels[0], 4, 4) / 2)
        self.attentions = nn.ModuleList(attention.build(sizes, c, size) for c, size in zip(channels, resolutions))
        self.levels = nn.ModuleList(UpLevel(mapping, c, following, residual) for c, following in pairwise(channels))
        self.modulate = Modulate(mapping, channels[-1])
        self.pixels = (
            PalettePixels(mapping, channels[-1], shuffle, palette) if palette else PlainPixels(channels[-1], shuffle)
        )

    def forward(self, noise: Float[Tensor, "B Z"], text: TextFeatures) -> list[Float[Tensor, "B 3 _ _"]]:
        noise, epsilon = noise.split(self.parts_of_noise, dim=1)
        sentence = text.sentence if self.augment is None else self.augment(text.sentence, epsilon)
        condition = self.mapping(self.noise_scale * noise, sentence)
        hidden = rearrange(self.dense(condition), "b (c h w) -> b c h w", h=4, w=4) + self.places  # [B, C, 4, 4]
        if self.noise_at_input:
            condition = self.mapping(torch.zeros_like(noise), sentence)
        for level, attentions in zip([*self.levels, None], self.attentions):
            for attend in attentions.children():
                hidden = attend(hidden, text)
            if level is not None:
                hidden = level(hidden, condition)  # [B, C', 2H, 2W]
        return [self.pixels(leaky_relu(self.modulate(hidden, condition), 0.2), condition)]
