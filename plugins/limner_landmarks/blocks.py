"""Blocks of several landmark models: batch normalization, nearest-neighbor enlargement, gates."""

import torch
from einops import repeat
from jaxtyping import Float
from limner import LimnerError, Sizes, TextFeatures
from limner.layers import ConditioningAugmentation
from torch import Tensor, nn
from torch.nn.functional import batch_norm, interpolate

GAIN = (2 / (1 + 0.2**2)) ** 0.5
"""What keeps the scale of the activations before a leaky ReLU (He et al. 2015)."""


class RowNorm(nn.BatchNorm1d):
    """Batch normalization of vectors (Ioffe and Szegedy 2015). One row alone has no variance, so it is normalized with
    the running statistics, in training as well.
    """

    def forward(self, input: Float[Tensor, "B C"]) -> Float[Tensor, "B C"]:
        if len(input) > 1 or not self.training:
            return super().forward(input)
        return batch_norm(input, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)


class GatedAugmentation(ConditioningAugmentation):
    """Conditioning augmentation whose mean and log-variance are gated: GLU(A s), with GLU([u; v]) = u sigmoid(v), as in
    the published code of StackGAN++ and AttnGAN.
    """

    def __init__(self, text: int, width: int):
        """`text`: D, of the sentence; `width`: W, of the augmented one."""
        super().__init__(text, width)
        self.mean, self.log_variance = (nn.Sequential(nn.Linear(text, 2 * width), nn.GLU(1)) for _ in range(2))


class SampledSentence(nn.Module):
    """s' = mu(s) + sigma(s) eps, where the last numbers of the noise are eps."""

    def __init__(self, sizes: Sizes, width: int, gated: bool):
        """`width`: W, of s'; `gated`: whether its mean and log-variance are.

        Raises:
            LimnerError: if the noise does not have more numbers than that.
        """
        super().__init__()
        if width >= sizes.noise:
            raise LimnerError(
                f"augmentation: {width} numbers of the noise sample the sentence, and generator.noise has "
                f"{sizes.noise}; set it to a larger number."
            )
        self.width = width
        self.augment = (GatedAugmentation if gated else ConditioningAugmentation)(sizes.text, width)

    def forward(self, text: TextFeatures, noise: Float[Tensor, "B Z"]) -> Float[Tensor, "B W"]:
        return self.augment(text.sentence, noise[:, -self.width :])


def everywhere(hidden: Float[Tensor, "B C h w"], sentence: Float[Tensor, "B W"]) -> Float[Tensor, "B CW h w"]:
    """[h; s] at every position."""
    return torch.cat([hidden, repeat(sentence, "b w -> b w y x", y=hidden.shape[2], x=hidden.shape[3])], 1)


def normalized(before: int, after: int, gated: bool) -> list[nn.Module]:
    """BN(Conv3x3(x)), then a gated linear unit (Dauphin et al. 2017), for which the channels are doubled, or ReLU."""
    made = 2 * after if gated else after
    convolution = nn.Conv2d(before, made, 3, padding=1, bias=False)
    return [convolution, nn.BatchNorm2d(made), nn.GLU(1) if gated else nn.ReLU()]


def enlarging(before: int, after: int, gated: bool) -> nn.Sequential:
    """Each value becomes a square of two by two; then a normalized convolution."""
    return nn.Sequential(nn.Upsample(scale_factor=2, mode="nearest"), *normalized(before, after, gated))


class Residual(nn.Module):
    """y = x + BN(Conv(act(BN(Conv(x))))) (He et al. 2016); act is the gated linear unit, or else ReLU, also of y."""

    def __init__(self, channels: int, gated: bool):
        super().__init__()
        second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.layers = nn.Sequential(*normalized(channels, channels, gated), second, nn.BatchNorm2d(channels))
        self.gated = gated

    def forward(self, hidden: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C h w"]:
        added = hidden + self.layers(hidden)
        return added if self.gated else added.relu()


class Pixels(nn.Module):
    """x = tanh(Conv(Up(h))): the last map, enlarged to the size of the image, becomes colors."""

    def __init__(self, channels: int, times: int = 1):
        """`channels`: of h; `times`: how much larger than h the image is."""
        super().__init__()
        self.times = times
        self.convolution = nn.Conv2d(channels, 3, 3, padding=1)

    def forward(self, hidden: Float[Tensor, "B C h w"]) -> Float[Tensor, "B 3 H W"]:
        return self.convolution(interpolate(hidden, scale_factor=self.times)).float().tanh()


def remaining(image: int, levels: int) -> int:
    """How many times larger the image is than the map of the last level.

    Raises:
        LimnerError: if the image size is not a multiple of that map's.
    """
    last = 4 * 2 ** (levels - 1)
    if image % last:
        raise LimnerError(
            f"channels: {levels} levels make a map of {last} pixels, and the image size {image} is not a multiple of "
            "it; use fewer levels or another size."
        )
    return image // last
