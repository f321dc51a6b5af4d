"""DAMSM: words with regions, and sentences with whole images, compared by one network."""

from typing import Annotated

from einops import einsum, reduce
from jaxtyping import Float
from limner import Sizes, Step
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import normalize

from .backbone import Steps
from .word_contrast import Temperature, WordContrast, both_directions


class DAMSM(WordContrast):
    """The deep attentional multimodal similarity model (Xu et al. 2018, AttnGAN, equations 7 to 13).

        R'(x, c) = cos(u, e'),    u = U mean_p f(x)_p,    e' = E' s(c)
        L = L_words + L_sentences,    L_words: 2 x the loss of `word-contrast`;    L_sentences: the same with R' for R

    Each loss is the sum over both directions: which caption of the batch belongs to an image, and which image to a
    caption. One backbone of its own serves both. In the paper the two networks, for text and for images, are trained on
    real pairs first and are then frozen: `pretrained_steps`.
    """

    def __init__(
        self,
        sizes: Sizes,
        *,
        width: Annotated[int, Field(ge=1)] = 64,
        attention: Temperature = 4.0,
        words: Temperature = 5.0,
        contrast: Temperature = 10.0,
        pretrained_steps: Steps = 0,
    ):
        """`width`: of the joint space of words and regions, and of sentences and images; `attention`, `words`,
        `contrast`: g1, g2, g3; `pretrained_steps`: steps on real pairs before the first step, after which it and the
        text encoder are frozen.
        """
        super().__init__(
            sizes,
            width=width,
            attention=attention,
            words=words,
            contrast=contrast,
            own_backbone=True,
            pretrained_steps=pretrained_steps,
        )
        self.image = nn.Linear(self.feature_channels, width)  # U
        self.sentence = nn.Linear(sizes.text, width)  # E'

    def compare(self, step: Step, features: Float[Tensor, "B C h w"]) -> Float[Tensor, ""]:
        images = normalize(self.image(reduce(features, "b c h w -> b c", "mean")).float(), dim=1)
        sentences = normalize(self.sentence(step.text.sentence).float(), dim=1)
        scores = self.temperatures[2] * einsum(images, sentences, "i d, j d -> i j")
        return 2 * super().compare(step, features) + 2 * both_directions(scores, step.batch.confusable)
