"""The convolutional discriminator: it looks at the image first, and then compares it with the text."""

from collections.abc import Sequence
from typing import Annotated

from einops import rearrange
from jaxtyping import Float
from limner import Discriminator, Judgement, LimnerError, Sizes, TextFeatures
from limner.layers import TextHead, convolution, halving_layers, initialize, rename_weights
from pydantic import Field
from torch import Tensor, nn

Channels = Annotated[int, Field(ge=1)]


class ConvolutionalDiscriminator(Discriminator):
    """Strided convolutions that halve the image step by step; the text is compared with the last feature map.

        f = Look(x),    D(x, c) = w . leaky((1 + a(s)) W f + b(s)),    D(x) = v . f

    The sentence s scales and shifts the channels by a and b, the same way at every position. There is no normalization:
    a penalty on the gradient keeps the discriminator smooth. With `regions`, the head also scores each position of
    the feature map (`limner.layers.TextHead`).
    """

    def __init__(
        self,
        sizes: Sizes,
        *,
        channels: Annotated[list[Channels], Field(min_length=2)] = [32, 64, 128, 128],  # noqa: B006
        stem_stride: Annotated[int, Field(ge=1)] = 2,
        head: Annotated[int, Field(ge=1)] = 96,
        residual: list[int] = [],  # noqa: B006
        realism: bool = False,
        regions: bool = False,
    ):
        """
        Args:
            sizes: what the parts of the model agree on.
            channels: of the convolutions; the first has `stem_stride`, the last keeps the resolution, the
                others halve it.
            stem_stride: how many times the first convolution shrinks the image.
            head: channels on which image and text are compared.
            residual: resolutions of the map at which a residual block is added, such as [8].
            realism: whether the image is also scored without its text, for losses that need this score.
            regions: whether each region of the image is scored with the text, too; all regions together count as much
                as the whole image.

        Raises:
            LimnerError: if the image cannot be shrunk so far, or there is no map of a resolution in `residual`.
        """
        super().__init__(sizes)
        shrinkage = stem_stride * 2 ** (len(channels) - 2)
        if sizes.image % shrinkage:
            raise LimnerError(f"channels: {len(channels)} layers shrink {sizes.image} pixels too far; use fewer.")
        self.feature_channels, self.feature_size = channels[-1], sizes.image // shrinkage
        self.trunk = nn.Sequential(
            convolution(3, channels[0], stem_stride),
            nn.LeakyReLU(0.2),
            *halving_layers(channels, sizes.image // stem_stride, residual),
        )
        for layer in self.trunk:
            initialize(layer)
        self.head = TextHead(sizes.text, channels[-1], self.feature_size, head, regions)
        self.realism = nn.Linear(channels[-1] * self.feature_size**2, 1) if realism else None
        for old, new in {"to_head": "project", "affine": "affine", "match": "match"}.items():
            rename_weights(self, old, f"head.{new}")

    def look(self, images: Sequence[Float[Tensor, "B 3 _ _"]]) -> Float[Tensor, "B C h w"]:
        return self.trunk(images[-1])

    def judge(self, features: Float[Tensor, "B C h w"], text: TextFeatures) -> Judgement:
        match, realism = self.head(features, text), None
        if self.realism is not None:
            realism = self.realism(rearrange(features, "b c h w -> b (c h w)")).float().expand_as(match)
        return Judgement(match, realism, features)
