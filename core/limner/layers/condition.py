"""What a generator is told: noise and a sentence become one condition, and a sentence one of many near it."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Mapping(nn.Module):
    """w = leaky(M_2 leaky(M_1 [k z; s])): noise and sentence become one condition (Karras et al. 2019).

    It can combine *where* (from the noise) with *what* (from the sentence). A single dense layer can only add the two.
    """

    def __init__(self, noise: int, text: int, width: int):
        """`noise`: Z; `text`: D; `width`: K, of both layers."""
        super().__init__()
        first, second = nn.Linear(noise + text, width), nn.Linear(width, width)
        for layer in (first, second):
            nn.init.kaiming_normal_(layer.weight, 0.2)  # keeps the scale of the activations (He et al. 2015)
        self.layers = nn.Sequential(first, nn.LeakyReLU(0.2), second, nn.LeakyReLU(0.2))

    def forward(self, noise: Float[Tensor, "B Z"], sentence: Float[Tensor, "B D"]) -> Float[Tensor, "B K"]:
        """The condition w; `noise` is already scaled by k."""
        return self.layers(torch.cat([noise, sentence], 1))


class ConditioningAugmentation(nn.Module):
    """Replaces a sentence vector by a sample from a Gaussian around it (Zhang et al. 2017, StackGAN, section 3.2).

        s' = mu(s) + sigma(s) eps,  eps ~ N(0, I),
        KL(N(mu, sigma^2) || N(0, I)) = 1/2 sum(mu^2 + sigma^2 - 1 - log sigma^2)

    One caption then stands for many nearby conditions. This fills the gaps between captions and makes the images of one
    prompt differ. The divergence, used as a loss, keeps sigma from shrinking to zero.
    """

    def __init__(self, text: int, width: int):
        """`text`: D, of the sentence; `width`: W, of the augmented one."""
        super().__init__()
        self.mean, self.log_variance = nn.Linear(text, width), nn.Linear(text, width)

    def forward(self, sentence: Float[Tensor, "B D"], epsilon: Float[Tensor, "B W"]) -> Float[Tensor, "B W"]:
        """s', the sample that `epsilon` selects."""
        return self.mean(sentence) + (self.log_variance(sentence) / 2).exp() * epsilon

    def divergence(self, sentence: Float[Tensor, "B D"]) -> Float[Tensor, " B"]:
        """The divergence of each sentence's Gaussian from N(0, I), in nats."""
        mean, log_variance = self.mean(sentence), self.log_variance(sentence)
        return (mean.square() + log_variance.exp() - 1 - log_variance).sum(1) / 2
