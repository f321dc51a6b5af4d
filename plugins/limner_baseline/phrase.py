"""A text encoder that joins neighboring words into phrases before it reads the sentence."""

from typing import Annotated

import torch
from einops import einsum, rearrange
from jaxtyping import Bool, Float
from limner import LimnerError, Sizes, TextEncoder, TextFeatures, Tokens
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from .encoders import Width, unit, zero_padding


class PhraseEncoder(TextEncoder):
    """Convolutions along the sentence join neighboring words; learned queries then collect the parts of the sentence.

        h_0 = E[token_t] + p_t,    h_{i+1} = h_i + Conv_i(leaky(h_i)),    word_t = h_n
        r_k = sum_t softmax_t(q_k . word_t) word_t,    sentence = M_2 leaky(M_1 [r_1; ...; r_K])

    Words that belong together stand together: "red circle", "above a". A convolution joins them in the same way
    wherever they stand, so that the feature of "circle" knows its color after the first few steps. An LSTM carries
    everything in one state, and a transformer has to find out which positions are neighbors. Each query q_k learns to
    find one part of the sentence, such as the first object or the relation, and the perceptron M combines the parts.
    Padding is zero before each convolution and has no weight in the softmax.
    """

    def __init__(
        self,
        sizes: Sizes,
        *,
        width: Width = 128,
        kernel: Annotated[int, Field(ge=1)] = 5,
        layers: Annotated[int, Field(ge=0, le=100)] = 2,
        queries: Annotated[int, Field(ge=1)] = 8,
        hidden: Width = 256,
    ):
        """
        Args:
            sizes: what the parts of the model agree on.
            width: D, of the features.
            kernel: how many neighboring words a convolution joins, an odd number.
            layers: how many convolutions.
            queries: K, how many parts of the sentence are collected.
            hidden: width between the two layers of M.

        Raises:
            LimnerError: for an even `kernel`.
        """
        super().__init__(sizes)
        if kernel % 2 == 0:
            raise LimnerError(f"kernel: expected an odd number of words, the middle one included, got {kernel}.")
        self.width = width
        self.token = nn.Embedding(sizes.vocabulary, width)
        self.place = nn.Parameter(torch.zeros(sizes.length, width))
        self.convolutions = nn.ModuleList(nn.Conv1d(width, width, kernel, padding="same") for _ in range(layers))
        self.queries = nn.Parameter(torch.randn(queries, width) / width**0.5)
        first, second = nn.Linear(queries * width, hidden), nn.Linear(hidden, width)
        self.sentence = nn.Sequential(first, nn.LeakyReLU(0.2), second)
        for layer in (*self.convolutions, first, second):
            nn.init.kaiming_normal_(layer.get_parameter("weight"), 0.2)  # keeps the variance (He et al. 2015)
            nn.init.zeros_(layer.get_parameter("bias"))

    def forward(self, tokens: Tokens) -> TextFeatures:
        words = zero_padding(self.token(tokens.ids) + self.place[: tokens.ids.shape[1]], tokens.mask)
        for convolution in self.convolutions:
            joined = convolution(rearrange(leaky_relu(words, 0.2), "b t d -> b d t"))
            words = zero_padding(words + rearrange(joined, "b d t -> b t d"), tokens.mask)
        parts = rearrange(self.collect(words, tokens.mask), "b k d -> b (k d)")
        return TextFeatures(words, unit(self.sentence(parts)), tokens.mask)

    def collect(self, words: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, "B K D"]:
        """r: what each query finds among the real words."""
        scores = einsum(self.queries, words, "k d, b t d -> b k t")
        scores = scores.masked_fill(~rearrange(mask, "b t -> b 1 t"), torch.finfo(scores.dtype).min)
        return einsum(scores.softmax(-1), words, "b k t, b t d -> b k d")
