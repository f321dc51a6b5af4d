"""The captioner: it describes an image word by word."""

import torch
from einops import einsum, rearrange
from jaxtyping import Float
from limner import LimnerError, Sizes, Tokens
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, pad


class Captioner(nn.Module):
    """For each word, it summarizes the words before, and attends to the regions of the image that matter next.

        h_t = leaky(sum_{s < t} M_s E[w_s] + p_t)
        r_t = [head_1; ...; head_k],   head_i = softmax(Q_i h_t (K_i f)^T / sqrt(d)) V_i f
        log p(w_t | w_<t, x) = log softmax(O leaky((1 + G h_t) r_t + h_t))

    f are the regions of the image, each one a position of the feature map; a learned value for each position is added
    to K f and V f. w_s are the words before; each position s in the caption has its own matrix M_s. The attention to
    regions is that of "Show, attend and tell" (Xu et al. 2015), with several heads (Vaswani et al. 2017).
    """

    def __init__(self, sizes: Sizes, *, width: int = 128, heads: int = 4, embedding: int = 48):
        """
        Args:
            sizes: what the parts of the model agree on.
            width: of h, r, and all other vectors but E; the number of heads must divide it.
            heads: k, the number of attention heads.
            embedding: width of E, the word embedding.

        Raises:
            LimnerError: if the heads do not divide the width.
        """
        super().__init__()
        if width % heads:
            raise LimnerError(
                f"heads: {heads} heads do not divide the captioner's width {width}; choose a number that does."
            )
        self.heads = heads
        self.embedding = nn.Embedding(sizes.vocabulary, embedding)
        self.memory = nn.Parameter(torch.randn(sizes.length, embedding, width) * (0.5 / embedding) ** 0.5)  # M
        self.position = nn.Parameter(torch.randn(sizes.length, width))  # p
        self.query = nn.Linear(width, width)  # Q
        self.regions = nn.Conv2d(sizes.features, 2 * width, 1)  # K and V: a 1 x 1 convolution is linear at each region
        self.places = nn.Parameter(0.3 * torch.randn(2 * width, sizes.feature_size, sizes.feature_size))
        self.gate = nn.Linear(width, width)  # G
        self.output = nn.Linear(width, sizes.vocabulary)  # O

    def forward(self, features: Float[Tensor, "B C h w"], tokens: Tokens) -> Float[Tensor, "B T V"]:
        """The logits of each word of a caption, given the words before it (teacher forcing)."""
        history = self.history(tokens)
        keys, values = rearrange(
            self.regions(features) + self.places, "b (two k d) h w -> two b k (h w) d", two=2, k=self.heads
        )
        query = rearrange(self.query(history), "b t (k d) -> b k t d", k=self.heads)
        scores = einsum(query / query.shape[-1] ** 0.5, keys, "b k t d, b k p d -> b k t p")
        attended = rearrange(scores.softmax(-1) @ values, "b k t d -> b t (k d)")
        return self.output(leaky_relu((1 + self.gate(history)) * attended + history, 0.2)).float()

    def history(self, tokens: Tokens) -> Float[Tensor, "B T K"]:
        """h: a summary of the words before each word."""
        length = tokens.ids.shape[1]
        words = einsum(self.embedding(tokens.ids[:, :-1]), self.memory[: length - 1], "b s e, s e k -> b s k")
        before = pad(words.cumsum(1), (0, 0, 1, 0))  # there is nothing before the first word
        return leaky_relu(before + self.position[:length], 0.2)
