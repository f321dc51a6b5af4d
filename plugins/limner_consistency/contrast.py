"""The contrast of sentences and images: which caption belongs to an image, and which image to a caption?"""

from typing import Annotated

import torch
from einops import einsum, rearrange
from jaxtyping import Float
from limner import Sizes, Step, TextFeatures
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from .backbone import ImageTextLoss, Steps


class SentenceContrast(ImageTextLoss):
    """InfoNCE between images and sentences, in both directions (van den Oord et al. 2018; CLIP, Radford et al. 2021).

        s_ij = k cos(u_i, v_j),    u = U f(x),  v = V s(c)
        L = -1/2 E_i[log softmax_j(s_ij)_i] - 1/2 E_j[log softmax_i(s_ij)_j]

    The candidates of an image include its distractors: captions in which a word or two are wrong. They leave out other
    captions of the batch that happen to be true of the image. The discriminator learns the match on real images; the
    generator learns to make images that match their captions.
    """

    reads_distractors = True

    def __init__(
        self,
        sizes: Sizes,
        *,
        width: Annotated[int, Field(ge=1)] = 256,
        scale: Annotated[float, Field(gt=0)] = 10.0,
        own_backbone: bool = False,
        pretrained_steps: Steps = 0,
    ):
        """`width`: of the joint space of images and sentences; `scale`: k, the inverse temperature; `own_backbone`:
        whether it has a backbone of its own, or shares the discriminator's features; `pretrained_steps`: steps on real
        pairs before the first step, after which it and the text encoder are frozen.
        """
        super().__init__(sizes, own_backbone, pretrained_steps)
        self.scale = scale
        self.image = nn.Linear(self.feature_channels * self.feature_size**2, width)
        self.sentence = nn.Linear(sizes.text, width)

    def score(self, step: Step) -> Float[Tensor, " B"]:
        return einsum(self.images(self.real_features(step)), self.sentences(step.text), "b d, b d -> b")

    def images(self, features: Float[Tensor, "B C h w"]) -> Float[Tensor, "B W"]:
        """u: images as unit vectors."""
        return normalize(self.image(rearrange(features, "b c h w -> b (c h w)")).float(), dim=1)

    def sentences(self, text: TextFeatures) -> Float[Tensor, "B W"]:
        """v: sentences as unit vectors."""
        return normalize(self.sentence(text.sentence).float(), dim=1)

    def compare(self, step: Step, features: Float[Tensor, "B C h w"]) -> Float[Tensor, ""]:
        images = self.images(features)
        scores = self.scale * einsum(images, self.sentences(step.text), "i d, j d -> i j")
        scores = scores.masked_fill(step.batch.confusable, -torch.inf)
        captions = scores
        if step.distractors is not None:
            wrong = rearrange(self.sentences(step.distractors), "(b k) d -> b k d", b=len(images))
            captions = torch.cat([scores, self.scale * einsum(images, wrong, "i d, i k d -> i k")], 1)
        target = torch.arange(len(images), device=images.device)
        return (cross_entropy(captions, target) + cross_entropy(scores.T, target)) / 2
