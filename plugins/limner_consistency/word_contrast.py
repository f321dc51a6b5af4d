"""The contrast of words and regions: every word looks for its regions of the image."""

from typing import Annotated

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from limner import Sizes, Step
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, cross_entropy

from .backbone import ImageTextLoss, Steps, masked

Temperature = Annotated[float, Field(gt=0)]


class WordContrast(ImageTextLoss):
    """The half of DAMSM that compares words (Xu et al. 2018, AttnGAN, equations 7 to 12).

        s_tp = e_t . v_p,   e = E c,  v = V f(x)            how well word t and region p agree
        a_tp = softmax_p(g1 softmax_t(s_tp))                where word t attends
        r_t = sum_p a_tp v_p                                the attended regions
        R(x, c) = 1/g2 log sum_t exp(g2 cos(r_t, e_t))      the matching score: a soft maximum over the words
        L = -1/2 E_i[log softmax_j(g3 R(x_i, c_j))_i] - 1/2 E_j[log softmax_i(g3 R(x_i, c_j))_j]

    g1, g2, g3 are the inverse temperatures of the attention, the words, and the contrast. Padding is left out. The
    candidates of an image leave out other captions of the batch that are true of it. The other half compares sentences
    (`damsm`).
    """

    def __init__(
        self,
        sizes: Sizes,
        *,
        width: Annotated[int, Field(ge=1)] = 64,
        attention: Temperature = 4.0,
        words: Temperature = 5.0,
        contrast: Temperature = 10.0,
        own_backbone: bool = False,
        pretrained_steps: Steps = 0,
    ):
        """`width`: of the joint space of words and regions; `attention`, `words`, `contrast`: g1, g2, g3;
        `own_backbone`: whether it has a backbone of its own, or shares the discriminator's features;
        `pretrained_steps`: steps on real pairs before the first step, after which it and the text encoder are frozen.
        """
        super().__init__(sizes, own_backbone, pretrained_steps)
        self.temperatures = attention, words, contrast
        self.region = nn.Conv2d(self.feature_channels, width, 1)  # V: a 1 x 1 convolution is linear at each region
        self.word = nn.Linear(sizes.text, width)  # E

    def score(self, step: Step) -> Float[Tensor, " B"]:
        regions, words = self.regions(self.real_features(step)), self.word(step.text.words).float()
        return self.matching_score(regions, words, step.text.mask)

    def regions(self, features: Float[Tensor, "B C h w"]) -> Float[Tensor, "B P W"]:
        """v: the regions, a row each."""
        return rearrange(self.region(features).float(), "b c h w -> b (h w) c")

    def matching_score(
        self, regions: Float[Tensor, "*i P W"], words: Float[Tensor, "*j T W"], mask: Bool[Tensor, "*j T"]
    ) -> Float[Tensor, "*ij"]:
        """R: how well the words of a caption match the regions of an image; leading axes are broadcast."""
        over_regions, over_words, _ = self.temperatures
        agreement = masked(words @ regions.mT, mask[..., None]).softmax(-2)  # [*ij, T, P], over the words
        attended = (over_regions * agreement).softmax(-1) @ regions  # [*ij, T, W]
        similarity = masked(over_words * cosine_similarity(attended, words, dim=-1), mask)
        return similarity.logsumexp(-1) / over_words

    def compare(self, step: Step, features: Float[Tensor, "B C h w"]) -> Float[Tensor, ""]:
        regions, words = self.regions(features), self.word(step.text.words).float()
        scores = self.temperatures[2] * self.matching_score(regions[:, None], words[None], step.text.mask[None])
        return both_directions(scores, step.batch.confusable)


def both_directions(scores: Float[Tensor, "B B"], confusable: Bool[Tensor, "B B"]) -> Float[Tensor, ""]:
    """The mean cross-entropy of finding the caption of an image (a row of scores), and the image of a caption."""
    scores = scores.masked_fill(confusable, -torch.inf)
    target = torch.arange(len(scores), device=scores.device)
    return (cross_entropy(scores, target) + cross_entropy(scores.T, target)) / 2
