"""Parts of networks that plugins share.

Generators are built from `ImageDecoder`, or from its parts. Discriminators are built from `convolution`,
`halving_layers` and `TextHead`. `rename_weights` lets a module read weights that were saved under older names.
"""

from collections.abc import Collection, Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, TypeVar

import torch
from einops import rearrange, reduce
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu, pixel_shuffle

from limner.errors import LimnerError
from limner.interfaces import Attention
from limner.slots import Slot
from limner.types import Canvas, Sizes, TextFeatures

LayerT = TypeVar("LayerT", bound=nn.Module)

# --- from noise and text to an image --------------------------------------------------------------------------------


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


class ImageDecoder(nn.Module):
    """From noise and a sentence to an image: what the convolutional generator and the first stage have in common.

        w = Mapping(k z, s),  h_0 = W w + p,  h_{i+1} = Up_i(Attend_i(h_i); w),  x = Pixels(leaky(Modulate(h_n; w)), w)

    A dense layer makes a 4 x 4 map and adds p, a learned value for each position. Each level doubles the resolution;
    the last map is turned into pixels. k scales the noise relative to the sentence. This is a mixin: a subclass calls
    `build_decoder` in its constructor, and `decode` in its forward pass.
    """

    def build_decoder(
        self,
        sizes: Sizes,
        size: int,
        channels: Sequence[int],
        *,
        noise: int,
        text: int,
        noise_scale: float,
        attention: Slot[Attention],
        mapping: int,
        palette: int,
        residual: bool = False,
        blocks: Sequence[int] = (),
    ) -> None:
        """
        Args:
            sizes: what the parts of the model agree on.
            size: height and width of the image, in pixels.
            channels: of the maps at 4, 8, 16, ... pixels; a pixel shuffle covers the rest of the way to `size`.
            noise, text: Z and D, the widths of the noise and of the sentence.
            noise_scale: k.
            attention: attention modules, at the resolutions that the recipe names.
            mapping: K, the width of w.
            palette: how many colors the pixels are mixed from; 0 for `PlainPixels`.
            residual: whether each level adds a shortcut around its convolution.
            blocks: resolutions at which a residual block is added, before the attention modules.

        Raises:
            LimnerError: if `size` is not a multiple of the last map's, or an attention or block names another
                resolution.
        """
        resolutions = [4 * 2**level for level in range(len(channels))]
        shuffle, remainder = divmod(size, resolutions[-1])
        if remainder:
            raise LimnerError(
                f"channels: {len(channels)} levels make a map of {resolutions[-1]} pixels, and the image size {size} "
                "is not a multiple of it; use fewer levels or another size."
            )
        attention.require(resolutions)
        if unknown := [wanted for wanted in blocks if wanted not in resolutions]:
            raise LimnerError(
                f"blocks: this generator has no map of {unknown[0]} pixels; it has {', '.join(map(str, resolutions))}."
            )
        self.noise_scale = noise_scale
        self.mapping = Mapping(noise, text, mapping)
        self.dense = nn.Linear(mapping, channels[0] * 16)
        self.places = nn.Parameter(torch.randn(channels[0], 4, 4) / 2)
        self.attentions = nn.ModuleList(attention.build(sizes, c, at) for c, at in zip(channels, resolutions))
        self.levels = nn.ModuleList(UpLevel(mapping, c, following, residual) for c, following in pairwise(channels))
        self.blocks = nn.ModuleList(
            nn.ModuleList(ModulatedBlock(mapping, c) for _ in range(list(blocks).count(at)))
            for c, at in zip(channels, resolutions)
        )
        last = channels[-1]
        self.modulate = Modulate(mapping, last)
        self.pixels = PalettePixels(mapping, last, shuffle, palette) if palette else PlainPixels(last, shuffle)

    def decode(self, noise: Tensor, sentence: Tensor, text: TextFeatures, noise_at_input: bool = False) -> Canvas:
        """The image x and the last map h_n, from z [B, Z], s [B, D] and the words that the attention modules read.

        With `noise_at_input`, only h_0 depends on the noise: everything after it gets w = Mapping(0, s).
        """
        condition = self.mapping(self.noise_scale * noise, sentence)
        hidden = rearrange(self.dense(condition), "b (c h w) -> b c h w", h=4, w=4) + self.places  # [B, C, 4, 4]
        if noise_at_input:
            condition = self.mapping(torch.zeros_like(noise), sentence)
        for level, blocks, attentions in zip([*self.levels, None], self.blocks, self.attentions):
            for block in blocks.children():
                hidden = block(hidden, condition)
            for attend in attentions.children():
                hidden = attend(hidden, text)
            if level is not None:
                hidden = level(hidden, condition)  # [B, C', 2H, 2W]
        return Canvas(hidden, self.pixels(leaky_relu(self.modulate(hidden, condition), 0.2), condition))


class UpLevel(nn.Module):
    """Doubles the resolution: modulate by the condition, then a transposed convolution.

    y = ConvT(leaky(Modulate(x)))  [+ Up(Conv1x1(x)) if residual]
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


class ModulatedBlock(nn.Module):
    """y = x + Conv3x3(leaky(Modulate(x; w))) (He et al. 2016); the resolution stays the same."""

    def __init__(self, condition: int, channels: int):
        super().__init__()
        self.modulate = Modulate(condition, channels)
        self.convolution = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, hidden: Float[Tensor, "B C H W"], condition: Float[Tensor, "B K"]) -> Float[Tensor, "B C H W"]:
        return hidden + self.convolution(leaky_relu(self.modulate(hidden, condition), 0.2))


class Modulate(nn.Module):
    """Normalizes each position over its channels, then scales and shifts each channel by the condition.

        y = (1 + a(c)) x / rms(x) + b(c)

    This is root-mean-square normalization (Zhang and Sennrich 2019); a and b are linear, as in conditional
    normalization (Dumoulin et al. 2017).
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
    """image = tanh(PixelShuffle(Conv(h))): the channels of each position become a square of pixels."""

    def __init__(self, channels: int, shuffle: int):
        super().__init__()
        self.shuffle = shuffle
        self.convolution = nn.Conv2d(channels, 3 * shuffle**2, 3, padding=1)

    def forward(self, hidden: Float[Tensor, "B C H W"], condition: Float[Tensor, "B K"]) -> Float[Tensor, "B 3 _ _"]:
        return pixel_shuffle(self.convolution(hidden).float(), self.shuffle).tanh()


class PalettePixels(nn.Module):
    """Mixes each pixel from P colors, which separates *where* something is from *which color* it has.

        m = softmax_P(PixelShuffle(Conv(h))),    c = tanh(A w + Conv1x1(h)),    image = sum_P m c

    Each pixel has its own mask m. The colors c come from the condition w and hold for the whole image; each position of
    the map can change them a little. An outline is then one sharp mask, whatever the two colors that it separates.
    """

    def __init__(self, condition: int, channels: int, shuffle: int, colors: int):
        super().__init__()
        self.shuffle, self.colors = shuffle, colors
        self.masks = nn.Conv2d(channels, colors * shuffle**2, 3, padding=1)
        self.palette = nn.Linear(condition, 3 * colors)
        self.change = nn.Conv2d(channels, 3 * colors, 1)
        with torch.no_grad():
            self.masks.weight.mul_(2.0)  # the masks differ from the first step on
            self.change.weight.mul_(0.3)

    def forward(self, hidden: Float[Tensor, "B C H W"], condition: Float[Tensor, "B K"]) -> Float[Tensor, "B 3 _ _"]:
        # s: the pixels that one position of the map becomes
        masks = rearrange(self.masks(hidden).float(), "b (p s) h w -> b p 1 s h w", p=self.colors).softmax(1)
        colors = rearrange(self.palette(condition), "b k -> b k 1 1") + self.change(hidden)
        colors = rearrange(colors.float().tanh(), "b (p c) h w -> b p c 1 h w", c=3)
        mixed = reduce(masks * colors, "b p c s h w -> b c s h w", "sum")
        return rearrange(mixed, "b c (i j) h w -> b c (h i) (w j)", i=self.shuffle)


# --- from an image to scores ----------------------------------------------------------------------------------------


def convolution(before: int, after: int, stride: int = 1) -> nn.Conv2d:
    """A convolution that shrinks the map `stride` times; its kernel overlaps by a pixel on each side."""
    return nn.Conv2d(before, after, 3 if stride == 1 else stride + 2, stride, padding=1)


def initialize(layer: LayerT) -> LayerT:
    """Initializes a convolution so that it keeps the scale of the activations (He et al. 2015); other layers stay."""
    if isinstance(layer, nn.Conv2d) and layer.bias is not None:
        nn.init.kaiming_normal_(layer.weight, 0.2)
        nn.init.zeros_(layer.bias)
    return layer


def halving_layers(channels: Sequence[int], size: int, residual: Collection[int]) -> Iterator[nn.Module]:
    """Convolutions with leaky ReLU: each one halves a map of `size` pixels, the last one keeps its size.

    The layers are made one by one, so `map(initialize, halving_layers(...))` initializes each before the next is made.

    Args:
        channels: before the first convolution and after each one.
        size: height and width of the map.
        residual: resolutions of the map at which a residual block is added, such as [8].

    Raises:
        LimnerError: if the map cannot be halved so often, or has none of the resolutions in `residual`.
    """
    halvings = len(channels) - 2
    if size % 2**halvings:
        raise LimnerError(f"channels: {len(channels)} layers shrink a map of {size} pixels too far; use fewer.")
    sizes = [size // 2**step for step in range(halvings + 1)]
    if unknown := [wanted for wanted in residual if wanted not in sizes]:
        raise LimnerError(
            f"residual: this discriminator has no map of {unknown[0]} pixels; it has {', '.join(map(str, sizes))}."
        )
    for step, (before, after) in enumerate(pairwise(channels)):
        if sizes[step] in residual:
            yield ResidualBlock(before)
        yield convolution(before, after, 2 if step < halvings else 1)
        yield nn.LeakyReLU(0.2)


class ResidualBlock(nn.Module):
    """y = leaky(x + Conv3x3(x)) (He et al. 2016); the resolution stays the same."""

    def __init__(self, channels: int):
        super().__init__()
        self.convolution = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.kaiming_normal_(self.convolution.weight, 0.2)
        with torch.no_grad():
            self.convolution.weight.mul_(0.5)  # the shortcut dominates at first
            self.convolution.bias.zero_()  # pyright: ignore[reportOptionalMemberAccess]

    def forward(self, features: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C h w"]:
        return leaky_relu(features + self.convolution(features), 0.2)


class TextHead(nn.Module):
    """Scores how well a feature map f matches a sentence s.

        g = leaky((1 + a(s)) W f + b(s)),    D(f, s) = v . g,    D_p(f, s) = u . g_p

    The sentence scales and shifts the channels of W f, alike at every position; a and b are linear. With `regions`
    (PatchGAN, Isola et al. 2017), the scores are the h w D_p, then h w times D, so that both weigh the same in a mean.
    """

    def __init__(self, text: int, channels: int, size: int, width: int, regions: bool = False):
        """`text`: D; `channels`: of f; `size`: h and w; `width`: of W f; `regions`: score each position p, too."""
        super().__init__()
        self.project = nn.Conv2d(channels, width, 1)
        self.affine = nn.Linear(text, 2 * width)
        self.match, self.region = nn.Linear(width * size**2, 1), nn.Conv2d(width, 1, 1) if regions else None

    def forward(self, features: Float[Tensor, "B C h w"], text: TextFeatures) -> Float[Tensor, "B S"]:
        scale, shift = rearrange(self.affine(text.sentence), "b (two c) -> two b c 1 1", two=2)
        joined = leaky_relu((1 + scale) * self.project(features) + shift, 0.2)
        whole = self.match(rearrange(joined, "b c h w -> b (c h w)")).float()
        regions = None if self.region is None else self.region(joined).float().flatten(1)
        return whole if regions is None else torch.cat([regions, whole.expand_as(regions)], 1)


def rename_weights(module: nn.Module, old: str, new: str) -> None:
    """Lets `module` load weights that were saved when its part `new` was still called `old`.

    Both names are relative to the module, such as "to_head" and "head.project"; they name a submodule or a parameter.
    """
    module.register_load_state_dict_pre_hook(partial(_rename, old, new))


def _rename(old: str, new: str, module: nn.Module, state: dict[str, Any], prefix: str, *_: object) -> None:
    for key in [key for key in state if key == prefix + old or key.startswith(f"{prefix}{old}.")]:
        state[prefix + new + key.removeprefix(prefix + old)] = state.pop(key)
