"""The stages of AttnGAN and MirrorGAN: every position of the map reads the words again."""

from typing import Annotated

import torch
from einops import einsum, rearrange
from jaxtyping import Float
from limner import Attention, Canvas, LimnerError, Sizes, Stage, TextFeatures
from limner.layers import PlainPixels
from pydantic import Field
from torch import Tensor, nn

from .blocks import Residual, enlarging


class WordContext(Attention):
    """What each position finds in the words (Xu et al. 2018, AttnGAN, equation 2).

        e_t = U c_t,    a_pt = softmax_t(h_p . e_t),    y_p = sum_t a_pt e_t

    c_t is word t and h_p the hidden map at position p. Padding has weight 0. The stage joins y to h; nothing is added.
    """

    def __init__(self, sizes: Sizes, channels: int):
        """`channels`: C, of the map and of y."""
        super().__init__(sizes, channels)
        self.word = nn.Linear(sizes.text, channels, bias=False)  # U

    def forward(self, features: Float[Tensor, "B C H W"], text: TextFeatures) -> Float[Tensor, "B C H W"]:
        words = self.word(text.words)
        scores = einsum(words, features, "b t c, b c h w -> b t h w").float()
        weights = (scores + rearrange(text.mask.to(scores.dtype).log(), "b t -> b t 1 1")).softmax(1)
        self.keep(rearrange(weights, "b t h w -> b 1 t h w"))
        return einsum(weights.to(words.dtype), words, "b t h w, b t c -> b c h w")


class SentenceContext(nn.Module):
    """What each position takes of the sentence (Qiao et al. 2019, MirrorGAN, equation 4).

        e = V s,    y_p = e * softmax_c(h_p * e)

    s is the sentence; the products are by channel, and the softmax is over the channels of a position.
    """

    def __init__(self, sizes: Sizes, channels: int):
        """`channels`: C, of the map and of y."""
        super().__init__()
        self.sentence = nn.Linear(sizes.text, channels)  # V

    def forward(self, features: Float[Tensor, "B C H W"], text: TextFeatures) -> Float[Tensor, "B C H W"]:
        sentence = rearrange(self.sentence(text.sentence), "b c -> b c 1 1")
        return sentence * (features * sentence).float().softmax(1).to(sentence.dtype)


class WordRefinementStage(Stage):
    """A later stage of AttnGAN (Xu et al. 2018, equation 1), or of MirrorGAN (Qiao et al. 2019, equation 5).

        h' = GLU(BN(Conv(Up(Res([h; words(h)]))))),    x' = tanh(Conv(h'))

    `words` is what each position finds in the words (`WordContext`). With `sentence`, what it takes of the sentence
    (`SentenceContext`) is joined, too.
    """

    def __init__(
        self,
        sizes: Sizes,
        before: Stage | None,
        *,
        channels: Annotated[int, Field(ge=1)] = 24,
        blocks: Annotated[int, Field(ge=0, le=16)] = 1,
        sentence: bool = False,
    ):
        """
        Args:
            sizes: what the parts of the model agree on.
            before: the stage that it continues.
            channels: of its hidden map.
            blocks: how many residual blocks.
            sentence: whether each position reads the sentence, too, as in MirrorGAN.

        Raises:
            LimnerError: if it is the first stage.
        """
        super().__init__(sizes, before)
        if before is None:
            raise LimnerError("stages: 'word-refinement' continues another stage, so it cannot be the first.")
        self.size, self.map_size, self.channels = 2 * before.size, 2 * before.map_size, channels
        contexts = [WordContext, SentenceContext] if sentence else [WordContext]
        self.contexts = nn.ModuleList(context(sizes, before.channels) for context in contexts)
        joined = before.channels * (1 + len(contexts))
        self.residual = nn.Sequential(*(Residual(joined, True) for _ in range(blocks)))
        self.enlarge = enlarging(joined, channels, True)
        self.pixels = PlainPixels(channels, self.size // self.map_size)

    def forward(self, canvas: Canvas | None, noise: Float[Tensor, "B Z"], text: TextFeatures) -> Canvas:
        assert canvas is not None  # it is never the first stage
        found = [context(canvas.hidden, text) for context in self.contexts]
        hidden = self.enlarge(self.residual(torch.cat([canvas.hidden, *found], 1)))
        return Canvas(hidden, self.pixels(hidden, text.sentence))
