"""Spatial attention: every word chooses the positions of the map where it acts."""

from typing import Annotated

import torch
from einops import einsum, rearrange
from jaxtyping import Float
from limner import Attention, Sizes, TextFeatures
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import group_norm


class SpatialAttention(Attention):
    """Each word has a map of weights that says where it acts.

        a_t = softmax_p(W_K c_t . W_Q N(x)_p / sqrt(d))
        y_p = x_p + P sum_t a_tp W_V c_t

    x_p is the map at position p of P, N normalizes the map to mean 0 and variance 1, and c_t is word t. In multi-head
    attention the weights of a position sum to 1 over the words; here the weights of a word sum to 1 over the positions,
    and padding has weight 0. The mask that says where the text acts is an idea of SSA-GAN (Liao et al. 2022), which has
    one for the sentence. The words are added and not multiplied: a generator that normalizes each position would undo a
    factor for a whole position. W_V starts small, so y starts close to x.
    """

    def __init__(self, sizes: Sizes, channels: int, *, width: Annotated[int, Field(ge=1)] = 32):
        """`width`: d, of the joint space of words and positions."""
        super().__init__(sizes, channels)
        self.query = nn.Conv2d(channels, width, 1, bias=False)  # W_Q: a 1 x 1 convolution is linear at each position
        self.key = nn.Linear(sizes.text, width, bias=False)  # W_K
        self.value = nn.Linear(sizes.text, channels, bias=False)  # W_V
        with torch.no_grad():
            self.value.weight.mul_(0.05)

    def forward(self, features: Float[Tensor, "B C H W"], text: TextFeatures) -> Float[Tensor, "B C H W"]:
        queries = rearrange(self.query(group_norm(features, 1)), "b d h w -> b d (h w)")
        keys, values = self.key(text.words), self.value(text.words)
        scores = einsum(keys / keys.shape[-1] ** 0.5, queries, "b t d, b d p -> b t p")
        weights = scores.softmax(-1) * text.mask[..., None]  # [B, T, P]
        self.keep(rearrange(weights, "b t (h w) -> b 1 t h w", h=features.shape[2]))
        added = einsum(weights, values * weights.shape[-1], "b t p, b t c -> b c p")
        return features + rearrange(added, "b c (h w) -> b c h w", h=features.shape[2])
