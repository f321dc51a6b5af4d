"""Cycle consistency: a painted image, read back into words, should give the caption that it was painted for."""

from typing import Annotated

import torch
from jaxtyping import Float, Int
from limner import Sizes, Step, Tokens
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy

from .captioner import Captioner
from .eye import ImageTextLoss


class CycleConsistency(ImageTextLoss):
    """Text to image and back to text (MirrorGAN, Qiao et al. 2019, equation 8).

        L_D = -E_{x,c}[ sum_t log p(c_t | c_<t, x) ],    L_G = -E_{c,z}[ sum_t log p(c_t | c_<t, G(z, c)) ]

    The captioner p learns to describe real images. It does so on the features of the discriminator, which learns along
    with it to see what captions speak of, or with an eye of its own. The generator is held to paint what the captioner
    would describe by its caption: d(caption', caption) is the cross-entropy, in nats a caption, and its gradient flows
    through the image.
    """

    def __init__(
        self,
        sizes: Sizes,
        *,
        width: Annotated[int, Field(ge=1)] = 128,
        heads: Annotated[int, Field(ge=1)] = 4,
        own_backbone: bool = False,
    ):
        """`width` and `heads`: of the captioner; `own_backbone`: whether it sees for itself."""
        super().__init__(sizes, own_backbone)
        seen = sizes.knowing(features=self.seen_channels, feature_size=self.seen_size)
        self.captioner = Captioner(seen, width=width, heads=heads)
        self.longest = sizes.length

    def discriminator(self, step: Step) -> Float[Tensor, ""]:
        return self.nats(step, self.real(step)).mean()

    def generator(self, step: Step) -> Float[Tensor, ""]:
        return self.nats(step, self.painted(step)).mean()

    def score(self, step: Step) -> Float[Tensor, " B"]:
        return -self.nats(step, self.real(step)) / step.batch.tokens.mask.sum(1)

    def nats(self, step: Step, features: Float[Tensor, "B C h w"]) -> Float[Tensor, " B"]:
        """-log p(caption | image) for each image, by what is seen in it."""
        tokens = step.batch.tokens
        logits = self.captioner(features, tokens)
        asked = tokens.ids.masked_fill(~tokens.mask, -100)  # padding is not said
        return cross_entropy(logits.mT, asked, ignore_index=-100, reduction="none").sum(1)

    def read(self, step: Step) -> Int[Tensor, "B T"]:
        """The likeliest word each time, as long as a caption can be; what follows its last mark means nothing."""
        features = self.real(step)
        ids = torch.zeros(len(features), 0, dtype=torch.long, device=features.device)
        for _ in range(self.longest):
            asked = torch.cat([ids, ids.new_zeros(len(ids), 1)], 1)  # the last one is still unknown
            logits = self.captioner(features, Tokens(asked, torch.ones_like(asked, dtype=torch.bool)))
            ids = torch.cat([ids, logits[:, -1:].argmax(2)], 1)
        return ids
