"""The parts of a text-to-image model, as interfaces that plugins implement.

A model has four parts. A `TextEncoder` encodes the caption, a `Generator` makes an image of it, a `Discriminator`
judges the image, and each `Loss` adds a term to what the players minimize. A generator can have slots that a recipe
fills: `Attention` and `Stage`. `Dataset` provides captioned images, and `Metric` measures a trained model.

Every component is built as `Component(<what core knows>, *, <options>)`. The options are the keyword-only arguments of
the constructor, with types and defaults. Exactly these can be set in a recipe. If the type of an option is
`Slot[Attention]` or `Slot[Stage]` (`limner.slots`), the recipe names other components there.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from limner.errors import LimnerError
from limner.types import Canvas, CaptionedImages, ImageStream, Judgement, Painter, Scores, Sizes, TextFeatures, Tokens

if TYPE_CHECKING:
    from limner.step import Step


class TextEncoder(nn.Module, ABC):
    """Encodes captions: a vector per word and one per sentence. Padding must not influence either.

    The smallest one, a bag of words::

        class BagOfWords(TextEncoder):
            def __init__(self, sizes: Sizes, *, width: int = 64):
                super().__init__(sizes)
                self.width = width
                self.embedding = nn.Embedding(sizes.vocabulary, width)

            def forward(self, tokens):
                words = self.embedding(tokens.ids) * tokens.mask[..., None]
                return TextFeatures(words, words.sum(1), tokens.mask)

    If there is a `pretrained` model, captions are tokenized with its tokenizer, and a recipe may not name another one.
    """

    width: int
    """D, the width of the features: set by the constructor."""
    pretrained: ClassVar[str | None] = None
    """The option that names a pretrained model, by hub name or folder; None if there is no such model."""

    def __init__(self, sizes: Sizes):
        super().__init__()

    @abstractmethod
    def forward(self, tokens: Tokens) -> TextFeatures:
        """`tokens` [B, T] -> words [B, T, D], sentence [B, D]; words at padding are zero."""

    def save_pretrained(self, folder: Path) -> None:
        """Write the pretrained model into `folder`, from which the encoder is built when a run is loaded."""

    def fit(self, tokens: Tokens) -> None:
        """Measure what the encoder needs to know of the captions; called once, before the first step of a training."""


class Generator(nn.Module, ABC):
    """Makes images from noise and text.

    The smallest one::

        class Linear(Generator):
            def __init__(self, sizes: Sizes, *, noise: int = 8):
                super().__init__(sizes)
                self.noise_width, self.resolutions = noise, (sizes.image,)
                self.paint = nn.Linear(sizes.text + noise, 3 * sizes.image**2)

            def forward(self, noise, text):
                pixels = self.paint(torch.cat([noise, text.sentence], 1)).tanh()
                return [rearrange(pixels, "b (c h w) -> b c h w", c=3, h=self.resolutions[0])]
    """

    noise_width: int
    """Z, the width of the noise: set by the constructor."""
    resolutions: tuple[int, ...]
    """Height and width of the images it makes, lowest first; the last is the model's: set by the constructor."""

    def __init__(self, sizes: Sizes):
        super().__init__()

    @abstractmethod
    def forward(self, noise: Float[Tensor, "B Z"], text: TextFeatures) -> list[Float[Tensor, "B 3 _ _"]]:
        """Images in [-1, 1], one at each of `resolutions`."""


class Discriminator(nn.Module, ABC):
    """Judges images in two steps: `look` computes features of the image, `judge` compares them with a text.

    Nearly all the cost is in `look`, which does not depend on the text. So one look at an image serves its own caption,
    a mismatched one, and every loss that reads the features.

    The smallest one::

        class Linear(Discriminator):
            def __init__(self, sizes: Sizes):
                super().__init__(sizes)
                self.feature_channels, self.feature_size = 16, sizes.image // 4
                self.backbone = nn.Conv2d(3, 16, 4, 4)
                self.word = nn.Linear(sizes.text, 16)

            def look(self, images):
                return self.backbone(images[-1])

            def judge(self, features, text):
                match = (features.mean((2, 3)) * self.word(text.sentence)).sum(1, keepdim=True)
                return Judgement(match, None, features)
    """

    feature_channels: int
    """C, the channels of the feature map: set by the constructor."""
    feature_size: int
    """h and w, the height and width of the feature map: set by the constructor."""

    def __init__(self, sizes: Sizes):
        super().__init__()

    @abstractmethod
    def look(self, images: Sequence[Float[Tensor, "B 3 _ _"]]) -> Float[Tensor, "B C h w"]:
        """The feature map of images, given as a generator returns them: one tensor per resolution, lowest first."""

    @abstractmethod
    def judge(self, features: Float[Tensor, "B C h w"], text: TextFeatures) -> Judgement:
        """Scores of how well images, given by their features, match `text`."""

    def forward(self, images: Sequence[Float[Tensor, "B 3 _ _"]], text: TextFeatures) -> Judgement:
        return self.judge(self.look(images), text)


class Loss(nn.Module, ABC):
    """A term of what one or both players minimize. Each method returns a scalar, or None if it adds no term.

    A loss reads everything from the `Step`, where each judgement is computed once and shared by all losses. It may own
    modules that are trained along with the discriminator (a matching network, a captioner). The training loop applies
    the recipe's `weight`, so a loss is exactly its equation. Its two terms may be computed at once, in two threads.

    The smallest one, the least-squares GAN (Mao et al. 2017, equation 9)::

        class LeastSquares(Loss):
            def discriminator(self, step):
                return ((step.real.match - 1) ** 2).mean() / 2 + (step.generated.match**2).mean() / 2

            def generator(self, step):
                return ((step.generated.match - 1) ** 2).mean() / 2
    """

    every: int = 1
    """The terms are computed once in `every` steps, and multiplied by `every`."""
    differentiates_images: bool = False
    """Whether it takes the gradient with respect to the real images (which are then leaves of the graph)."""
    reads_distractors: bool = False
    """Whether it reads `step.distractors` (they are then encoded before the losses are computed)."""
    needs_discriminator: bool = True
    """Whether it needs a discriminator. A loss that sets this to False also trains a generator that has none."""

    def __init__(self, sizes: Sizes):
        super().__init__()

    def discriminator(self, step: "Step") -> Float[Tensor, ""] | None:
        """The term that the discriminator and the modules of this loss minimize."""
        return None

    def generator(self, step: "Step") -> Float[Tensor, ""] | None:
        """The term that the generator minimizes."""
        return None

    def score(self, step: "Step") -> Float[Tensor, " B"] | None:
        """How well each real image of the step fits its caption, by this loss's modules; None if no module can tell."""
        return None

    def read(self, step: "Step") -> Int[Tensor, "B T"] | None:
        """Captions of the real images, as token ids, by the captioner of this loss; None if it has no captioner."""
        return None


class Attention(nn.Module, ABC):
    """Lets a feature map attend to the words of a caption. The shape stays. It starts as (nearly) the identity.

    The generator builds it, once for each resolution at which the recipe asks for it, as
    `Attention(sizes, channels, **options)`. It passes its weights to `keep`, so that they can be shown.
    """

    weights: Float[Tensor, "B M T *where"] | None = None
    """The last attention weights. They are kept only while `keep_weights` is True, so training pays nothing for them.

    M maps (one per head), T words (1 if the map is of the whole sentence), and `where` is (H, W)
    for weights over positions, (C,) for weights over channels. Padding has weight 0.
    """
    keep_weights: bool = False

    def __init__(self, sizes: Sizes, channels: int):
        super().__init__()

    @abstractmethod
    def forward(self, features: Float[Tensor, "B C H W"], text: TextFeatures) -> Float[Tensor, "B C H W"]: ...

    def keep(self, weights: Float[Tensor, "B M T *where"]) -> None:
        """Keep the weights of this forward pass if `keep_weights` is True."""
        if self.keep_weights:
            self.weights = weights.detach()


class Stage(nn.Module, ABC):
    """One stage of a hierarchical generator: takes the canvas of the stage before and returns its own.

    The generator builds it as `Stage(sizes, before, **options)`. `before` is the stage that it follows, of which it
    reads `channels`, `map_size` and `size`; it is None for the first stage.
    """

    channels: int
    """C, channels of the hidden map that it returns: set by the constructor."""
    map_size: int
    """h and w, the height and width of that map: set by the constructor."""
    size: int
    """H and W, the height and width of the image that it returns: set by the constructor."""

    def __init__(self, sizes: Sizes, before: "Stage | None"):
        super().__init__()

    @abstractmethod
    def forward(self, canvas: Canvas | None, noise: Float[Tensor, "B Z"], text: TextFeatures) -> Canvas:
        """The next canvas. The first stage gets None and starts from noise and text."""


class Optimizer(torch.optim.Optimizer, ABC):
    """Updates the weights of one player from their gradients, as an optimizer of torch.

    It is built once per player as `Optimizer(groups, **options)`. The training loop computes and clips the gradients,
    sets the `lr` of every group, and calls `step`. What it remembers of a weight belongs into `self.state[weight]`.

    The smallest one, gradient descent::

        class GradientDescent(Optimizer):
            def __init__(self, groups):
                super().__init__(groups, {"lr": 1e-3})

            @torch.no_grad()
            def step(self, closure=None):
                for group in self.param_groups:
                    for weight in group["params"]:
                        if weight.grad is not None:
                            weight.sub_(group["lr"] * weight.grad)
    """

    def __init__(self, groups: list[dict[str, Any]], defaults: dict[str, Any]):
        super().__init__(groups, defaults)


class Dataset(ABC):
    """Captioned images of one size, in the MS-COCO captions layout."""

    metrics: tuple[str, ...] = ()
    """Names of the metrics that measure a model of this data, unless the recipe names others."""

    def __init__(self, image_size: int):
        self.image_size = image_size

    @abstractmethod
    def load(self) -> CaptionedImages:
        """All images, decoded, with their captions.

        Raises:
            LimnerError: for a bad file, which it names.
        """

    def stream(self, process: int = 0, processes: int = 1) -> ImageStream | None:
        """What training reads instead, as one of several processes, if the images do not fit into memory; None if they
        do. `load` then has some of the images, by which a model is measured.
        """
        return None

    def real_images(self, prompt: str, count: int, seed: int) -> UInt8[Tensor, "{count} 3 H W"]:
        """`count` real images that match a prompt.

        Raises:
            LimnerError: if the data cannot do this. A photograph, for example, is the only image of its caption.
        """
        raise LimnerError(f"{type(self).__name__} cannot show several images of one prompt.")

    def preview_prompts(self) -> list[str]:
        """Up to eight prompts that are painted regularly in training; by default, captions from all over the data."""
        captions = list(dict.fromkeys(a["caption"] for annotations in self.load().annotations for a in annotations[:1]))
        count = min(8, len(captions))
        return [captions[place * len(captions) // count] for place in range(count)]


class Metric(ABC):
    """A measurement of a trained model on a data set. If it does not apply, it raises a `LimnerError` that says why."""

    about: str = ""
    """What the numbers are based on, in a few words: how many samples, which seed."""

    def __init__(self, dataset: Dataset):
        self.dataset = dataset

    @abstractmethod
    def measure(self, painter: Painter) -> Scores:
        """Scores by name. The docstring of the class says what they mean and how many samples they use."""

    def verdict(self, image: Float[Tensor, "3 H W"], prompt: str) -> dict[str, bool] | None:
        """Whether each thing that a prompt asks for is right in an image in [-1, 1]; None if it cannot tell."""
        return None

    def example_prompts(self, count: int) -> list[str]:
        """At most `count` prompts whose images `verdict` can judge, for a report; none if it has no verdicts."""
        return []

    def asked_and_shown(self, image: Float[Tensor, "3 H W"], prompt: str) -> list[tuple[str, str, str]]:
        """What a prompt asks for and an image shows, such as [("color", "red", "pink")]; empty if it cannot tell."""
        return []
