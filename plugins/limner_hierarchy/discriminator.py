"""A discriminator of several scales: one that sees all of them at once, or one for each stage."""

from collections.abc import Sequence
from typing import Annotated

import torch
from einops import rearrange
from jaxtyping import Float
from limner import Discriminator, Judgement, LimnerError, Sizes, TextFeatures
from limner.layers import ResidualBlock
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

Channels = Annotated[int, Field(ge=1)]


class ScalesDiscriminator(Discriminator):
    """Every image goes through an eye of its own; what the eyes see meets on maps of one size.

        f = Trunk(sum_i Eye_i(x_i)),                      D(x_1 ... x_n, c) = Head(f, s)           together
        f = [f_1; ...; f_n],   f_i = Trunk_i(Eye_i(x_i)),    D_i(x_i, c) = Head_i(f_i, s)           apart

        Head(f, s) = v . leaky((1 + a(s)) W f + b(s))

    An eye is one strided convolution. Together (Karnewar and Wang 2020, MSG-GAN) all scales are one look, and a pair
    of images that do not belong together is seen; apart (Zhang et al. 2018, StackGAN++) each stage has its own judge.
    A scale that is not painted yet, in a generator that grows, is seen as nothing. Together, all eyes but the first
    begin nearly blind, with a hundredth of their weights: a scale that joins upsets nothing that is known already.
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
    ):
        """
        Args:
            sizes: what the parts of the model agree on.
            channels: of the eyes, and of the convolutions that follow: the last keeps the resolution, the others
                halve it.
            meet: height and width of the map that every eye makes.
            apart: one trunk and head for each scale, in place of one for all.
            head: channels on which the text joins.
            residual: resolutions of the map at which a residual block looks once more, such as [8].

        Raises:
            LimnerError: where an image's size is no multiple of `meet`, or the map shrinks too far.
        """
        super().__init__(sizes)
        self.scales = sizes.resolutions or (sizes.image,)
        for scale in self.scales:
            if scale % meet:
                raise LimnerError(f"meet: expected a size that divides every image's, got {meet} and {scale} pixels.")
        halvings = len(channels) - 2
        if meet % 2**halvings:
            raise LimnerError(f"channels: {len(channels)} layers shrink a map of {meet} pixels too far; use fewer.")
        passed = [meet // 2**step for step in range(halvings + 1)]
        if unknown := [size for size in residual if size not in passed]:
            raise LimnerError(
                f"residual: there is no map of {unknown[0]} pixels; there is {', '.join(map(str, passed))}."
            )
        groups = [[scale] for scale in self.scales] if apart else [list(self.scales)]
        self.trunks = nn.ModuleList(Trunk(group, channels, meet, residual) for group in groups)
        self.heads = nn.ModuleList(Head(sizes.text, channels[-1], passed[-1], head) for _ in groups)
        self.feature_channels, self.feature_size = channels[-1] * len(groups), passed[-1]

    def look(self, images: Sequence[Float[Tensor, "B 3 _ _"]]) -> Float[Tensor, "B C h w"]:
        by_scale = {image.shape[-1]: image for image in images}
        seen = [trunk(by_scale) for trunk in self.trunks]
        known = next(features for features in seen if features is not None)
        return torch.cat([torch.zeros_like(known) if features is None else features for features in seen], 1)

    def judge(self, features: Float[Tensor, "B C h w"], text: TextFeatures) -> Judgement:
        parts = features.chunk(len(self.heads), 1)
        match = torch.cat([head(part, text) for head, part in zip(self.heads, parts)], 1)
        return Judgement(match, None, features)


class Trunk(nn.Module):
    """Eyes for some scales, whose maps are added up; then convolutions, each halving the map, the last one not."""

    def __init__(self, scales: list[int], channels: list[int], meet: int, residual: list[int]):
        super().__init__()
        self.eyes = nn.ModuleDict({str(scale): convolution(3, channels[0], max(1, scale // meet)) for scale in scales})
        with torch.no_grad():
            for scale in scales[1:]:
                self.eyes[str(scale)].get_parameter("weight").mul_(0.01)
        layers, size = [], meet
        strides = [*[2] * (len(channels) - 2), 1]
        for before, after, stride in zip(channels, channels[1:], strides):
            if size in residual:
                layers.append(ResidualBlock(before))
            layers += [convolution(before, after, stride), nn.LeakyReLU(0.2)]
            size //= stride
        self.layers = nn.Sequential(*layers)

    def forward(self, images: dict[int, Tensor]) -> Float[Tensor, "B C h w"] | None:
        """The feature map of those of its scales that are there; None where none is."""
        seen = [eye(images[int(scale)]) for scale, eye in self.eyes.items() if int(scale) in images]
        if not seen:
            return None
        return self.layers(leaky_relu(sum(seen[1:], seen[0]) / len(self.eyes) ** 0.5, 0.2))


class Head(nn.Module):
    """How well a feature map matches a sentence: v . leaky((1 + a(s)) W f + b(s))."""

    def __init__(self, text: int, channels: int, size: int, width: int):
        super().__init__()
        self.project = nn.Conv2d(channels, width, 1)
        self.affine = nn.Linear(text, 2 * width)
        self.match = nn.Linear(width * size**2, 1)

    def forward(self, features: Float[Tensor, "B C h w"], text: TextFeatures) -> Float[Tensor, "B 1"]:
        scale, shift = rearrange(self.affine(text.sentence), "b (two c) -> two b c 1 1", two=2)
        joined = leaky_relu((1 + scale) * self.project(features) + shift, 0.2)
        return self.match(rearrange(joined, "b c h w -> b (c h w)")).float()


def convolution(before: int, after: int, stride: int) -> nn.Conv2d:
    """A convolution that shrinks the map `stride` times and keeps the size of what passes through (He et al. 2015)."""
    layer = nn.Conv2d(before, after, 3 if stride == 1 else stride + 2, stride, padding=1)
    nn.init.kaiming_normal_(layer.weight, 0.2)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
