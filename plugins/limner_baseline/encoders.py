"""Three text encoders, from the fastest to the kind that large models use. Padding has no influence on the features."""

from typing import Annotated

import torch
from einops import einsum, rearrange, reduce
from jaxtyping import Bool, Float
from limner import LimnerError, Sizes, TextEncoder, TextFeatures, Tokens
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import rms_norm
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

Width = Annotated[int, Field(ge=4)]


class MLPEncoder(TextEncoder):
    """Reads each token with a matrix of its own for each position in the caption.

        word_t = W_t E[token_t],    sentence = MLP(sum_t word_t)

    Fast, and enough for captions of a fixed form, where a word's position tells what it refers to.
    """

    def __init__(self, sizes: Sizes, *, width: Width = 128, hidden: Width = 192, embedding: Width = 48):
        """`width`: D, of the features; `hidden`: width of the sum over positions; `embedding`: width of E."""
        super().__init__(sizes)
        self.width = width
        self.token = nn.Embedding(sizes.vocabulary, embedding)
        self.places = nn.Parameter(torch.randn(sizes.length, embedding, hidden) / embedding**0.5 / 3)
        self.word = nn.Linear(hidden, width)
        self.sentence = nn.Sequential(nn.LeakyReLU(0.2), nn.Linear(hidden, width))

    def forward(self, tokens: Tokens) -> TextFeatures:
        embedded = zero_padding(self.token(tokens.ids), tokens.mask)
        hidden = einsum(embedded, self.places[: tokens.ids.shape[1]], "b t e, t e h -> b t h")
        words = zero_padding(self.word(hidden), tokens.mask)
        return TextFeatures(words, unit(self.sentence(hidden.sum(1))), tokens.mask)


class LSTMEncoder(TextEncoder):
    """Reads the caption in both directions with an LSTM (Hochreiter and Schmidhuber 1997).

    A word's feature is its two hidden states, [forward; backward]; the sentence's is the last state of each direction.
    Packing keeps padding out of both.
    """

    def __init__(self, sizes: Sizes, *, width: Width = 128, layers: Annotated[int, Field(ge=1)] = 1):
        """`width`: D, of the features, half of it for each direction; `layers`: how many LSTMs are stacked."""
        super().__init__(sizes)
        if width % 2:
            raise LimnerError(f"width: expected an even number, half of it for each direction, got {width}.")
        self.width = width
        self.token = nn.Embedding(sizes.vocabulary, width)
        self.lstm = nn.LSTM(width, width // 2, layers, batch_first=True, bidirectional=True)

    def forward(self, tokens: Tokens) -> TextFeatures:
        self.lstm.flatten_parameters()  # a copy of the encoder has its weights in several places
        lengths = tokens.mask.sum(1).cpu()
        packed = pack_padded_sequence(self.token(tokens.ids), lengths, batch_first=True, enforce_sorted=False)
        states, (last, _) = self.lstm(packed)
        words, _ = pad_packed_sequence(states, batch_first=True, total_length=tokens.ids.shape[1])
        sentence = rearrange(last[-2:], "direction b d -> b (direction d)")
        return TextFeatures(words, unit(sentence), tokens.mask)


class TransformerEncoder(TextEncoder):
    """A small transformer encoder (Vaswani et al. 2017): every word attends to every real word.

    Positions are learned, normalization comes before each block, and the sentence is the mean of the words.
    """

    def __init__(
        self,
        sizes: Sizes,
        *,
        width: Width = 128,
        layers: Annotated[int, Field(ge=1, le=100)] = 2,
        heads: Annotated[int, Field(ge=1)] = 4,
    ):
        """`width`: D, of the features; `layers`: how many; `heads`: per layer; their number must divide the width."""
        super().__init__(sizes)
        if width % heads:
            raise LimnerError(f"heads: {heads} heads do not divide the width {width}; choose one that does.")
        self.width = width
        self.token = nn.Embedding(sizes.vocabulary, width)
        self.place = nn.Embedding(sizes.length, width)
        layer = nn.TransformerEncoderLayer(
            width, heads, 2 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, layers, nn.LayerNorm(width), enable_nested_tensor=False)

    def forward(self, tokens: Tokens) -> TextFeatures:
        places = self.place.weight[: tokens.ids.shape[1]]  # [T, D]
        words = self.layers(self.token(tokens.ids) + places, src_key_padding_mask=~tokens.mask)
        words = zero_padding(words, tokens.mask)
        count = reduce(tokens.mask.to(words.dtype), "b t -> b 1", "sum")
        return TextFeatures(words, unit(words.sum(1) / count), tokens.mask)


def zero_padding(words: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, "B T D"]:
    """The words' features, zero at padding."""
    return words * mask[..., None]


def unit(sentence: Float[Tensor, "B D"]) -> Float[Tensor, "B D"]:
    """Sentences with root mean square 1, so that they have the scale of the noise from the first step on."""
    return rms_norm(sentence.float(), sentence.shape[-1:])
