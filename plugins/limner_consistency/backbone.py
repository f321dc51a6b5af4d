"""The image features that consistency losses use: the discriminator's, or those of a backbone of their own."""

from abc import abstractmethod
from typing import Annotated, ClassVar

import torch
from jaxtyping import Float
from limner import LimnerError, Loss, Sizes, Step
from limner.layers import convolution, rename_weights
from pydantic import Field
from torch import Tensor, nn

Steps = Annotated[int, Field(ge=0)]


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
    backbone of its own. That one can be trained on real pairs before the first step, and is then frozen along with all
    that learned with it (`pretrained_steps`). One that another run has trained can be loaded and frozen, too:
    `training.start_from`, `load_parts` and `freeze` name it as a part of "losses.NAME".
    """

    renamed_options: ClassVar[dict[str, str]] = {"own_eye": "own_backbone"}
    """Old names of options, which recipes may still use, and the new ones."""

    def __init__(self, sizes: Sizes, own_backbone: bool, pretrained_steps: int = 0):
        """
        Raises:
            LimnerError: if it should be pretrained and shares the discriminator's features.
        """
        super().__init__(sizes)
        if pretrained_steps and not own_backbone:
            raise LimnerError(
                "pretrained_steps: the discriminator's features change in every step, so nothing that reads them can "
                "be trained before; set own_backbone = true."
            )
        self.pretrained_steps, self.pretrained = pretrained_steps, 0  # steps due, and made
        self.backbone = Backbone(sizes.image) if own_backbone else None
        self.feature_channels = Backbone.channels if own_backbone else sizes.features
        self.feature_size = Backbone.size if own_backbone else sizes.feature_size
        rename_weights(self, "eye", "backbone")

    @abstractmethod
    def compare(self, step: Step, features: Float[Tensor, "B C h w"]) -> Float[Tensor, ""]:
        """The loss of images, given by their features, and the captions of the batch."""

    def discriminator(self, step: Step) -> Float[Tensor, ""] | None:
        return None if self.pretrained_steps else self.compare(step, self.real_features(step))

    def generator(self, step: Step) -> Float[Tensor, ""]:
        return self.compare(step, self.generated_features(step))

    def real_features(self, step: Step) -> Float[Tensor, "B C h w"]:
        """The feature map of the real images."""
        return step.real.features if self.backbone is None else self.backbone(step.real_images[-1])

    def generated_features(self, step: Step) -> Float[Tensor, "B C h w"]:
        """The feature map of the generated images."""
        return step.generated.features if self.backbone is None else self.backbone(step.generated_images[-1])


def masked(scores: Float[Tensor, "*any"], mask: Tensor) -> Float[Tensor, "*any"]:
    """Scores that get no weight in a softmax where the mask is False."""
    return scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
