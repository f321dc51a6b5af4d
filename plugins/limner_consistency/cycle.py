"""Cycle consistency: a painted image, read back into words, should give the caption that it was painted for."""

from typing import Annotated

from jaxtyping import Float
from limner import Loss, Sizes, Step
from limner.types import Judgement
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy

from .captioner import Captioner


class CycleConsistency(Loss):
    """Text to image and back to text (MirrorGAN, Qiao et al. 2019, equation 8).

        L_D = -E_{x,c}[ sum_t log p(c_t | c_<t, x) ],    L_G = -E_{c,z}[ sum_t log p(c_t | c_<t, G(z, c)) ]

    The captioner p learns to describe real images, on the features of the discriminator, which learns along with it
    to see what captions speak of. The generator is held to paint what the captioner would describe by its caption:
    d(caption', caption) is the cross-entropy, in nats a caption, and its gradient flows through the image.
    """

    def __init__(
        self,
        sizes: Sizes,
        *,
        width: Annotated[int, Field(ge=1)] = 128,
        heads: Annotated[int, Field(ge=1)] = 4,
    ):
        """`width` and `heads`: of the captioner."""
        super().__init__(sizes)
        self.captioner = Captioner(sizes, width=width, heads=heads)

    def discriminator(self, step: Step) -> Float[Tensor, ""]:
        return self.cross_entropy(step, step.real)

    def generator(self, step: Step) -> Float[Tensor, ""]:
        return self.cross_entropy(step, step.generated)

    def cross_entropy(self, step: Step, judgement: Judgement) -> Float[Tensor, ""]:
        """-log p(caption | image), the mean over the batch."""
        tokens = step.batch.tokens
        logits = self.captioner(judgement.features, tokens)
        asked = tokens.ids.masked_fill(~tokens.mask, -100)  # padding is not said
        return cross_entropy(logits.flatten(0, 1), asked.flatten(), ignore_index=-100, reduction="sum") / len(tokens)
