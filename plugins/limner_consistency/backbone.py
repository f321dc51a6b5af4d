"""The image features that consistency losses use: the discriminator's, or those of a backbone of their own."""

from typing import ClassVar

import torch
from jaxtyping import Float
from limner import LimnerError, Loss, Sizes, Step
from limner.layers import convolution, rename_weights
from torch import Tensor, nn


class Backbone(nn.Sequential):
    """Four convolutions from an image to 4 x 4 regions: 3 -> 32 -> 64 -> 128 -> 128 channels."""

    channels, size = 128, 4

    def __init__(self, image: int):
        """`image`: height and width of the images, a multiple of 16.

        Raises:
            LimnerError: for any other size.
        """
        if image % 16:
            raise LimnerError(
                f"own_backbone: the image size should be a multiple of 16, not {image}; use own_backbone = false."
            )
        convolutions = [
            convolution(3, 32, image // 16),
            convolution(32, 64, 2),
            convolution(64, 128, 2),
            convolution(128, 128),
        ]
        for layer in convolutions:
            nn.init.kaiming_normal_(layer.weight, 0.2)  # keeps the scale of the activations (He et al. 2015)
        super().__init__(*(layer for made in convolutions for layer in (made, nn.LeakyReLU(0.2))))


class ImageTextLoss(Loss):
    """A loss that compares an image, by its features f, with its caption.

    It either shares the discriminator's features, f = Look(x), which then learn what captions speak of; or it has a
    backbone of its own. That one can be pretrained and frozen: `training.start_from`, `load_parts` and `freeze` name it
    as a part of "losses.NAME".
    """

    renamed_options: ClassVar[dict[str, str]] = {"own_eye": "own_backbone"}
    """Old names of options, which recipes may still use, and the new ones."""

    def __init__(self, sizes: Sizes, own_backbone: bool):
        super().__init__(sizes)
        self.backbone = Backbone(sizes.image) if own_backbone else None
        self.feature_channels = Backbone.channels if own_backbone else sizes.features
        self.feature_size = Backbone.size if own_backbone else sizes.feature_size
        rename_weights(self, "eye", "backbone")

    def real_features(self, step: Step) -> Float[Tensor, "B C h w"]:
        """The feature map of the real images."""
        return step.real.features if self.backbone is None else self.backbone(step.real_images[-1])

    def generated_features(self, step: Step) -> Float[Tensor, "B C h w"]:
        """The feature map of the generated images."""
        return step.generated.features if self.backbone is None else self.backbone(step.generated_images[-1])


def masked(scores: Float[Tensor, "*any"], mask: Tensor) -> Float[Tensor, "*any"]:
    """Scores that get no weight in a softmax where the mask is False."""
    return scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
