"""The convolutional discriminator: looks at the image, then asks the text what to make of it."""

from collections.abc import Sequence
from typing import Annotated

from einops import rearrange
from jaxtyping import Float
from limner import Discriminator, Judgement, LimnerError, Sizes, TextFeatures
from limner.layers import ResidualBlock
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

Channels = Annotated[int, Field(ge=1)]


class ConvolutionalDiscriminator(Discriminator):
    """Strided convolutions, each halving the image; the text joins on the feature map.

        f = Look(x),    D(x, c) = w . leaky((1 + a(s)) W f + b(s)),    D(x) = v . f

    a and b scale and shift the channels at every position by what the sentence s says. There is no normalisation:
    a penalty on the gradient keeps the discriminator smooth.
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
    ):
        """
        Args:
            sizes: what the parts of the model agree on.
            channels: of the convolutions; the first has `stem_stride`, the last keeps the resolution, the
                others halve it.
            stem_stride: how much the first convolution shrinks the image.
            head: channels on which the text joins.
            residual: resolutions of the map at which a residual block looks once more, such as [8].
            realism: whether the image is also scored without its text, for losses that ask for it.
        """
        super().__init__(sizes)
        strides = [stem_stride, *[2] * (len(channels) - 2), 1]
        size, before, layers, passed = sizes.image, 3, [], []
        for after, stride in zip(channels, strides):
            if size % stride:
                raise LimnerError(f"channels: {len(channels)} layers shrink {sizes.image} pixels too far; use fewer.")
            kernel = 3 if stride == 1 else stride + 2
            layers += [nn.Conv2d(before, after, kernel, stride, padding=1), nn.LeakyReLU(0.2)]
            size, before = size // stride, after
            if size in residual and size not in passed:
                layers.append(ResidualBlock(after))
            passed.append(size)
        if unknown := [wanted for wanted in residual if wanted not in passed]:
            raise LimnerError(
                f"residual: this discriminator has no map of {unknown[0]} pixels; "
                f"it has {', '.join(str(size) for size in dict.fromkeys(passed))}."
            )
        self.feature_channels, self.feature_size = channels[-1], size
        self.trunk = nn.Sequential(*layers)
        for layer in self.trunk:
            if isinstance(layer, nn.Conv2d) and layer.bias is not None:
                # Keeps the size of what passes through (He et al. 2015).
                nn.init.kaiming_normal_(layer.weight, 0.2)
                nn.init.zeros_(layer.bias)
        self.to_head = nn.Conv2d(channels[-1], head, 1)
        self.affine = nn.Linear(sizes.text, 2 * head)
        self.match = nn.Linear(head * size**2, 1)
        self.realism = nn.Linear(channels[-1] * size**2, 1) if realism else None

    def look(self, images: Sequence[Float[Tensor, "B 3 _ _"]]) -> Float[Tensor, "B C h w"]:
        return self.trunk(images[-1])

    def judge(self, features: Float[Tensor, "B C h w"], text: TextFeatures) -> Judgement:
        scale, shift = rearrange(self.affine(text.sentence), "b (two c) -> two b c 1 1", two=2)
        joined = leaky_relu((1 + scale) * self.to_head(features) + shift, 0.2)
        match = self.match(rearrange(joined, "b c h w -> b (c h w)")).float()
        flat = rearrange(features, "b c h w -> b (c h w)")
        return Judgement(match, self.realism(flat).float() if self.realism is not None else None, features)
