"""From the last map of a generator to the pixels of its image: plain, or mixed from a palette."""

import torch
from einops import rearrange, reduce
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle


class PlainPixels(nn.Module):
    """image = tanh(PixelShuffle(Conv(h))): the channels of each position become a square of pixels."""

    def __init__(self, channels: int, shuffle: int):
        super().__init__()
        self.shuffle = shuffle
        self.convolution = nn.Conv2d(channels, 3 * shuffle**2, 3, padding=1)

    def forward(self, hidden: Float[Tensor, "B C H W"], condition: Float[Tensor, "B K"]) -> Float[Tensor, "B 3 _ _"]:
        return pixel_shuffle(self.convolution(hidden).float(), self.shuffle).tanh()


class PalettePixels(nn.Module):
    """Mixes each pixel from P colors, which separates *where* something is from *which color* it has.

        m = softmax_P(PixelShuffle(Conv(h))),    c = tanh(A w + Conv1x1(h)),    image = sum_P m c

    Each pixel has its own mask m. The colors c come from the condition w and hold for the whole image; each position of
    the map can change them a little. An outline is then one sharp mask, whatever the two colors that it separates.
    """

    def __init__(self, condition: int, channels: int, shuffle: int, colors: int):
        super().__init__()
        self.shuffle, self.colors = shuffle, colors
        self.masks = nn.Conv2d(channels, colors * shuffle**2, 3, padding=1)
        self.palette = nn.Linear(condition, 3 * colors)
        self.change = nn.Conv2d(channels, 3 * colors, 1)
        with torch.no_grad():
            self.masks.weight.mul_(2.0)  # the masks differ from the first step on
            self.change.weight.mul_(0.3)

    def forward(self, hidden: Float[Tensor, "B C H W"], condition: Float[Tensor, "B K"]) -> Float[Tensor, "B 3 _ _"]:
        # s: the pixels that one position of the map becomes
        masks = rearrange(self.masks(hidden).float(), "b (p s) h w -> b p 1 s h w", p=self.colors).softmax(1)
        colors = rearrange(self.palette(condition), "b k -> b k 1 1") + self.change(hidden)
        colors = rearrange(colors.float().tanh(), "b (p c) h w -> b p c 1 h w", c=3)
        mixed = reduce(masks * colors, "b p c s h w -> b c s h w", "sum")
        return rearrange(mixed, "b c (i j) h w -> b c (h i) (w j)", i=self.shuffle)
