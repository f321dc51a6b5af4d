"""Layers of which several parts are made: joining noise and text, doubling the resolution, unfolding into pixels."""

import torch
from einops import rearrange, reduce
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu, pixel_shuffle


class Mapping(nn.Module):
    """w = leaky(M_2 leaky(M_1 [k z; s])): noise and sentence become one condition (Karras et al. 2019).

    It can join *where* (from the noise) and *what* (from the sentence), which a single dense layer can only add up.
    """

    def __init__(self, noise: int, text: int, width: int):
        """`noise`: Z; `text`: D; `width`: K, of both layers."""
        super().__init__()
        first, second = nn.Linear(noise + text, width), nn.Linear(width, width)
        for layer in (first, second):
            nn.init.kaiming_normal_(layer.weight, 0.2)  # keeps the size of what passes through (He et al. 2015)
        self.layers = nn.Sequential(first, nn.LeakyReLU(0.2), second, nn.LeakyReLU(0.2))

    def forward(self, noise: Float[Tensor, "B Z"], sentence: Float[Tensor, "B D"]) -> Float[Tensor, "B K"]:
        """The condition; `noise` comes scaled by k."""
        return self.layers(torch.cat([noise, sentence], 1))


class ConditioningAugmentation(nn.Module):
    """Not one sentence vector but a neighbourhood of it (Zhang et al. 2017, StackGAN, section 3.2).

        s' = mu(s) + sigma(s) eps,  eps ~ N(0, I),
        KL(N(mu, sigma^2) || N(0, I)) = 1/2 sum(mu^2 + sigma^2 - 1 - log sigma^2)

    One caption then stands for many conditions near each other, which fills the gaps between the captions and makes
    images of one prompt differ. The divergence keeps the neighbourhoods from shrinking to points.
    """

    def __init__(self, text: int, width: int):
        """`text`: D, of the sentence; `width`: W, of the augmented one."""
        super().__init__()
        self.mean, self.log_variance = nn.Linear(text, width), nn.Linear(text, width)

    def forward(self, sentence: Float[Tensor, "B D"], epsilon: Float[Tensor, "B W"]) -> Float[Tensor, "B W"]:
        """s', at the point of its neighbourhood that epsilon names."""
        return self.mean(sentence) + (self.log_variance(sentence) / 2).exp() * epsilon

    def divergence(self, sentence: Float[Tensor, "B D"]) -> Float[Tensor, " B"]:
        """How far each neighbourhood is from N(0, I), in nats."""
        mean, log_variance = self.mean(sentence), self.log_variance(sentence)
        return (mean.square() + log_variance.exp() - 1 - log_variance).sum(1) / 2


class UpLevel(nn.Module):
    """Twice the resolution: modulate by noise and sentence, then a transposed convolution.

    y = ConvT(leaky(Modulate(x)))  [+ Up(Conv1x1(x)) with a residual]
    """

    def __init__(self, condition: int, channels: int, following: int, residual: bool):
        super().__init__()
        self.modulate = Modulate(condition, channels)
        self.convolution = nn.ConvTranspose2d(channels, following, 4, stride=2, padding=1)
        self.shortcut = nn.Conv2d(channels, following, 1) if residual else None

    def forward(self, hidden: Float[Tensor, "B C H W"], condition: Float[Tensor, "B K"]) -> Tensor:
        doubled = self.convolution(leaky_relu(self.modulate(hidden, condition), 0.2))
        if self.shortcut is not None:
            doubled = doubled + interpolate(self.shortcut(hidden), scale_factor=2)
        return doubled


class Modulate(nn.Module):
    """Normalise each position over its channels, then scale and shift each channel by what the condition says.

        y = (1 + a(c)) x / rms(x) + b(c)

    Root-mean-square normalisation (Zhang and Sennrich 2019); a and b are linear, as in conditional
    normalisation (Dumoulin et al. 2017).
    """

    def __init__(self, condition: int, channels: int):
        super().__init__()
        self.affine = nn.Linear(condition, 2 * channels)
        with torch.no_grad():
            self.affine.weight.mul_(0.5)
            self.affine.bias.zero_()

    def forward(self, hidden: Float[Tensor, "B C H W"], condition: Float[Tensor, "B K"]) -> Float[Tensor, "B C H W"]:
        scale, shift = rearrange(self.affine(condition), "b (two c) -> two b c 1 1", two=2)
        normal = hidden * torch.rsqrt(hidden.square().mean(1, keepdim=True) + 1e-6)
        return normal * (1 + scale) + shift


class PlainPixels(nn.Module):
    """image = tanh(PixelShuffle(Conv(h))): each position's channels unfold into a square of pixels."""

    def __init__(self, channels: int, shuffle: int):
        super().__init__()
        self.shuffle = shuffle
        self.convolution = nn.Conv2d(channels, 3 * shuffle**2, 3, padding=1)

    def forward(self, hidden: Float[Tensor, "B C H W"], condition: Float[Tensor, "B K"]) -> Float[Tensor, "B 3 _ _"]:
        return pixel_shuffle(self.convolution(hidden).float(), self.shuffle).tanh()


class PalettePixels(nn.Module):
    """Every pixel is a mixture of P colors, so that *where* is drawn apart from *in which color*.

        m = softmax_P(PixelShuffle(Conv(h))),    c = tanh(A w + Conv1x1(h)),    image = sum_P m c

    A pixel has masks m of its own; the colors c come from the condition w for the whole image, and each position of
    the map may change them a little. An outline is then one sharp mask, whatever the two colors that it parts.
    """

    def __init__(self, condition: int, channels: int, shuffle: int, colors: int):
        super().__init__()
        self.shuffle, self.colors = shuffle, colors
        self.masks = nn.Conv2d(channels, colors * shuffle**2, 3, padding=1)
        self.palette = nn.Linear(condition, 3 * colors)
        self.change = nn.Conv2d(channels, 3 * colors, 1)
        with torch.no_grad():
            self.masks.weight.mul_(2.0)  # masks that part from each other at the first step
            self.change.weight.mul_(0.3)

    def forward(self, hidden: Float[Tensor, "B C H W"], condition: Float[Tensor, "B K"]) -> Float[Tensor, "B 3 _ _"]:
        # s: the pixels that a position of the map unfolds into
        masks = rearrange(self.masks(hidden).float(), "b (p s) h w -> b p 1 s h w", p=self.colors).softmax(1)
        colors = rearrange(self.palette(condition), "b k -> b k 1 1") + self.change(hidden)
        colors = rearrange(colors.float().tanh(), "b (p c) h w -> b p c 1 h w", c=3)
        mixed = reduce(masks * colors, "b p c s h w -> b c s h w", "sum")
        return rearrange(mixed, "b c (i j) h w -> b c (h i) (w j)", i=self.shuffle)


class ResidualBlock(nn.Module):
    """y = leaky(x + Conv3x3(x)) (He et al. 2016): a second look that changes nothing of the resolution."""

    def __init__(self, channels: int):
        super().__init__()
        self.convolution = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.kaiming_normal_(self.convolution.weight, 0.2)
        with torch.no_grad():
            self.convolution.weight.mul_(0.5)  # the shortcut comes first
            self.convolution.bias.zero_()  # pyright: ignore[reportOptionalMemberAccess]

    def forward(self, features: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C h w"]:
        return leaky_relu(features + self.convolution(features), 0.2)
