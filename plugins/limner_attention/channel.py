"""Channel attention: every channel of the map attends to the words that it correlates with."""

from typing import Annotated

import torch
from einops import einsum, rearrange
from jaxtyping import Float
from limner import Attention, Sizes, TextFeatures
from limner.layers import rename_weights
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, rms_norm


class ChannelAttention(Attention):
    """The words weight the channels: each channel attends to the words that it correlates with (Li et al. 2019,
    ControlGAN).

        m_kt = N(pool(x_k)) . W_U c_t / g,   a_k = softmax_t(m_k)
        y_k = (1 + sum_t a_kt (W_V c_t)_k) x_k

    x_k is channel k, pooled to a g x g grid of means; N scales it to root mean square 1. W_U projects word t onto the
    same grid, so m_kt is the similarity of channel and word. The weights of a channel sum to 1 over the words; padding
    is left out of the softmax. ControlGAN makes a map from what a channel attends to; here it becomes one factor per
    channel, as in squeeze-and-excitation (Hu et al. 2018). W_V starts small, so y starts close to x.
    """

    def __init__(self, sizes: Sizes, channels: int, *, grid: Annotated[int, Field(ge=1)] = 4):
        """`grid`: g, the height and width at which channels and words are compared, whatever the resolution."""
        super().__init__(sizes, channels)
        self.grid = grid
        self.project = nn.Linear(sizes.text, grid**2, bias=False)  # W_U
        self.value = nn.Linear(sizes.text, channels, bias=False)  # W_V
        with torch.no_grad():
            self.value.weight.mul_(0.05)
        rename_weights(self, "draw", "project")

    def forward(self, features: Float[Tensor, "B C H W"], text: TextFeatures) -> Float[Tensor, "B C H W"]:
        pooled = rearrange(adaptive_avg_pool2d(features, self.grid), "b c h w -> b c (h w)")
        channels = rms_norm(pooled.float(), pooled.shape[-1:])
        scores = einsum(self.project(text.words), channels, "b t g, b c g -> b t c") / self.grid
        weights = (scores + text.mask.to(scores.dtype).log()[..., None]).softmax(1)  # [B, T, C]
        self.keep(rearrange(weights, "b t c -> b 1 t c"))
        gain = 1 + (weights * self.value(text.words)).sum(1)
        return features * rearrange(gain, "b c -> b c 1 1").to(features.dtype)
