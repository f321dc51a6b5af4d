"""What the losses of consistency see: the discriminator's features, or those of an eye of their own."""

import torch
from jaxtyping import Float
from limner import LimnerError, Loss, Sizes, Step
from torch import Tensor, nn


class Eye(nn.Sequential):
    """Strided convolutions from an image to 4 x 4 regions: 3 -> 32 -> 64 -> 128 channels, and one more look."""

    channels, size = 128, 4

    def __init__(self, image: int):
        """`image`: height and width of the images, a multiple of 16.

        Raises:
            LimnerError: for another size.
        """
        if image % 16:
            raise LimnerError(
                f"own_backbone: the image size should be a multiple of 16, not {image}; use own_backbone = false."
            )
        stride = image // 16
        kernel = stride + 2 if stride > 1 else 3
        convolutions = [
            nn.Conv2d(3, 32, kernel, stride, padding=1),
            nn.Conv2d(32, 64, 4, 2, padding=1),
            nn.Conv2d(64, 128, 4, 2, padding=1),
            nn.Conv2d(128, 128, 3, padding=1),
        ]
        for convolution in convolutions:
            nn.init.kaiming_normal_(convolution.weight, 0.2)  # keeps the size of what passes through (He et al. 2015)
        super().__init__(*(layer for convolution in convolutions for layer in (convolution, nn.LeakyReLU(0.2))))


class ImageTextLoss(Loss):
    """A loss that compares what is seen in an image with its caption.

    It shares the discriminator's features f = Look(x), which then learns to see what captions speak of; or has an eye
    of its own, which can be pretrained and frozen: training.start_from, take and freeze name "losses.NAME".
    """

    def __init__(self, sizes: Sizes, own_backbone: bool):
        super().__init__(sizes)
        self.eye = Eye(sizes.image) if own_backbone else None
        seen = (Eye.channels, Eye.size) if own_backbone else (sizes.features, sizes.feature_size)
        self.seen_channels, self.seen_size = seen

    def real(self, step: Step) -> Float[Tensor, "B C h w"]:
        """What is seen in the real images."""
        return step.real.features if self.eye is None else self.eye(step.real_images[-1])

    def painted(self, step: Step) -> Float[Tensor, "B C h w"]:
        """What is seen in the painted images."""
        return step.generated.features if self.eye is None else self.eye(step.generated_images[-1])


def masked(scores: Float[Tensor, "*any"], mask: Tensor) -> Float[Tensor, "*any"]:
    """Scores that a softmax leaves out where the mask is False."""
    return scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
