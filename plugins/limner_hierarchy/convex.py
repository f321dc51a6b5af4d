"""Convex enlargement: an image at twice its size, sharpened by what a hidden map says."""

import torch
from einops import rearrange, reduce
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pad, pixel_shuffle, unfold


class ConvexEnlargement(nn.Module):
    """Each new pixel is a mixture of the nine old ones around it (Teed and Deng 2020, RAFT, section 3.3).

        m = softmax_9(PixelShuffle(Conv(h))),    x'_p = sum_{n=1}^{9} m_pn x_n

    The masks m come from the hidden map h, nine for each new pixel; x_n are the old pixels around the one that it lies
    in. An edge can be put anywhere and made sharp, but no color comes in that is not near already: what the image says
    in the large stays as it was. It begins as plain enlargement.
    """

    def __init__(self, channels: int, map_size: int, size: int):
        """`channels` and `map_size`: of the hidden map; `size`: of the new image, a multiple of the map's."""
        super().__init__()
        self.shuffle = size // map_size
        self.masks = nn.Conv2d(channels, 9 * self.shuffle**2, 3, padding=1)
        with torch.no_grad():
            self.masks.weight.mul_(0.5)
            if self.masks.bias is not None:
                rearrange(self.masks.bias.zero_(), "(n s) -> n s", n=9)[4] = 4.0  # the pixel's own place is the fifth

    def forward(self, hidden: Float[Tensor, "B C h w"], image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 H2 W2"]:
        masks = pixel_shuffle(self.masks(hidden).float(), self.shuffle)  # [B, 9, H2, W2]
        masks = rearrange(masks, "b n (h i) (w j) -> b 1 n (i j) h w", i=2, j=2).softmax(2)
        around = unfold(pad(image.float(), (1, 1, 1, 1), mode="replicate"), 3)
        around = rearrange(around, "b (c n) (h w) -> b c n 1 h w", n=9, h=image.shape[-1])
        mixed = reduce(masks * around, "b c n s h w -> b c s h w", "sum")
        return rearrange(mixed, "b c (i j) h w -> b c (h i) (w j)", i=2)
