"""Cycle consistency: a generated image, described in words, should give back its caption."""

from typing import Annotated

import torch
from jaxtyping import Float, Int
from limner import Sizes, Step, Tokens
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy

from .backbone import ImageTextLoss, Steps
from .captioner import Captioner


class CycleConsistency(ImageTextLoss):
    """From text to image and back to text (MirrorGAN, Qiao et al. 2019, equation 8).

        L_D = -E_{x,c}[ sum_t log p(c_t | c_<t, x) ],    L_G = -E_{c,z}[ sum_t log p(c_t | c_<t, G(z, c)) ]

    The captioner p learns to describe real images. It uses the features of the discriminator, which learn along with it
    what captions speak of, or a backbone of its own. The generator learns to make images that the captioner would
    describe by their captions. The loss is the cross-entropy, in nats per caption. Its gradient flows through the
    image.
    """

    def __init__(
        self,
        sizes: Sizes,
        *,
        width: Annotated[int, Field(ge=1)] = 128,
        heads: Annotated[int, Field(ge=1)] = 4,
        own_backbone: bool = False,
        pretrained_steps: Steps = 0,
    ):
        """`width` and `heads`: of the captioner; `own_backbone`: whether it has a backbone of its own, or shares the
        discriminator's features; `pretrained_steps`: steps on real pairs before the first step, after which the
        captioner is frozen (MirrorGAN, section 3.3).
        """
        super().__init__(sizes, own_backbone, pretrained_steps)
        sizes = sizes.knowing(features=self.feature_channels, feature_size=self.feature_size)
        self.captioner = Captioner(sizes, width=width, heads=heads)
        self.longest = sizes.length

    def compare(self, step: Step, features: Float[Tensor, "B C h w"]) -> Float[Tensor, ""]:
        return self.nats(step, features).mean()

    def score(self, step: Step) -> Float[Tensor, " B"]:
        return -self.nats(step, self.real_features(step)) / step.batch.tokens.mask.sum(1)

    def nats(self, step: Step, features: Float[Tensor, "B C h w"]) -> Float[Tensor, " B"]:
        """-log p(caption | image) for each image, given by its features."""
        tokens = step.batch.tokens
        logits = self.captioner(features, tokens)
        targets = tokens.ids.masked_fill(~tokens.mask, -100)  # leaves padding out
        return cross_entropy(logits.mT, targets, ignore_index=-100, reduction="none").sum(1)

    def read(self, step: Step) -> Int[Tensor, "B T"]:
        """Greedy decoding: the most likely word at each place, up to the longest caption; ignore what follows the end
        token.
        """
        features = self.real_features(step)
        ids = torch.zeros(len(features), 0, dtype=torch.long, device=features.device)
        for _ in range(self.longest):
            words = torch.cat([ids, ids.new_zeros(len(ids), 1)], 1)  # the last one is still unknown
            logits = self.captioner(features, Tokens(words, torch.ones_like(words, dtype=torch.bool)))
            ids = torch.cat([ids, logits[:, -1:].argmax(2)], 1)
        return ids
