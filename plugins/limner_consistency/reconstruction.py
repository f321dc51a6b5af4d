"""Reconstruction: the image generated for a caption should be the caption's own real image, pixel by pixel."""

import torch
from jaxtyping import Float
from limner import Loss, Step
from torch import Tensor
from torch.nn.functional import l1_loss


class Reconstruction(Loss):
    """The distance between the generated and the real image of a caption (pix2pix, Isola et al. 2017, equation 3).

        L = E_{x,c,z} |G(z, c) - x|

    |.| is the mean absolute difference of the pixels, and the mean over the resolutions of the generator. Only the
    generator minimizes it. A discriminator says whether an image fits its caption; this loss also says which pixels
    are wrong. It is meant for data in which each caption has an image of its own, such as the names of emoji. Where a
    caption fits many images, it pulls all of them to their median, which is blurred and the same for every noise.
    """

    def generator(self, step: Step) -> Float[Tensor, ""]:
        pairs = zip(step.generated_images, step.real_images, strict=True)
        return torch.stack([l1_loss(image.float(), real.detach().float()) for image, real in pairs]).mean()
