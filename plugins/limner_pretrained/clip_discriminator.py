"""A discriminator that looks at images through a frozen CLIP."""

from collections.abc import Sequence
from typing import Annotated, Any

import torch
from einops import rearrange, repeat
from jaxtyping import Float
from limner import Discriminator, Judgement, LimnerError, Sizes, TextFeatures
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from limner_pretrained.vision import FrozenVision, open_vision

Layer = Annotated[int, Field(ge=1)]


class ClipDiscriminator(Discriminator):
    """Residual blocks on several layers of a frozen CLIP, after GALIP (Tao et al. 2023, section 3.2).

        f_0 = 0,    f_i = Block_i(f_{i-1} + P_i h^(l_i)),    Block(x) = x + Conv(leaky(Conv(leaky(x))))
        D(x, c) = V leaky(U [f_n; s])

    h^(l) is what layer l of CLIP's vision transformer (Radford et al. 2021) says of each patch of the image, arranged
    as a map. CLIP has seen hundreds of millions of photographs with captions, so the discriminator need not learn from
    a few images what things look like. Only the P_i, the blocks, U and V learn: P_i is a convolution of 1 x 1, U one of
    3 x 3, and V covers the whole map. The sentence s stands at every place.

    The generator's gradient passes through CLIP. CLIP itself is not saved with the run, so it is needed again, at the
    same place, whenever the run is loaded, to paint as well.
    """

    def __init__(
        self,
        sizes: Sizes,
        *,
        model: str,
        layers: Annotated[list[Layer], Field(min_length=1)] = [2, 5, 9],  # noqa: B006
        channels: Annotated[int, Field(ge=1)] = 128,
        head: Annotated[int, Field(ge=1)] = 64,
    ):
        """
        Args:
            sizes: what the parts of the model agree on.
            model: a CLIP with its vision part: a folder, or a name on the Hugging Face hub, such as
                "openai/clip-vit-base-patch32".
            layers: whose outputs are read, counted from 1.
            channels: C, of the blocks.
            head: channels of U.

        Raises:
            LimnerError: if the model cannot be opened, is no CLIP, or has fewer layers.
        """
        super().__init__(sizes)
        self.vision = FrozenVision(open_vision(model))
        if max(layers) > self.vision.layers:
            raise LimnerError(f"layers: '{model}' has {self.vision.layers} layers, so there is no layer {max(layers)}.")
        self.layers = layers
        self.feature_channels, self.feature_size = channels, self.vision.places
        self.projections = nn.ModuleList(nn.Conv2d(self.vision.width, channels, 1) for _ in layers)
        self.blocks = nn.ModuleList(ResidualBlock(channels) for _ in layers)
        self.join = nn.Conv2d(channels + sizes.text, head, 3, padding=1)
        self.match = nn.Conv2d(head, 1, self.feature_size)

    def look(self, images: Sequence[Float[Tensor, "B 3 _ _"]]) -> Float[Tensor, "B C h w"]:
        hidden = self.vision(images[-1])
        features: Any = 0
        for layer, project, block in zip(self.layers, self.projections, self.blocks, strict=True):
            patches = rearrange(hidden[layer][:, 1:], "b (h w) d -> b d h w", h=self.feature_size)  # without the class
            features = block(features + project(patches))
        return features

    def judge(self, features: Float[Tensor, "B C h w"], text: TextFeatures) -> Judgement:
        sentence = repeat(text.sentence.to(features.dtype), "b d -> b d h w", h=self.feature_size, w=self.feature_size)
        joined = leaky_relu(self.join(torch.cat([features, sentence], 1)), 0.2)
        return Judgement(self.match(joined).float().flatten(1), None, features)


class ResidualBlock(nn.Module):
    """Block(x) = x + Conv(leaky(Conv(leaky(x)))), with convolutions of 3 x 3."""

    def __init__(self, channels: int):
        super().__init__()
        self.first, self.second = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))

    def forward(self, features: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C h w"]:
        return features + self.second(leaky_relu(self.first(leaky_relu(features, 0.2)), 0.2))
