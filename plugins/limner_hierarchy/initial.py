"""The first stage: from noise and a sentence to a small image."""

from typing import Annotated

from jaxtyping import Float
from limner import Attention, Canvas, LimnerError, Sizes, Slot, Stage, TextFeatures
from limner.layers import ImageDecoder
from pydantic import Field
from torch import Tensor

Channels = Annotated[int, Field(ge=1)]


class InitialStage(ImageDecoder, Stage):
    """A dense layer makes a 4 x 4 map, each level doubles it, and the pixels are mixed from a palette.

        w = Mapping(k z, s),  h_0 = W w + p,  h_{i+1} = Up_i(h_i; w),  x = Palette(leaky(Modulate(h_n; w)), w)

    z is the noise, scaled by k; s is the sentence; p is a learned value for each position. At low resolution, a few
    positions cover the whole scene: this stage decides what is where, and in which color (Zhang et al. 2017,
    "Stage-I").
    """

    def __init__(
        self,
        sizes: Sizes,
        before: Stage | None,
        *,
        size: Annotated[int, Field(ge=4)] = 32,
        channels: Annotated[list[Channels], Field(min_length=1)] = [128, 96, 48],  # noqa: B006
        noise_scale: Annotated[float, Field(gt=0)] = 2.0,
        attention: Slot[Attention] = Slot(),  # noqa: B008
        mapping: Annotated[int, Field(ge=1)] = 256,
        palette: Annotated[int, Field(ge=2)] = 4,
        residual: bool = False,
    ):
        """
        Args:
            sizes: what the parts of the model agree on.
            before: None; this stage is always the first.
            size: height and width of the image.
            channels: of the maps at 4, 8, 16, ... pixels.
            noise_scale: k, the factor of the noise where it joins the sentence.
            attention: attention modules, at the resolutions of the map that the recipe names.
            mapping: width of the mapping network.
            palette: how many colors the pixels are mixed from.
            residual: whether each level adds a shortcut around its convolution.

        Raises:
            LimnerError: if it is not the first stage, its levels do not fit its size, or an attention names another
                resolution.
        """
        super().__init__(sizes, before)
        if before is not None:
            raise LimnerError("stages: 'initial' starts from noise, so it must be the first stage and no other.")
        self.size, self.map_size, self.channels = size, 4 * 2 ** (len(channels) - 1), channels[-1]
        self.build_decoder(
            sizes,
            size,
            channels,
            noise=sizes.noise,
            text=sizes.text,
            noise_scale=noise_scale,
            attention=attention,
            mapping=mapping,
            palette=palette,
            residual=residual,
        )

    def forward(self, canvas: Canvas | None, noise: Float[Tensor, "B Z"], text: TextFeatures) -> Canvas:
        return self.decode(noise, text.sentence, text)
