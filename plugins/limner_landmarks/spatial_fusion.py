"""The generator of SSA-GAN: the sentence changes the map only where a predicted mask lets it."""

from itertools import pairwise
from typing import Annotated

import torch
from einops import rearrange
from jaxtyping import Float
from limner import Generator, Sizes, TextFeatures
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu

from .blocks import Pixels, remaining
from .fusion import ChannelAffine

Channels = Annotated[int, Field(ge=1)]


class SpatialFusionGenerator(Generator):
    """One stage of residual blocks with masked fusion (Liao et al. 2022, SSA-GAN, section 3.2).

        h_0 = W z,    m_0 = P_0(h_0)
        h_{i+1} = Block_i(up(h_i); s, sigmoid(up(m_i))),    m_{i+1} = P_i(h_{i+1})
        image = tanh(Conv(up(leaky(norm(h_n)))))

    Every block predicts the mask of the next one from its map, without any label of regions. The first block keeps the
    4 x 4 of the first map, which only the noise makes; the others double the resolution.

    With channels = [256, 256, 256, 256, 128, 64, 32], these are the published widths for 256 pixels. Fewer levels stop
    at a smaller map, which is enlarged to the image size before the last convolution.
    """

    def __init__(
        self,
        sizes: Sizes,
        *,
        channels: Annotated[list[Channels], Field(min_length=1)] = [128, 64, 32, 16],  # noqa: B006
        noise: Annotated[int, Field(ge=1)] = 100,
        hidden: Annotated[int, Field(ge=1)] = 256,
        mask: Annotated[int, Field(ge=1)] = 100,
        residual_start: float = 0.1,
    ):
        """
        Args:
            sizes: what the parts of the model agree on.
            channels: of the maps at 4, 8, 16, ... pixels.
            noise: Z, the width of the noise.
            hidden: width of the MLPs that read the sentence.
            mask: channels of the layer that predicts a mask.
            residual_start: what the factors of the residuals start with; 0 in the released code.

        Raises:
            LimnerError: if the image size is not a multiple of the last map's.
        """
        super().__init__(sizes)
        self.noise_width, self.resolutions = noise, (sizes.image,)
        self.dense = nn.Linear(noise, channels[0] * 16)
        steps = list(pairwise([channels[0], *channels]))
        self.masks = nn.ModuleList(mask_predictor(before, mask) for before, _ in steps)
        self.blocks = nn.ModuleList(MaskedBlock(sizes.text, hidden, *step, residual_start) for step in steps)
        self.norm = nn.BatchNorm2d(channels[-1])
        self.pixels = Pixels(channels[-1], remaining(sizes.image, len(channels)))

    def forward(self, noise: Float[Tensor, "B Z"], text: TextFeatures) -> list[Float[Tensor, "B 3 _ _"]]:
        hidden = rearrange(self.dense(noise), "b (c h w) -> b c h w", h=4, w=4)
        for level, (block, predict) in enumerate(zip(self.blocks, self.masks)):
            mask = predict(hidden)
            if level:
                hidden = interpolate(hidden, scale_factor=2)
                mask = interpolate(mask, scale_factor=2, mode="bilinear", align_corners=True)
            hidden = block(hidden, text.sentence, mask.sigmoid())
        return [self.pixels(leaky_relu(self.norm(hidden), 0.2))]


def mask_predictor(channels: int, width: int) -> nn.Sequential:
    """P(h) = Conv1x1(relu(norm(Conv3x3(h)))): the logit of the mask at each position."""
    first = nn.Conv2d(channels, width, 3, padding=1, bias=False)
    return nn.Sequential(first, nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, 1, 1))


class MaskedBlock(nn.Module):
    """y = Shortcut(x) + g Conv(relu(F_2(Conv(relu(F_1(x))))), with masked fusion F and a learned factor g."""

    def __init__(self, text: int, hidden: int, before: int, after: int, start: float):
        super().__init__()
        self.fuse_first, self.fuse_second = MaskedFusion(text, hidden, before), MaskedFusion(text, hidden, after)
        self.first = nn.Conv2d(before, after, 3, padding=1, bias=False)  # a normalization follows
        self.second = nn.Conv2d(after, after, 3, padding=1)
        self.shortcut = nn.Conv2d(before, after, 1) if before != after else nn.Identity()
        self.factor = nn.Parameter(torch.tensor([start]))

    def forward(
        self, hidden: Float[Tensor, "B C H W"], sentence: Float[Tensor, "B D"], mask: Float[Tensor, "B 1 H W"]
    ) -> Float[Tensor, "B E H W"]:
        fused = self.first(self.fuse_first(hidden, sentence, mask).relu())
        return self.shortcut(hidden) + self.factor * self.second(self.fuse_second(fused, sentence, mask).relu())


class MaskedFusion(nn.Module):
    """F(x; s, m) = (1 + m a(s)) norm(x) + m b(s)

    norm is batch normalization, m in [0, 1] is the mask at each position. Where it is 0, the map is only normalized.
    The paper writes m (a(s) norm(x) + b(s)); this is the form of its released code.
    """

    def __init__(self, text: int, hidden: int, channels: int):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.affine = ChannelAffine(text, hidden, channels, start=0.0)

    def forward(
        self, hidden: Float[Tensor, "B C H W"], sentence: Float[Tensor, "B D"], mask: Float[Tensor, "B 1 H W"]
    ) -> Float[Tensor, "B C H W"]:
        scale, shift = self.affine(sentence)
        return (1 + mask * scale) * self.norm(hidden) + mask * shift
