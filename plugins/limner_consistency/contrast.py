"""The sentence-image contrast: which caption belongs to this image, which image to this caption?"""

from typing import Annotated

import torch
from einops import einsum, rearrange
from jaxtyping import Float
from limner import Sizes, Step, TextFeatures
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from .eye import ImageTextLoss


class SentenceContrast(ImageTextLoss):
    """InfoNCE between images and sentences, both ways (van den Oord et al. 2018; as in CLIP, Radford et al. 2021).

        s_ij = k cos(u_i, v_j),    u = U f(x),  v = V s(c)
        L = -1/2 E_i[log softmax_j(s_ij)_i] - 1/2 E_j[log softmax_i(s_ij)_j]

    The images' candidates include the caption's distractors: captions that are wrong in a word or two.
    Captions of the batch that happen to be true of another image are left out of its candidates. The discriminator's
    side learns the match on real images; the generator's side holds the painted images to their captions by it.
    """

    reads_distractors = True

    def __init__(
        self,
        sizes: Sizes,
        *,
        width: Annotated[int, Field(ge=1)] = 256,
        scale: Annotated[float, Field(gt=0)] = 10.0,
        own_backbone: bool = False,
    ):
        """`width`: of the space where images and sentences meet; `scale`: k, the inverse temperature; `own_backbone`:
        whether it sees for itself or shares the discriminator's features.
        """
        super().__init__(sizes, own_backbone)
        self.scale = scale
        self.image = nn.Linear(self.seen_channels * self.seen_size**2, width)
        self.sentence = nn.Linear(sizes.text, width)

    def discriminator(self, step: Step) -> Float[Tensor, ""]:
        return self.contrast(step, self.real(step))

    def generator(self, step: Step) -> Float[Tensor, ""]:
        return self.contrast(step, self.painted(step))

    def score(self, step: Step) -> Float[Tensor, " B"]:
        return einsum(self.images(self.real(step)), self.sentences(step.text), "b d, b d -> b")

    def images(self, features: Float[Tensor, "B C h w"]) -> Float[Tensor, "B W"]:
        """u: images as unit vectors."""
        return normalize(self.image(rearrange(features, "b c h w -> b (c h w)")).float(), dim=1)

    def sentences(self, text: TextFeatures) -> Float[Tensor, "B W"]:
        """v: sentences as unit vectors."""
        return normalize(self.sentence(text.sentence).float(), dim=1)

    def contrast(self, step: Step, features: Float[Tensor, "B C h w"]) -> Float[Tensor, ""]:
        """The loss of images, by what is seen in them, with the batch's captions."""
        images = self.images(features)
        scores = self.scale * einsum(images, self.sentences(step.text), "i d, j d -> i j")
        scores = scores.masked_fill(step.batch.confusable, -torch.inf)
        captions = scores
        if step.distractors is not None:
            wrong = rearrange(self.sentences(step.distractors), "(b k) d -> b k d", b=len(images))
            captions = torch.cat([scores, self.scale * einsum(images, wrong, "i d, i k d -> i k")], 1)
        target = torch.arange(len(images), device=images.device)
        return (cross_entropy(captions, target) + cross_entropy(scores.T, target)) / 2
