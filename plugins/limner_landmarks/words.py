"""The stages of AttnGAN, MirrorGAN and DM-GAN: every position of the map reads the words again."""

from typing import Annotated, Literal

import torch
from einops import einsum, rearrange
from jaxtyping import Float
from limner import Attention, Canvas, LimnerError, Sizes, Stage, TextFeatures
from pydantic import Field
from torch import Tensor, nn

from .blocks import Pixels, Residual, enlarging
from .memory import DynamicMemory


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
    """A later stage of AttnGAN (Xu et al. 2018, equation 1), MirrorGAN (Qiao et al. 2019, equation 5) or DM-GAN (Zhu et
    al. 2019, section 3.1).

        h' = GLU(BN(Conv(Up(Res(read(h, c)))))),    x' = tanh(Conv(h'))

        read(h, c) = [h; words(h, c)]                       "words": AttnGAN
        read(h, c) = [h; words(h, c); sentence(h, c)]       "words and sentence": MirrorGAN
        read(h, c) = memory(h, c)                           "memory": DM-GAN

    The three parts are `WordContext`, `SentenceContext` and `DynamicMemory`.
    """

    def __init__(
        self,
        sizes: Sizes,
        before: Stage | None,
        *,
        channels: Annotated[int, Field(ge=1)] = 24,
        blocks: Annotated[int, Field(ge=0, le=16)] = 1,
        reads: Literal["words", "words and sentence", "memory"] = "words",
    ):
        """
        Args:
            sizes: what the parts of the model agree on.
            before: the stage that it continues.
            channels: of its hidden map.
            blocks: how many residual blocks.
            reads: what each position of the map reads of the text.

        Raises:
            LimnerError: if it is the first stage.
        """
        super().__init__(sizes, before)
        if before is None:
            raise LimnerError("stages: 'word-refinement' continues another stage, so it cannot be the first.")
        self.size, self.map_size, self.channels = 2 * before.size, 2 * before.map_size, channels
        self.keeps = reads != "memory"  # which contains h already
        channels_before = before.channels
        first = WordContext(sizes, channels_before) if self.keeps else DynamicMemory(sizes, channels_before)
        self.contexts = nn.ModuleList([first])
        if reads == "words and sentence":
            self.contexts.append(SentenceContext(sizes, channels_before))
        joined = channels_before * (self.keeps + len(self.contexts))
        self.residual = nn.Sequential(*(Residual(joined, True) for _ in range(blocks)))
        self.enlarge = enlarging(joined, channels, True)
        self.pixels = Pixels(channels, self.size // self.map_size)

    def forward(self, canvas: Canvas | None, noise: Float[Tensor, "B Z"], text: TextFeatures) -> Canvas:
        assert canvas is not None  # it is never the first stage
        found = [context(canvas.hidden, text) for context in self.contexts]
        joined = torch.cat([canvas.hidden, *found] if self.keeps else found, 1)
        hidden = self.enlarge(self.residual(joined))
        return Canvas(hidden, self.pixels(hidden))
