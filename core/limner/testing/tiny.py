"""A tiny component of every kind, and a recipe that trains them in a fraction of a second."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from einops import rearrange, repeat
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate

from limner.data.captions import coco_index
from limner.hooks import hookimpl
from limner.interfaces import Attention, Dataset, Discriminator, Generator, Loss, Stage, TextEncoder
from limner.kinds import KINDS
from limner.plugins import PluginHost
from limner.slots import Slot
from limner.step import Step
from limner.types import Canvas, CaptionedImages, Judgement, Sizes, TextFeatures, Tokens

COLORS = {"red": (255, 0, 0), "green": (0, 160, 0), "blue": (0, 0, 255), "white": (255, 255, 255)}
SQUARES = 32  # images in the tiny data set


class BagOfWords(TextEncoder):
    """A vector per token. The sentence is their sum."""

    def __init__(self, sizes: Sizes, *, width: int = 16):
        """`width`: D, of the features."""
        super().__init__(sizes)
        self.width = width
        self.embedding = nn.Embedding(sizes.vocabulary, width)

    def forward(self, tokens: Tokens) -> TextFeatures:
        words = self.embedding(tokens.ids) * tokens.mask[..., None]
        return TextFeatures(words, words.sum(1), tokens.mask)


class TinyGenerator(Generator):
    """A linear layer to a 4 x 4 hidden map, attention on it, and images at half and at full resolution."""

    def __init__(self, sizes: Sizes, *, noise: int = 8, attention: Slot[Attention] = Slot()):  # noqa: B008
        """`noise`: Z, its width; `attention`: modules on the hidden map, which attend to the words."""
        super().__init__(sizes)
        self.noise_width, self.resolutions = noise, (sizes.image // 2, sizes.image)
        attention.require([4])
        self.first = nn.Linear(sizes.text + noise, 8 * 16)
        self.attentions = attention.build(sizes, 8, 4)
        self.to_images = nn.ModuleList(nn.Conv2d(8, 3, 3, padding=1) for _ in self.resolutions)

    def forward(self, noise: Float[Tensor, "B Z"], text: TextFeatures) -> list[Float[Tensor, "B 3 _ _"]]:
        hidden = rearrange(self.first(torch.cat([noise, text.sentence], 1)), "b (c h w) -> b c h w", h=4, w=4)
        for attend in self.attentions:
            hidden = attend(hidden, text)
        layers = zip(self.to_images, self.resolutions)
        return [interpolate(to_image(hidden), size=(size, size)).tanh() for to_image, size in layers]


class FirstStage(Stage):
    """A first stage: a linear layer to a 4 x 4 hidden map, and an image of the same size."""

    def __init__(self, sizes: Sizes, before: Stage | None):
        super().__init__(sizes, before)
        self.channels, self.map_size, self.size = 8, 4, 4
        self.first = nn.Linear(sizes.text + sizes.noise, 8 * 16)
        self.to_image = nn.Conv2d(8, 3, 3, padding=1)

    def forward(self, canvas: Canvas | None, noise: Float[Tensor, "B Z"], text: TextFeatures) -> Canvas:
        hidden = rearrange(self.first(torch.cat([noise, text.sentence], 1)), "b (c h w) -> b c h w", h=4, w=4)
        return Canvas(hidden, self.to_image(hidden).tanh())


class TinyStages(Generator):
    """The stages that a recipe names, and their last image enlarged to the size of the data."""

    def __init__(self, sizes: Sizes, *, stages: Slot[Stage], noise: int = 8):
        """`stages`: one after the other; `noise`: Z, its width."""
        super().__init__(sizes)
        self.noise_width = noise
        self.stages = nn.ModuleList(stages.stack(sizes.knowing(noise=noise)))
        self.resolutions = (sizes.image,)

    def forward(self, noise: Float[Tensor, "B Z"], text: TextFeatures) -> list[Float[Tensor, "B 3 _ _"]]:
        canvas = None
        for stage in self.stages:
            canvas = stage(canvas, noise, text)
        assert canvas is not None
        return [interpolate(canvas.image, size=(self.resolutions[-1],) * 2)]


class TinyDiscriminator(Discriminator):
    """One convolution, and the similarity of its mean to the sentence."""

    def __init__(self, sizes: Sizes):
        super().__init__(sizes)
        self.feature_channels, self.feature_size = 8, sizes.image // 4
        self.backbone = nn.Conv2d(3, 8, 4, 4)
        self.word = nn.Linear(sizes.text, 8)

    def look(self, images: Sequence[Float[Tensor, "B 3 _ _"]]) -> Float[Tensor, "B C h w"]:
        return self.backbone(images[-1])

    def judge(self, features: Float[Tensor, "B C h w"], text: TextFeatures) -> Judgement:
        match = (features.mean((2, 3)) * self.word(text.sentence)).sum(1, keepdim=True)
        return Judgement(match, None, features)


class LeastSquares(Loss):
    """The least-squares GAN with the 0-1 coding (Mao et al. 2017, equation 9)."""

    def discriminator(self, step: Step) -> Float[Tensor, ""]:
        return ((step.real.match - 1) ** 2).mean() / 2 + (step.generated.match**2).mean() / 2

    def generator(self, step: Step) -> Float[Tensor, ""]:
        return ((step.generated.match - 1) ** 2).mean() / 2


class ColoredSquares(Dataset):
    """Images of one color each, with captions that name the color."""

    def load(self) -> CaptionedImages:
        names = [list(COLORS)[number % len(COLORS)] for number in range(SQUARES)]
        colors = torch.tensor([COLORS[name] for name in names], dtype=torch.uint8)
        images = [{"id": number, "file_name": f"{number}.png"} for number in range(SQUARES)]
        captions = [{"id": n, "image_id": n, "caption": f"a plain {name} wall"} for n, name in enumerate(names)]
        pixels = repeat(colors, "n c -> n c h w", h=self.image_size, w=self.image_size).contiguous()
        coco = coco_index({"images": images, "annotations": captions}, "the colored squares")
        return CaptionedImages(pixels, coco, list(range(SQUARES)))


TINY: dict[str, dict[str, type]] = {
    "encoder": {"tiny": BagOfWords},
    "generator": {"tiny": TinyGenerator, "tiny-stages": TinyStages},
    "discriminator": {"tiny": TinyDiscriminator},
    "loss": {"tiny": LeastSquares},
    "stage": {"tiny": FirstStage},
    "dataset": {"tiny": ColoredSquares},
}
"""The tiny components by kind and name."""


def tiny_host(*modules: object, **components: Mapping[str, type | str]) -> PluginHost:
    """A plugin host that discovers nothing: it has the tiny components, these plugin modules, and these components.

    `tiny_host(limner_glow)`, or `tiny_host(loss={"glow": Glow})`.

    Raises:
        AssertionError: if a module is broken as a plugin.
    """
    host = PluginHost(discover=False)
    for module in (make_plugin(TINY), *modules, *([make_plugin(components)] if components else [])):
        plugin = host.register(module)
        if plugin.problem:
            raise AssertionError(f"{plugin}: {plugin.problem}")
    return host


def make_plugin(components: Mapping[str, Mapping[str, type | str]]) -> object:
    """A plugin with these components, by kind and name."""
    hooks = {
        KINDS[kind].hook: staticmethod(hookimpl(lambda named=named: named, specname=KINDS[kind].hook))
        for kind, named in components.items()
    }
    return type("MadePlugin", (), hooks)()


def tiny_recipe(**changes: Any) -> dict[str, Any]:
    """A recipe of the tiny components: 32 images of 16 pixels, two steps. `changes` replace whole entries of it."""
    tiny = {
        "image_size": 16,
        "data": {"name": "tiny"},
        "encoder": {"name": "tiny"},
        "generator": {"name": "tiny"},
        "discriminator": {"name": "tiny"},
        "losses": {"tiny": {}},
        "prompts": ["a plain red wall"],
        "training": {"steps": 2, "batch_size": 8, "precision": "float32"},
    }
    return tiny | changes


def tiny_sizes() -> Sizes:
    """Sizes for building the parts of a small model."""
    return Sizes(image=16, vocabulary=50, length=12, text=16, noise=8, resolutions=(8, 16), features=8, feature_size=4)
