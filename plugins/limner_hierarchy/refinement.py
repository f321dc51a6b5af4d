"""A refinement stage: the hidden map goes on to twice the resolution, and the words are read again."""

from typing import Annotated

from jaxtyping import Float
from limner import Attention, Canvas, LimnerError, Sizes, Slot, Stage, TextFeatures
from limner.layers import Mapping, Modulate, UpLevel
from pydantic import Field
from torch import Tensor
from torch.nn.functional import leaky_relu

from .convex import ConvexEnlargement


class RefinementStage(Stage):
    """What the stage before had in mind, at twice its resolution (Xu et al. 2018, AttnGAN, equation 1).

        w = Mapping(k z, s),  h' = Up(Attend(h, words); w),  x' = Enlarge(leaky(Modulate(h'; w)), x)

    h and x are the hidden map and the image of the stage before. The image is x, enlarged
    with masks that h' gives (`convex`): the stage begins as plain enlargement and learns where the edges are.
    """

    def __init__(
        self,
        sizes: Sizes,
        before: Stage | None,
        *,
        channels: Annotated[int, Field(ge=1)] = 32,
        noise_scale: Annotated[float, Field(gt=0)] = 2.0,
        attention: Slot[Attention] = Slot(),  # noqa: B008
        mapping: Annotated[int, Field(ge=1)] = 128,
    ):
        """
        Args:
            sizes: what the parts of the model agree on.
            before: the stage that it goes on from.
            channels: C, of its own hidden map.
            noise_scale: k, what the noise is multiplied by where it joins the sentence.
            attention: attention modules, on the hidden map that it gets.
            mapping: width of the mapping network.

        Raises:
            LimnerError: where it stands first.
        """
        super().__init__(sizes, before)
        if before is None:
            raise LimnerError("stages: 'refinement' goes on from another stage, so it cannot stand first.")
        attention.require([before.map_size])
        self.size, self.map_size, self.channels = 2 * before.size, 2 * before.map_size, channels
        self.noise_scale = noise_scale
        self.mapping = Mapping(sizes.noise, sizes.text, mapping)
        self.attentions = attention.build(sizes, before.channels, before.map_size)
        self.up = UpLevel(mapping, before.channels, channels, False)
        self.modulate = Modulate(mapping, channels)
        self.enlarge = ConvexEnlargement(channels)

    def forward(self, canvas: Canvas | None, noise: Float[Tensor, "B Z"], text: TextFeatures) -> Canvas:
        assert canvas is not None  # there is a stage before
        condition = self.mapping(self.noise_scale * noise, text.sentence)
        hidden = canvas.hidden
        for attend in self.attentions:
            hidden = attend(hidden, text)
        hidden = self.up(hidden, condition)  # [B, C, 2h, 2w]
        features = leaky_relu(self.modulate(hidden, condition), 0.2)
        return Canvas(hidden, self.enlarge(features, canvas.image))
