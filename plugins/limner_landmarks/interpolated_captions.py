"""GAN-INT: captions that nobody wrote, halfway between two that somebody did."""

from typing import Annotated

from jaxtyping import Float
from limner import Loss, Sizes, Step, TextFeatures
from pydantic import Field
from torch import Tensor
from torch.nn.functional import logsigmoid


class InterpolatedCaptions(Loss):
    """The generator also has to convince the discriminator between captions (Reed et al. 2016, GAN-INT, equation 5).

        L_G = -E[log D(G(z, m), m)],    m = r s_1 + (1 - r) s_2

    s_1 and s_2 are captions of the batch: each of the first half is mixed with one of the second. No real image belongs
    to m, so the discriminator learns nothing from it. Points between the captions of the data become conditions, too.
    The paper minimizes log(1 - D); this is the non-saturating form, as in its released code. Words are mixed place by
    place; so this is for generators that read the sentence.
    """

    def __init__(self, sizes: Sizes, *, share: Annotated[float, Field(gt=0, lt=1)] = 0.5):
        """`share`: r, of the first caption; 0.5 in the paper."""
        super().__init__(sizes)
        self.share = share

    def generator(self, step: Step) -> Float[Tensor, ""]:
        text, half, rows = step.text.detach(), len(step.batch) // 2, step.rows
        mixed = mix(text[:half], text[half : 2 * half], self.share)
        own = TextFeatures(rows.own(mixed.words), rows.own(mixed.sentence), rows.own(mixed.mask))
        images = step.conditional_generator.generator(rows.own(step.noise[:half]), own)
        features = rows.gather(step.discriminator.look(images), half)
        return -logsigmoid(step.discriminator.judge(features, mixed).match).mean()


def mix(first: TextFeatures, second: TextFeatures, share: float) -> TextFeatures:
    """`share` of the first captions and the rest of the second; a place is padding if it is so in both."""
    words = share * first.words + (1 - share) * second.words
    return TextFeatures(words, share * first.sentence + (1 - share) * second.sentence, first.mask | second.mask)
