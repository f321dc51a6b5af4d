"""Multi-head attention: every position of the map attends to the words."""

from typing import Annotated

import torch
from einops import einsum, rearrange
from jaxtyping import Float
from limner import Attention, LimnerError, Sizes, TextFeatures
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import group_norm, scaled_dot_product_attention


class MultiHeadAttention(Attention):
    """Positions attend to words with several heads at once (Vaswani et al. 2017, section 3.2).

        Q = N(x) W_Q,   K = c W_K,   V = c W_V
        head_i = softmax(Q_i K_i^T / sqrt(d) + log m) V_i
        y = x + [head_1; ...; head_h] W_O

    x are the positions of the map, one per row; N normalizes the map to mean 0 and variance 1. c are the words, one per
    row, and m is their mask: log m is 0 at a word and -infinity at padding. Each head has d columns of Q, K and V. At
    every position, the weights of a head sum to 1 over the words. W_O starts small, so y starts close to x.
    """

    def __init__(
        self,
        sizes: Sizes,
        channels: int,
        *,
        heads: Annotated[int, Field(ge=1)] = 4,
        width: Annotated[int, Field(ge=1)] = 32,
    ):
        """`heads`: h, how many heads; `width`: of Q, K and V; the number of heads must divide it."""
        super().__init__(sizes, channels)
        if width % heads:
            fitting = ", ".join(str(number) for number in range(1, 17) if width % number == 0)
            raise LimnerError(
                f"heads: {heads} heads do not divide the width {width} of multi-head attention; {fitting} would."
            )
        self.heads = heads
        self.query = nn.Conv2d(channels, width, 1, bias=False)  # W_Q: a 1 x 1 convolution is linear at each position
        self.key = nn.Linear(sizes.text, width, bias=False)  # W_K
        self.value = nn.Linear(sizes.text, width, bias=False)  # W_V
        self.output = nn.Conv2d(width, channels, 1, bias=False)  # W_O
        with torch.no_grad():
            self.output.weight.mul_(0.05)

    def forward(self, features: Float[Tensor, "B C H W"], text: TextFeatures) -> Float[Tensor, "B C H W"]:
        queries = rearrange(self.query(group_norm(features, 1)), "b (i d) h w -> b i d (h w)", i=self.heads)
        keys = rearrange(self.key(text.words), "b t (i d) -> b i t d", i=self.heads)
        values = rearrange(self.value(text.words), "b t (i d) -> b i t d", i=self.heads)
        if fused_is_fast(features.device) and not self.keep_weights:
            heads = scaled_dot_product_attention(queries.mT, keys, values, rearrange(text.mask, "b t -> b 1 1 t")).mT
        else:
            scores = einsum(keys / keys.shape[-1] ** 0.5, queries, "b i t d, b i d p -> b i t p")
            padding = text.mask.to(scores.dtype).log()  # 0 at a word, -infinity at padding
            weights = (scores + rearrange(padding, "b t -> b 1 t 1")).softmax(2)
            self.keep(rearrange(weights, "b i t (h w) -> b i t h w", h=features.shape[2]))
            heads = einsum(weights, values, "b i t p, b i t d -> b i d p")
        return features + self.output(rearrange(heads, "b i d (h w) -> b (i d) h w", h=features.shape[2]))


def fused_is_fast(device: torch.device) -> bool:
    """Whether torch's fused attention is faster on this device; on a CPU in bfloat16, its backward pass is slow."""
    return device.type == "cuda"
