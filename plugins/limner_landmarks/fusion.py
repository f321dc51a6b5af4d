"""What the fusion blocks of DF-GAN and SSA-GAN share: a condition decides a factor and an offset for each channel."""

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn


class ChannelAffine(nn.Module):
    """The factor a and the offset b of each channel, from a condition w, by an MLP each.

        a(w) = k + A_2 relu(A_1 w),    b(w) = B_2 relu(B_1 w)

    The papers start with A_2 = B_2 = 0. Here these layers start with a tenth of their usual weights, so that the
    condition has an influence from the first step on.
    """

    def __init__(self, condition: int, hidden: int, channels: int, start: float):
        """`condition`: K; `hidden`: width of the MLPs; `channels`: C; `start`: k, what a starts with."""
        super().__init__()
        self.scale = affine_mlp(condition, hidden, channels, start)
        self.shift = affine_mlp(condition, hidden, channels, 0.0)

    def forward(self, condition: Float[Tensor, "B K"]) -> tuple[Float[Tensor, "B C 1 1"], Float[Tensor, "B C 1 1"]]:
        """a and b."""
        return rearrange(self.scale(condition), "b c -> b c 1 1"), rearrange(self.shift(condition), "b c -> b c 1 1")


def affine_mlp(condition: int, hidden: int, channels: int, start: float) -> nn.Sequential:
    """An MLP from a condition to a number for each channel, near `start` at first."""
    last = nn.Linear(hidden, channels)
    with torch.no_grad():
        last.weight.mul_(0.1)
        last.bias.fill_(start)
    return nn.Sequential(nn.Linear(condition, hidden), nn.ReLU(), last)
