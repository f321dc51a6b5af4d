"""The word-region contrast: every word looks for its regions of the image, and counts as it finds them."""

from typing import Annotated

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from limner import Sizes, Step
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, cross_entropy

from .eye import ImageTextLoss, masked

Temperature = Annotated[float, Field(gt=0)]


class WordContrast(ImageTextLoss):
    """The words' half of DAMSM (Xu et al. 2018, AttnGAN, equations 7 to 12).

        s_tp = e_t . v_p,   e = E c,  v = V f(x)            how word t and region p agree
        a_tp = softmax_p(g1 softmax_t(s_tp))                where word t is to be seen
        r_t = sum_p a_tp v_p                                what is to be seen there
        R(x, c) = 1/g2 log sum_t exp(g2 cos(r_t, e_t))      how well the words are found, the best ones most
        L = -1/2 E_i[log softmax_j(g3 R(x_i, c_j))_i] - 1/2 E_j[log softmax_i(g3 R(x_i, c_j))_j]

    g1, g2, g3 are inverse temperatures: of the attention, of the words, and of the contrast. Padding is left out;
    captions of the batch that are true of another image are not among its candidates. `sentence-contrast` is DAMSM's
    other half.
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
    ):
        """`width`: of the space where words and regions meet; `attention`, `words`, `contrast`: g1, g2, g3;
        `own_backbone`: whether it sees for itself or shares the discriminator's features.
        """
        super().__init__(sizes, own_backbone)
        self.temperatures = attention, words, contrast
        self.region = nn.Conv2d(self.seen_channels, width, 1)  # V: a 1 x 1 convolution is linear at each region
        self.word = nn.Linear(sizes.text, width)  # E

    def discriminator(self, step: Step) -> Float[Tensor, ""]:
        return self.contrast(step, self.real(step))

    def generator(self, step: Step) -> Float[Tensor, ""]:
        return self.contrast(step, self.painted(step))

    def score(self, step: Step) -> Float[Tensor, " B"]:
        return self.found(self.regions(self.real(step)), self.word(step.text.words).float(), step.text.mask)

    def regions(self, features: Float[Tensor, "B C h w"]) -> Float[Tensor, "B P W"]:
        """v: the regions, a row each."""
        return rearrange(self.region(features).float(), "b c h w -> b (h w) c")

    def found(
        self, regions: Float[Tensor, "*i P W"], words: Float[Tensor, "*j T W"], mask: Bool[Tensor, "*j T"]
    ) -> Float[Tensor, "*ij"]:
        """R: how well the words of a caption are found in an image; leading axes are broadcast."""
        among_regions, among_words, _ = self.temperatures
        agreement = masked(words @ regions.mT, mask[..., None]).softmax(-2)  # [*ij, T, P], over the words
        seen = (among_regions * agreement).softmax(-1) @ regions  # [*ij, T, W]
        likeness = masked(among_words * cosine_similarity(seen, words, dim=-1), mask)
        return likeness.logsumexp(-1) / among_words

    def contrast(self, step: Step, features: Float[Tensor, "B C h w"]) -> Float[Tensor, ""]:
        """The loss of images, by what is seen in them, with the batch's captions."""
        regions, words = self.regions(features), self.word(step.text.words).float()
        scores = self.temperatures[2] * self.found(regions[:, None], words[None], step.text.mask[None])
        scores = scores.masked_fill(step.batch.confusable, -torch.inf)
        target = torch.arange(len(regions), device=regions.device)
        return (cross_entropy(scores, target) + cross_entropy(scores.T, target)) / 2
