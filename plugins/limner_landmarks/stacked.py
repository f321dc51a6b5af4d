"""The stages of StackGAN and StackGAN++: they read the sentence, sampled around its vector."""

from itertools import pairwise
from typing import Annotated

import torch
from einops import rearrange
from jaxtyping import Float
from limner import Canvas, LimnerError, Sizes, Stage, TextFeatures
from pydantic import Field
from torch import Tensor, nn

from .blocks import Pixels, Residual, RowNorm, SampledSentence, enlarging, everywhere, normalized

Count = Annotated[int, Field(ge=1)]
Blocks = Annotated[int, Field(ge=0, le=16)]


def doublings(size: int, enlarge: int) -> int:
    """How often a 4 x 4 map is doubled for an image of `size` pixels, `enlarge` times larger than the last map.

    Raises:
        LimnerError: if the size is no such number.
    """
    levels = (size // enlarge // 4).bit_length() - 1
    if levels < 0 or 4 * enlarge * 2**levels != size:
        raise LimnerError(f"size: expected {4 * enlarge} pixels, doubled any number of times, got {size}.")
    return levels


class StackInitialStage(Stage):
    """The first stage of StackGAN (Zhang et al. 2017, section 3.3), StackGAN++ (2018) and AttnGAN (Xu et al. 2018).

        h_0 = act(BN(W [z; s'])),    h_{i+1} = act(BN(Conv(Up(h_i)))),    x = tanh(Conv(h_n))

    s' is sampled from a Gaussian around the sentence. h_0 has 4 x 4 positions; each level has half the channels of the
    one before. act is ReLU in StackGAN and a gated linear unit in the others.
    """

    def __init__(
        self,
        sizes: Sizes,
        before: Stage | None,
        *,
        size: Annotated[int, Field(ge=4)] = 16,
        channels: Count = 24,
        augmentation: Count = 4,
        gated: bool = True,
        enlarge: Count = 1,
    ):
        """
        Args:
            sizes: what the parts of the model agree on.
            before: None; this stage is always the first.
            size: height and width of the image.
            channels: of the last map; the map before it has twice as many, and so on.
            augmentation: width of s', the sampled sentence; as many numbers of the noise sample it.
            gated: a gated linear unit after each convolution, instead of ReLU.
            enlarge: how many times the last map is enlarged before it becomes the image; so are those of later stages.

        Raises:
            LimnerError: if it is not the first stage, or its size or the noise does not fit.
        """
        super().__init__(sizes, before)
        if before is not None:
            raise LimnerError("stages: 'stack-initial' starts from noise, so it must be the first stage and no other.")
        levels = doublings(size, enlarge)
        self.size, self.map_size, self.channels = size, size // enlarge, channels
        self.sentence = SampledSentence(sizes, augmentation, gated)
        first = channels * 2**levels * 16 * (2 if gated else 1)
        dense = nn.Linear(sizes.noise, first, bias=False)  # z and eps together are as many as z and s' together
        self.dense = nn.Sequential(dense, RowNorm(first), nn.GLU(1) if gated else nn.ReLU())
        widths = [channels * 2**level for level in range(levels, -1, -1)]
        self.levels = nn.Sequential(*(enlarging(wide, wide // 2, gated) for wide in widths[:-1]))
        self.pixels = Pixels(channels, enlarge)

    def forward(self, canvas: Canvas | None, noise: Float[Tensor, "B Z"], text: TextFeatures) -> Canvas:
        free = noise[:, : -self.sentence.width]  # z; the rest is eps
        hidden = self.dense(torch.cat([free, self.sentence(text, noise)], 1))
        hidden = self.levels(rearrange(hidden, "b (c h w) -> b c h w", h=4, w=4))
        return Canvas(hidden, self.pixels(hidden))


class StackSecondStage(Stage):
    """Stage II of StackGAN (Zhang et al. 2017, section 3.4): it reads the image and the text again, and corrects it.

        f = Down(x),    h_0 = Res(act(BN(Conv([f; s'])))),    h_{i+1} = act(BN(Conv(Up(h_i)))),    x' = tanh(Conv(h_n))

    Down halves the image of the stage before, twice in the paper, and doubles the channels each time; one doubling more
    than halvings follows. The stage has no noise apart from that of s', and reads the image only, so it can be trained
    on top of a frozen stage.
    """

    def __init__(
        self,
        sizes: Sizes,
        before: Stage | None,
        *,
        channels: Annotated[int, Field(ge=2)] = 16,
        augmentation: Count = 4,
        blocks: Blocks = 2,
        halvings: Annotated[int, Field(ge=1, le=6)] = 2,
    ):
        """
        Args:
            sizes: what the parts of the model agree on.
            before: the stage whose image it enlarges.
            channels: of the first convolution on the image, an even number; the last one has half as many.
            augmentation: width of s', the sampled sentence.
            blocks: how many residual blocks.
            halvings: how often the image is halved before it is joined with the sentence.

        Raises:
            LimnerError: if it is the first stage, or the size of the image before or the noise does not fit.
        """
        super().__init__(sizes, before)
        if before is None:
            raise LimnerError("stages: 'stack-second' enlarges an image, so it cannot be the first.")
        if before.size % 2**halvings:
            raise LimnerError(
                f"halvings: an image of {before.size} pixels cannot be halved {halvings} times; use fewer."
            )
        self.size, self.map_size, self.channels = 2 * before.size, 2 * before.size, channels // 2
        self.sentence = SampledSentence(sizes, augmentation, False)
        widths = [channels * 2**level for level in range(halvings + 1)]
        down = [layer for pair in pairwise(widths) for layer in halving(*pair)]
        self.look = nn.Sequential(nn.Conv2d(3, channels, 3, padding=1, bias=False), nn.ReLU(), *down)
        self.join = nn.Sequential(*normalized(widths[-1] + augmentation, widths[-1], False))
        self.residual = nn.Sequential(*(Residual(widths[-1], False) for _ in range(blocks)))
        up = pairwise([*reversed(widths), channels // 2])
        self.levels = nn.Sequential(*(enlarging(wide, after, False) for wide, after in up))
        self.pixels = Pixels(channels // 2)

    def forward(self, canvas: Canvas | None, noise: Float[Tensor, "B Z"], text: TextFeatures) -> Canvas:
        assert canvas is not None  # it is never the first stage
        joined = everywhere(self.look(canvas.image), self.sentence(text, noise))
        hidden = self.levels(self.residual(self.join(joined)))
        return Canvas(hidden, self.pixels(hidden))


class StackRefinementStage(Stage):
    """A later stage of StackGAN++ (Zhang et al. 2018, section 3.3): it continues the hidden map, not the image.

        h' = act(BN(Conv(Up(Res(act(BN(Conv([h; s']))))))),    x' = tanh(Conv(h'))

    s' is sampled from a Gaussian around the sentence; act is a gated linear unit.
    """

    def __init__(
        self,
        sizes: Sizes,
        before: Stage | None,
        *,
        channels: Count = 24,
        augmentation: Count = 4,
        blocks: Blocks = 1,
    ):
        """
        Args:
            sizes: what the parts of the model agree on.
            before: the stage that it continues.
            channels: of its hidden map.
            augmentation: width of s', the sampled sentence.
            blocks: how many residual blocks.

        Raises:
            LimnerError: if it is the first stage, or the noise does not fit.
        """
        super().__init__(sizes, before)
        if before is None:
            raise LimnerError("stages: 'stack-refinement' continues another stage, so it cannot be the first.")
        self.size, self.map_size, self.channels = 2 * before.size, 2 * before.map_size, channels
        self.sentence = SampledSentence(sizes, augmentation, True)
        self.join = nn.Sequential(*normalized(before.channels + augmentation, before.channels, True))
        self.residual = nn.Sequential(*(Residual(before.channels, True) for _ in range(blocks)))
        self.enlarge = enlarging(before.channels, channels, True)
        self.pixels = Pixels(channels, self.size // self.map_size)

    def forward(self, canvas: Canvas | None, noise: Float[Tensor, "B Z"], text: TextFeatures) -> Canvas:
        assert canvas is not None  # it is never the first stage
        joined = everywhere(canvas.hidden, self.sentence(text, noise))
        hidden = self.enlarge(self.residual(self.join(joined)))
        return Canvas(hidden, self.pixels(hidden))


def halving(before: int, after: int) -> list[nn.Module]:
    """A convolution that halves the map, normalized, with ReLU."""
    return [nn.Conv2d(before, after, 4, 2, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
