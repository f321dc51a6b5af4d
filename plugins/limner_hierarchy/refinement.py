"""A refinement stage: it doubles the resolution of the hidden map, and reads the words again."""

from typing import Annotated

from jaxtyping import Float
from limner import Attention, Canvas, LimnerError, Sizes, Slot, Stage, TextFeatures
from limner.layers import Mapping, Modulate, UpLevel
from pydantic import Field
from torch import Tensor
from torch.nn.functional import leaky_relu

from .convex import ConvexEnlargement


class RefinementStage(Stage):
    """Continues the hidden map of the stage before at twice its resolution (Xu et al. 2018, AttnGAN, equation 1).

        w = Mapping(k z, s),  h' = Up(Attend(h, words); w),  x' = Enlarge(leaky(Modulate(h'; w)), x)

    h and x are the hidden map and the image of the stage before. The new image is x, enlarged with masks that come from
    h' (`convex`): at first this is plain enlargement, and then the stage learns where the edges are.
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
            before: the stage that it continues.
            channels: C, of its own hidden map.
            noise_scale: k, the factor of the noise where it joins the sentence.
            attention: attention modules, on the hidden map of the stage before.
            mapping: width of the mapping network.

        Raises:
            LimnerError: if it is the first stage.
        """
        super().__init__(sizes, before)
        if before is None:
            raise LimnerError("stages: 'refinement' continues another stage, so it cannot be the first.")
        attention.require([before.map_size])
        self.size, self.map_size, self.channels = 2 * before.size, 2 * before.map_size, channels
        self.noise_scale = noise_scale
        self.mapping = Mapping(sizes.noise, sizes.text, mapping)
        self.attentions = attention.build(sizes, before.channels, before.map_size)
        self.up = UpLevel(mapping, before.channels, channels, False)
        self.modulate = Modulate(mapping, channels)
        self.enlarge = ConvexEnlargement(channels)

    def forward(self, canvas: Canvas | None, noise: Float[Tensor, "B Z"], text: TextFeatures) -> Canvas:
        assert canvas is not None  # it is never the first stage
        condition = self.mapping(self.noise_scale * noise, text.sentence)
        hidden = canvas.hidden
        for attend in self.attentions:
            hidden = attend(hidden, text)
        hidden = self.up(hidden, condition)  # [B, C, 2h, 2w]
        features = leaky_relu(self.modulate(hidden, condition), 0.2)
        return Canvas(hidden, self.enlarge(features, canvas.image))
