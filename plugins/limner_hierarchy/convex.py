"""Convex enlargement: doubles the size of an image, and sharpens it with the help of a hidden map."""

import torch
from einops import einsum, rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad


class ConvexEnlargement(nn.Module):
    """Each new pixel is a mixture of the nine old ones around it (convex upsampling: Teed and Deng 2020, RAFT, section
    3.3).

        m = softmax_9(log b + Up(Conv(h))),    x'_p = sum_{n=1}^{9} m_pn x_n

    The masks m come from the hidden map h, nine for each new pixel; x_n are the old pixels around the one that the new
    pixel lies in. An edge can be moved and sharpened, but every color comes from a neighboring pixel, so the overall
    image stays the same. b are the weights of bilinear enlargement, from which training starts. Up is bilinear too, so
    neighboring pixels have similar weights.
    """

    bilinear: Float[Tensor, "9 4 1 1"]

    def __init__(self, channels: int):
        """`channels`: of the hidden map; its size may be any that divides the new image's."""
        super().__init__()
        self.masks = nn.Conv2d(channels, 9, 3, padding=1)
        with torch.no_grad():
            self.masks.weight.mul_(0.1)
            self.masks.bias.zero_()  # pyright: ignore[reportOptionalMemberAccess]
        # for an even and for an odd new pixel: the weights of the old pixels before, at and after it
        with torch.device("cpu"):  # constants have values even in a network without memory
            along = torch.tensor([[0.25, 0.75, 0.01], [0.01, 0.75, 0.25]])
            weights = rearrange(einsum(along, along, "i y, j x -> y x i j"), "y x i j -> (y x) (i j) 1 1")
            self.register_buffer("bilinear", weights.log(), persistent=False)

    def forward(self, hidden: Float[Tensor, "B C h w"], image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 H2 W2"]:
        height, width = image.shape[2:]
        masks = interpolate(self.masks(hidden), (2 * height, 2 * width), mode="bilinear")
        masks = rearrange(masks, "b n (h i) (w j) -> b n (i j) h w", i=2, j=2)  # i, j: the new pixels within an old one
        masks = (masks + self.bilinear).softmax(1).to(hidden.dtype)[:, None].unbind(2)  # nine of [B, 1, 4, H, W]
        around = pad(image.to(hidden.dtype), (1, 1, 1, 1), mode="replicate")
        places = [around[:, :, None, y : y + height, x : x + width] for y in range(3) for x in range(3)]
        mixed = masks[0] * places[0]  # [B, 3, 4, H, W]
        for mask, place in zip(masks[1:], places[1:]):
            mixed = torch.addcmul(mixed, mask, place)
        return rearrange(mixed, "b c (i j) h w -> b c (h i) (w j)", i=2).float()
