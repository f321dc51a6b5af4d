"""A discriminator for images at several scales: one for all of them together, or one for each stage."""

from collections.abc import Sequence
from typing import Annotated

import torch
from jaxtyping import Float
from limner import Discriminator, Judgement, LimnerError, Sizes, TextFeatures
from limner.layers import TextHead, convolution, halving_layers, initialize, rename_weights
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

Channels = Annotated[int, Field(ge=1)]


class ScalesDiscriminator(Discriminator):
    """Every scale has a stem of its own, one strided convolution; all stems make maps of the same size.

        f = Trunk(sum_i Stem_i(x_i)),                      D(x_1 ... x_n, c) = Head(f, s)           together
        f = [f_1; ...; f_n],   f_i = Trunk_i(Stem_i(x_i)),    D_i(x_i, c) = Head_i(f_i, s)          apart

        Head(f, s) = v . leaky((1 + a(s)) W f + b(s))

    Together (Karnewar and Wang 2020, MSG-GAN), one trunk sees all scales and can tell whether they belong together.
    Apart (Zhang et al. 2018, StackGAN++), each stage has a discriminator of its own. A scale that is not there yet,
    because the generator is still growing, contributes zeros. Together, all stems but the first start with a hundredth
    of their initial weights, so that a scale that joins later does not disturb what is already learned. With `regions`,
    a head also scores each position of its feature map (`limner.layers.TextHead`).
    """

    def __init__(
        self,
        sizes: Sizes,
        *,
        channels: Annotated[list[Channels], Field(min_length=2)] = [32, 64, 128, 128],  # noqa: B006
        meet: Annotated[int, Field(ge=4)] = 16,
        apart: bool = False,
        head: Annotated[int, Field(ge=1)] = 96,
        residual: list[int] = [],  # noqa: B006
        regions: bool = False,
    ):
        """
        Args:
            sizes: what the parts of the model agree on.
            channels: of the stems, and of the convolutions that follow: the last keeps the resolution, the others
                halve it.
            meet: height and width of the map that every stem makes.
            apart: one trunk and head for each scale, instead of one for all.
            head: channels on which image and text are compared.
            residual: resolutions of the map at which a residual block is added, such as [8].
            regions: whether each region of the image is scored with the text, too; all regions together count as much
                as the whole image.

        Raises:
            LimnerError: if an image size is not a multiple of `meet`, the map shrinks too far, or it never has a
                resolution in `residual`.
        """
        super().__init__(sizes)
        self.scales = sizes.resolutions or (sizes.image,)
        for scale in self.scales:
            if scale % meet:
                raise LimnerError(
                    f"meet: expected a size that divides every image size, got {meet} for {scale} pixels."
                )
        groups = [[scale] for scale in self.scales] if apart else [list(self.scales)]
        self.feature_channels, self.feature_size = channels[-1] * len(groups), meet // 2 ** (len(channels) - 2)
        self.trunks = nn.ModuleList(Trunk(group, channels, meet, residual) for group in groups)
        self.heads = nn.ModuleList(TextHead(sizes.text, channels[-1], self.feature_size, head, regions) for _ in groups)

    def look(self, images: Sequence[Float[Tensor, "B 3 _ _"]]) -> Float[Tensor, "B C h w"]:
        by_scale = {image.shape[-1]: image for image in images}
        maps = [trunk(by_scale) for trunk in self.trunks]
        known = next(features for features in maps if features is not None)
        return torch.cat([torch.zeros_like(known) if features is None else features for features in maps], 1)

    def judge(self, features: Float[Tensor, "B C h w"], text: TextFeatures) -> Judgement:
        parts = features.chunk(len(self.heads), 1)
        match = torch.cat([head(part, text) for head, part in zip(self.heads, parts)], 1)
        return Judgement(match, None, features)


class Trunk(nn.Module):
    """A stem for each of some scales, whose maps are added up; then convolutions that all of them share."""

    def __init__(self, scales: list[int], channels: list[int], meet: int, residual: list[int]):
        super().__init__()
        stems = {str(scale): initialize(convolution(3, channels[0], max(1, scale // meet))) for scale in scales}
        self.stems = nn.ModuleDict(stems)
        with torch.no_grad():
            for scale in scales[1:]:
                stems[str(scale)].weight.mul_(0.01)
        self.layers = nn.Sequential(*map(initialize, halving_layers(channels, meet, residual)))
        rename_weights(self, "eyes", "stems")

    def forward(self, images: dict[int, Tensor]) -> Float[Tensor, "B C h w"] | None:
        """The feature map of the scales that are there; None if none of them is."""
        maps = [stem(images[int(scale)]) for scale, stem in self.stems.items() if int(scale) in images]
        if not maps:
            return None
        return self.layers(leaky_relu(sum(maps[1:], maps[0]) / len(self.stems) ** 0.5, 0.2))
