"""The dynamic memory of DM-GAN: a memory of words, written anew for each image, that its positions read."""

import torch
from einops import einsum, rearrange, reduce
from jaxtyping import Float
from limner import Attention, Sizes, TextFeatures
from torch import Tensor, nn


class DynamicMemory(Attention):
    """The words are written into a memory as far as they matter to the image, and read by its positions (Zhu et al.
    2019, DM-GAN, equations 4 to 9).

        g_t = sigmoid(A c_t + B h),    m_t = g_t M_c(c_t) + (1 - g_t) M_h(h),    h = mean_p h_p      writing
        a_pt = softmax_t(K(m_t) . h_p),    o_p = sum_t a_pt V(m_t)                                   reading
        r_p = sigmoid(R [o_p; h_p]),    y_p = r_p o_p + (1 - r_p) h_p                                response

    c_t is word t and h_p the hidden map at position p. M, K and V are linear, followed by ReLU; g_t and r_p are
    numbers. Padding has weight 0. As in the published code, h gets no gradient.
    """

    def __init__(self, sizes: Sizes, channels: int):
        """`channels`: C, of the map and of y; m has twice as many numbers."""
        super().__init__(sizes, channels)
        memory = 2 * channels
        self.word_gate, self.image_gate = nn.Linear(sizes.text, 1), nn.Linear(channels, 1)  # A, B
        self.word, self.image = nn.Linear(sizes.text, memory), nn.Linear(channels, memory)  # M_c, M_h
        self.key, self.value = nn.Linear(memory, channels), nn.Linear(memory, channels)
        self.response = nn.Conv2d(2 * channels, 1, 1)  # R

    def forward(self, features: Float[Tensor, "B C H W"], text: TextFeatures) -> Float[Tensor, "B C H W"]:
        memory = self.write(features, text.words)
        scores = einsum(self.key(memory).relu(), features, "b t c, b c h w -> b t h w").float()
        weights = (scores + rearrange(text.mask.to(scores.dtype).log(), "b t -> b t 1 1")).softmax(1)
        self.keep(rearrange(weights, "b t h w -> b 1 t h w"))
        values = self.value(memory).relu()
        found = einsum(weights.to(values.dtype), values, "b t h w, b t c -> b c h w")
        response = self.response(torch.cat([found, features], 1)).sigmoid()
        return response * found + (1 - response) * features

    def write(self, features: Float[Tensor, "B C H W"], words: Float[Tensor, "B T D"]) -> Float[Tensor, "B T M"]:
        """m: the memory, an entry for each word."""
        image = rearrange(reduce(features.detach(), "b c h w -> b c", "mean"), "b c -> b 1 c")
        gate = (self.word_gate(words) + self.image_gate(image)).sigmoid()
        return gate * self.word(words).relu() + (1 - gate) * self.image(image).relu()
