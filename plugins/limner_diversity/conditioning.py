"""The divergence that belongs to conditioning augmentation."""

from jaxtyping import Float
from limner import LimnerError, Loss, Step
from limner.layers import ConditioningAugmentation
from torch import Tensor, nn


class ConditioningDivergence(Loss):
    """Keeps the neighbourhoods that a generator draws its conditions from near N(0, I) (Zhang et al. 2017, eq. 2).

        L_G = E_c[ KL(N(mu(s), sigma(s)^2) || N(0, I)) ]

    Without it, sigma would shrink until every sentence is a point again. In nats a caption; StackGAN's weight is 2,
    with a mean over the width where this is the sum.
    """

    def generator(self, step: Step) -> Float[Tensor, ""]:
        """
        Raises:
            LimnerError: for a generator without conditioning augmentation.
        """
        sentence = step.text.detach().sentence
        found = [module.divergence(sentence) for module in augmentations(step.conditional_generator.generator)]
        if not found:
            raise LimnerError(
                "conditioning-divergence: this generator has no conditioning augmentation; "
                "set generator.augmentation to a width, such as 32."
            )
        return sum(found[1:], found[0]).mean()


def augmentations(generator: nn.Module) -> list[ConditioningAugmentation]:
    """The conditioning augmentations within a generator."""
    return [module for module in generator.modules() if isinstance(module, ConditioningAugmentation)]
