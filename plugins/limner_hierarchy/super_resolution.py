"""A super-resolution stage: it sees only the image of the stage before, so any generator can come before it."""

from typing import Annotated

from jaxtyping import Float
from limner import Attention, Canvas, LimnerError, Sizes, Slot, Stage, TextFeatures
from limner.layers import Mapping, Modulate
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from .convex import ConvexEnlargement


class SuperResolutionStage(Stage):
    """Looks at the small image, reads the text, and enlarges the image with sharper edges.

        w = Mapping(k z, s),                          h = Attend(Conv(leaky(Conv_{/2}(x))), words)
        x' = Enlarge(leaky(Modulate(h; w)), x)

    It takes the image x and not the hidden map, so it can be trained on top of a frozen generator (Zhang et al. 2017,
    "Stage-II", which also downsamples the first image and reads the text again).
    """

    def __init__(
        self,
        sizes: Sizes,
        before: Stage | None,
        *,
        channels: Annotated[int, Field(ge=1)] = 48,
        noise_scale: Annotated[float, Field(gt=0)] = 2.0,
        attention: Slot[Attention] = Slot(),  # noqa: B008
        mapping: Annotated[int, Field(ge=1)] = 128,
    ):
        """
        Args:
            sizes: what the parts of the model agree on.
            before: the stage whose image it enlarges.
            channels: C, of its hidden map, which is half as large as the image of the stage before.
            noise_scale: k, the factor of the noise where it joins the sentence.
            attention: attention modules, on its hidden map.
            mapping: width of the mapping network.

        Raises:
            LimnerError: if it is the first stage, or the image of the stage before has an odd size.
        """
        super().__init__(sizes, before)
        if before is None:
            raise LimnerError("stages: 'super-resolution' enlarges an image, so it cannot be the first.")
        if before.size % 2:
            raise LimnerError(f"stages: 'super-resolution' needs an image of even size, but gets {before.size} pixels.")
        self.size, self.map_size, self.channels = 2 * before.size, before.size // 2, channels
        attention.require([self.map_size])
        self.noise_scale = noise_scale
        self.mapping = Mapping(sizes.noise, sizes.text, mapping)
        self.look = nn.Conv2d(3, channels, 4, stride=2, padding=1)
        self.join = nn.Conv2d(channels, channels, 3, padding=1)
        self.attentions = attention.build(sizes, channels, self.map_size)
        self.modulate = Modulate(mapping, channels)
        self.enlarge = ConvexEnlargement(channels)

    def forward(self, canvas: Canvas | None, noise: Float[Tensor, "B Z"], text: TextFeatures) -> Canvas:
        assert canvas is not None  # it is never the first stage
        condition = self.mapping(self.noise_scale * noise, text.sentence)
        hidden = self.join(leaky_relu(self.look(canvas.image), 0.2))
        for attend in self.attentions:
            hidden = attend(hidden, text)
        features = leaky_relu(self.modulate(hidden, condition), 0.2)
        return Canvas(hidden, self.enlarge(features, canvas.image))
