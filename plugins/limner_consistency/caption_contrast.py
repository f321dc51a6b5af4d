"""The contrast of captions: which other sentence says the same?"""

from typing import Annotated

import torch
from einops import einsum, rearrange
from jaxtyping import Bool, Float
from limner import Loss, Sizes, Step, TextFeatures
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize


class CaptionContrast(Loss):
    """InfoNCE between two captions of the same image (Ye et al. 2021; with wrong captions as Gao et al. 2021, SimCSE).

        s_ij = k cos(V s(c'_i), V s(c_j)),    d_in = k cos(V s(c'_i), V s(w_in))
        L = -E_i[log(exp s_ii / (sum_j exp s_ij + sum_n exp d_in))]

    c_i and c'_i are two captions of image i, in different words, and s is the sentence feature. w_in are the wrong
    captions that resemble c_i, if the data has any. So the encoder learns that other words can say the same, and that
    almost the same words can say something else. It learns this from text alone, without waiting for the
    discriminator to know what images show. Other captions of the batch that are true of image i are left out.
    """

    reads_distractors = True

    def __init__(
        self,
        sizes: Sizes,
        *,
        width: Annotated[int, Field(ge=1)] = 256,
        scale: Annotated[float, Field(gt=0)] = 10.0,
    ):
        """`width`: of the space in which sentences are compared; `scale`: k, the inverse temperature."""
        super().__init__(sizes)
        self.scale = scale
        self.sentence = nn.Linear(sizes.text, width)  # V

    def discriminator(self, step: Step) -> Float[Tensor, ""]:
        return self.compare(step.text, step.other_captions, step.distractors, step.batch.confusable)

    def compare(
        self, captions: TextFeatures, others: TextFeatures, wrong: TextFeatures | None, confusable: Bool[Tensor, "B B"]
    ) -> Float[Tensor, ""]:
        """The loss of B captions, another one for each, N wrong ones for each [B*N], and which are `confusable`."""
        points = self.sentences(others)
        scores = einsum(points, self.sentences(captions), "i d, j d -> i j").masked_fill(confusable, -torch.inf)
        if wrong is not None:
            far = rearrange(self.sentences(wrong), "(b n) d -> b n d", b=len(points))
            scores = torch.cat([scores, einsum(points, far, "i d, i n d -> i n")], 1)
        return cross_entropy(self.scale * scores, torch.arange(len(points), device=scores.device))

    def sentences(self, text: TextFeatures) -> Float[Tensor, "B W"]:
        """Sentences as unit vectors."""
        return normalize(self.sentence(text.sentence).float(), dim=1)
