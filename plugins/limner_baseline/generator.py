"""The convolutional generator: from noise and a sentence to an image, doubling the resolution level by level."""

from typing import Annotated, Literal

from jaxtyping import Float
from limner import Attention, Generator, Sizes, Slot, TextFeatures
from limner.layers import ConditioningAugmentation, ImageDecoder
from pydantic import Field
from torch import Tensor

Channels = Annotated[int, Field(ge=1)]


class ConvolutionalGenerator(ImageDecoder, Generator):
    """A dense layer makes a 4 x 4 map, each level doubles it, and the last map is turned into pixels.

        w = MLP([k z; s]),  h_0 = W w + p,  h_{i+1} = Up_i(h_i; w),  image = Pixels(leaky(Modulate(h_n; w)), w)

    z is the noise, scaled by k (`noise_scale`) relative to the sentence s; p is a learned value for each position. The
    MLP is a mapping network. Pixels are mixed from a palette, or come from a plain convolution (`limner.layers`).

    With `noise_at = "input"`, the levels and the pixels get the sentence alone, w' = MLP([0; s]). With `augmentation`,
    s is sampled from a Gaussian around the sentence; this takes a part of the noise.
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
        blocks: list[int] = [],  # noqa: B006
        augmentation: Annotated[int, Field(ge=0)] = 0,
    ):
        """
        Args:
            sizes: what the parts of the model agree on.
            channels: of the maps at 4, 8, 16, ... pixels; a pixel shuffle covers the rest of the way to the image size.
            noise: Z, the width of the noise.
            noise_scale: k, the factor of the noise where it joins the sentence.
            attention: attention modules, at the resolutions that the recipe names.
            residual: whether each level adds a shortcut around its convolution.
            mapping: width of the mapping network's two layers.
            palette: how many colors the pixels are mixed from; 0 for pixels from a plain convolution.
            noise_at: where the noise enters: at the first map only, or at every level.
            blocks: resolutions of the map at which a residual block is added, such as [8, 16], before the attention
                modules.
            augmentation: width of the sentence's conditioning augmentation; 0 for the plain sentence. Use it together
                with the loss "conditioning-divergence".

        Raises:
            LimnerError: if the levels do not fit the image size, or an attention or a block names another resolution.
        """
        super().__init__(sizes)
        self.noise_width, self.resolutions = noise + augmentation, (sizes.image,)
        self.noise_parts, self.noise_at_input = (noise, augmentation), noise_at == "input"
        self.augment = ConditioningAugmentation(sizes.text, augmentation) if augmentation else None
        self.build_decoder(
            sizes,
            sizes.image,
            channels,
            noise=noise,
            text=augmentation or sizes.text,
            noise_scale=noise_scale,
            attention=attention,
            mapping=mapping,
            palette=palette,
            residual=residual,
            blocks=blocks,
        )

    def forward(self, noise: Float[Tensor, "B Z"], text: TextFeatures) -> list[Float[Tensor, "B 3 _ _"]]:
        noise, epsilon = noise.split(self.noise_parts, dim=1)
        sentence = text.sentence if self.augment is None else self.augment(text.sentence, epsilon)
        return [self.decode(noise, sentence, text, self.noise_at_input).image]
