"""The first stage: from noise and a sentence to a small image."""

from itertools import pairwise
from typing import Annotated

from einops import rearrange
from jaxtyping import Float
from limner import Attention, Canvas, LimnerError, Sizes, Slot, Stage, TextFeatures
from limner.layers import Mapping, Modulate, PalettePixels, UpLevel
from pydantic import Field
from torch import Tensor, nn, randn
from torch.nn.functional import leaky_relu

Channels = Annotated[int, Field(ge=1)]


class InitialStage(Stage):
    """A dense layer makes a 4 x 4 map; each level doubles it; a palette paints it.

        w = Mapping(k z, s),  h_0 = W w + p,  h_{i+1} = Up_i(h_i; w),  x = Palette(leaky(Modulate(h_n; w)), w)

    z is the noise, scaled by k, s the sentence, p a learned map of places. At low resolution a few wide positions see
    the whole scene: what is where, and in which color, is settled here (Zhang et al. 2017, "Stage-I").
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
    ):
        """
        Args:
            sizes: what the parts of the model agree on.
            before: nothing; this stage stands first.
            size: height and width of the image.
            channels: of the maps at 4, 8, 16, ... pixels.
            noise_scale: k, what the noise is multiplied by where it joins the sentence.
            attention: attention modules, at the resolutions of the map that the recipe names.
            mapping: width of the mapping network.
            palette: how many colors the pixels are mixed from.

        Raises:
            LimnerError: where it does not stand first, or its levels do not lead to its size.
        """
        super().__init__(sizes, before)
        if before is not None:
            raise LimnerError("stages: 'initial' begins from noise, so it stands first, and only there.")
        levels = [4 * 2**level for level in range(len(channels))]
        self.size, self.map_size, self.channels = size, levels[-1], channels[-1]
        if size % self.map_size:
            raise LimnerError(
                f"stages: the {len(channels)} channels of 'initial' make a map of {self.map_size} pixels, of which its "
                f"size {size} is no multiple; use fewer channels or another size."
            )
        attention.require(levels)
        self.noise_scale = noise_scale
        self.mapping = Mapping(sizes.noise, sizes.text, mapping)
        self.dense = nn.Linear(mapping, channels[0] * 16)
        self.places = nn.Parameter(randn(channels[0], 4, 4) / 2)
        self.attentions = nn.ModuleList(attention.build(sizes, c, at) for c, at in zip(channels, levels))
        self.levels = nn.ModuleList(UpLevel(mapping, c, after, False) for c, after in pairwise(channels))
        self.modulate = Modulate(mapping, self.channels)
        self.pixels = PalettePixels(mapping, self.channels, size // self.map_size, palette)

    def forward(self, canvas: Canvas | None, noise: Float[Tensor, "B Z"], text: TextFeatures) -> Canvas:
        condition = self.mapping(self.noise_scale * noise, text.sentence)
        hidden = rearrange(self.dense(condition), "b (c h w) -> b c h w", h=4, w=4) + self.places
        for level, attentions in zip([*self.levels, None], self.attentions):
            for attend in attentions.children():
                hidden = attend(hidden, text)
            if level is not None:
                hidden = level(hidden, condition)  # [B, C', 2h, 2w]
        return Canvas(hidden, self.pixels(leaky_relu(self.modulate(hidden, condition), 0.2), condition))
