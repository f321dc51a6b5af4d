"""Consistency between the scales: a large image, shrunk, should look like the small one."""

from itertools import pairwise

from jaxtyping import Float
from limner import Loss, Step, resize
from torch import Tensor


class ScaleConsistency(Loss):
    """How far each image, shrunk, is from the one of the stage before (in the spirit of StackGAN++, section 3.3,
    where the means and covariances of the colors must agree).

        L_G = 1/(n-1) sum_{i=2}^{n} E[ (Down(x_i) - x_{i-1})^2 ],    the mean over pixels and channels

    Down averages over squares of pixels. With a single stage there is nothing to compare, and no loss term.
    """

    def generator(self, step: Step) -> Float[Tensor, ""] | None:
        images = [image.float() for image in step.generated_images]
        gaps = [(resize(larger, small.shape[-1]) - small).square().mean() for small, larger in pairwise(images)]
        return sum(gaps[1:], gaps[0]) / len(gaps) if gaps else None
