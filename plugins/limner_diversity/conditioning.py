"""The divergence that goes with conditioning augmentation."""

from jaxtyping import Float
from limner import LimnerError, Loss, Step
from limner.layers import ConditioningAugmentation
from torch import Tensor, nn


class ConditioningDivergence(Loss):
    """Keeps the Gaussians that a generator samples its conditions from near N(0, I) (Zhang et al. 2017, eq. 2).

        L_G = E_c[ KL(N(mu(s), sigma(s)^2) || N(0, I)) ]

    Without it, sigma would shrink to zero. In nats per caption. StackGAN's weight is 2, for the mean over the width;
    this is the sum.
    """

    def generator(self, step: Step) -> Float[Tensor, ""]:
        """
        Raises:
            LimnerError: if the generator has no conditioning augmentation.
        """
        sentence = step.text.detach().sentence
        divergences = [module.divergence(sentence) for module in augmentations(step.conditional_generator.generator)]
        if not divergences:
            raise LimnerError(
                "conditioning-divergence: this generator has no conditioning augmentation; "
                "set generator.augmentation to a width, such as 32."
            )
        return sum(divergences[1:], divergences[0]).mean()


def augmentations(generator: nn.Module) -> list[ConditioningAugmentation]:
    """The conditioning augmentations within a generator."""
    return [module for module in generator.modules() if isinstance(module, ConditioningAugmentation)]
