"""The parts of a text-to-image model, as interfaces that plugins implement.

Four parts make a model: a `TextEncoder` reads the caption, a `Generator` paints it, a `Discriminator` judges the
picture, and `Loss`es say what each player wants. A generator has two slots that a recipe can fill, `Attention` and
`Stage`; at the edges stand `Dataset` (captioned images) and `Metric` (how good is it?).

Every component is built as `Component(<what core knows>, *, <options>)`. The options are the keyword-only arguments of
the constructor, with types and defaults: exactly these can be set in a recipe. Where a keyword's type is
`Slot[Attention]` or `Slot[Stage]` (`limner.slots`), the recipe names another component there.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from limner.errors import LimnerError
from limner.types import Canvas, CaptionedImages, Judgement, Scores, Sizes, TextFeatures, Tokens

if TYPE_CHECKING:
    from limner.step import Step


class TextEncoder(nn.Module, ABC):
    """Reads captions into a vector per word and one per sentence. Padding must not influence either.

    The smallest one, a bag of words::

        class BagOfWords(TextEncoder):
            def __init__(self, sizes: Sizes, *, width: int = 64):
                super().__init__(sizes)
                self.width = width
                self.embedding = nn.Embedding(sizes.vocabulary, width)

            def forward(self, tokens):
                words = self.embedding(tokens.ids) * tokens.mask[..., None]
                return TextFeatures(words, words.sum(1), tokens.mask)

    An encoder that builds on a pretrained model names in `pretrained` the option that says which. Token ids mean
    nothing to such a model but those of its own tokenizer, so captions are read with that one, and a recipe need not
    (and may not) name another. What `save_pretrained` writes lies in the run's folder; when the run is read back,
    the encoder is built from there, whatever has become of the model's name since.
    """

    width: int
    """D, the width of the features: set by the constructor."""
    pretrained: ClassVar[str | None] = None
    """The option that names a pretrained model, by hub name or folder; None where the encoder builds on none."""

    def __init__(self, sizes: Sizes):
        super().__init__()

    @abstractmethod
    def forward(self, tokens: Tokens) -> TextFeatures:
        """`tokens` [B, T] -> words [B, T, D], sentence [B, D]; words at padding are zero."""

    def save_pretrained(self, folder: Path) -> None:
        """Write into `folder` what the encoder must be built from again and its own weights do not hold."""


class Generator(nn.Module, ABC):
    """Paints images from noise and text.

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
    """Height and width of the images that it paints, lowest first; the last is the model's: set by the constructor."""

    def __init__(self, sizes: Sizes):
        super().__init__()

    @abstractmethod
    def forward(self, noise: Float[Tensor, "B Z"], text: TextFeatures) -> list[Float[Tensor, "B 3 _ _"]]:
        """Images in [-1, 1], one at each of `resolutions`."""


class Discriminator(nn.Module, ABC):
    """Judges images, in two movements: `look` at the image, then `judge` what was seen against a text.

    Looking costs nearly everything and does not depend on the text, so that one look at an image serves its own
    caption, a mismatched one, and every loss that reads the features.

    The smallest one::

        class Linear(Discriminator):
            def __init__(self, sizes: Sizes):
                super().__init__(sizes)
                self.feature_channels, self.feature_size = 16, sizes.image // 4
                self.eye = nn.Conv2d(3, 16, 4, 4)
                self.word = nn.Linear(sizes.text, 16)

            def look(self, images):
                return self.eye(images[-1])

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
        """The feature map of images given as a generator gives them, lowest resolution first."""

    @abstractmethod
    def judge(self, features: Float[Tensor, "B C h w"], text: TextFeatures) -> Judgement:
        """The scores of images that were looked at, as pictures of `text`."""

    def forward(self, images: Sequence[Float[Tensor, "B 3 _ _"]], text: TextFeatures) -> Judgement:
        return self.judge(self.look(images), text)


class Loss(nn.Module, ABC):
    """What one or both players want. Each side returns a scalar to be minimised, or None where it has no wish.

    A loss reads everything from the `Step`, where each judgement is computed once and shared by all losses. It may own
    modules, trained along with the discriminator (a matching network, a captioner). The recipe's `weight` is
    applied by the training loop, so that a loss is exactly its equation. Its two sides may be asked for at the same
    time, each in a thread of its own.

    The smallest one, the least-squares GAN (Mao et al. 2017, equation 2)::

        class LeastSquares(Loss):
            def discriminator(self, step):
                return ((step.real.match - 1) ** 2).mean() / 2 + (step.generated.match**2).mean() / 2

            def generator(self, step):
                return ((step.generated.match - 1) ** 2).mean() / 2
    """

    every: int = 1
    """The loop asks for the discriminator's side at every so-manyth step only, and multiplies it by this number."""
    differentiates_images: bool = False
    """Whether it takes the gradient by the real images (`step.real_images` are then leaves of the graph)."""
    reads_distractors: bool = False
    """Whether it reads `step.distractors` (they are then encoded once, before either side is asked)."""

    def __init__(self, sizes: Sizes):
        super().__init__()

    def discriminator(self, step: "Step") -> Float[Tensor, ""] | None:
        """What the discriminator (and the modules that this loss owns) should minimise."""
        return None

    def generator(self, step: "Step") -> Float[Tensor, ""] | None:
        """What the generator should minimise."""
        return None

    def score(self, step: "Step") -> Float[Tensor, " B"] | None:
        """How well each real image of the step fits its caption, by the modules that this loss owns: the higher, the
        better. None where it owns none that could tell.
        """
        return None

    def read(self, step: "Step") -> Int[Tensor, "B T"] | None:
        """The real images of the step in words, as token ids, by a captioner that this loss owns; None without one."""
        return None


class Attention(nn.Module, ABC):
    """Lets a feature map look at the words: a map in, a map of the same shape out. Starts as (nearly) the identity.

    It is built by the generator, once for each resolution at which the recipe asks for it, as
    `Attention(sizes, channels, **options)`. It hands its weights to `keep`, for pictures.
    """

    weights: Float[Tensor, "B M T *where"] | None = None
    """The last attention weights, kept only while `keep_weights` is True, so that training pays nothing for them.

    M maps (the heads; 1 where there is one), T words (1 where the map is of the whole sentence), and `where` is (H, W)
    for weights over positions, (C,) for weights over channels. Padding has weight 0.
    """
    keep_weights: bool = False

    def __init__(self, sizes: Sizes, channels: int):
        super().__init__()

    @abstractmethod
    def forward(self, features: Float[Tensor, "B C H W"], text: TextFeatures) -> Float[Tensor, "B C H W"]: ...

    def keep(self, weights: Float[Tensor, "B M T *where"]) -> None:
        """Keep the weights of this forward pass, where that is asked for."""
        if self.keep_weights:
            self.weights = weights.detach()


class Stage(nn.Module, ABC):
    """One storey of a hierarchical generator: takes the canvas of the stage before, and hands on its own.

    It is built by the generator as `Stage(sizes, before, **options)`: the stage that it follows, of which it reads
    `channels`, `map_size` and `size`; None for the first.
    """

    channels: int
    """C, channels of the hidden map that it hands on: set by the constructor."""
    map_size: int
    """h and w, the height and width of that map: set by the constructor."""
    size: int
    """H and W, the height and width of the image that it paints: set by the constructor."""

    def __init__(self, sizes: Sizes, before: "Stage | None"):
        super().__init__()

    @abstractmethod
    def forward(self, canvas: Canvas | None, noise: Float[Tensor, "B Z"], text: TextFeatures) -> Canvas:
        """What this stage makes of the canvas; the first stage gets None and begins from noise and text."""


@runtime_checkable
class Painter(Protocol):
    """Whatever paints: a trained model, an ensemble, a model in the middle of its training."""

    def paint_images(self, prompts: Sequence[str], seed: int = 0) -> Float[Tensor, "N 3 H W"]:
        """One image in [-1, 1] per prompt, with noise drawn from the seed."""
        ...


class Dataset(ABC):
    """Captioned images of one size, in the MS-COCO captions layout."""

    metrics: tuple[str, ...] = ()
    """Names of the metrics that a model trained on this data is measured by, unless the recipe names others."""

    def __init__(self, image_size: int):
        self.image_size = image_size

    @abstractmethod
    def load(self) -> CaptionedImages:
        """All images, decoded, with their captions. Bad files raise a `LimnerError` that names them."""

    def real_images(self, prompt: str, count: int, seed: int) -> UInt8[Tensor, "{count} 3 H W"]:
        """Real images that a prompt is true of, as many as asked for, where the data can show them.

        Raises:
            LimnerError: where it cannot, as with photographs, of which each caption has but one.
        """
        raise LimnerError(f"{type(self).__name__} has no way to show several images of one prompt.")

    def preview_prompts(self) -> list[str]:
        """Eight prompts that are painted again and again during training; by default the first captions."""
        captions = [a["caption"] for annotations in self.load().annotations for a in annotations[:1]]
        return list(dict.fromkeys(captions))[:8]


class Metric(ABC):
    """A measurement of a trained model on a data set."""

    about: str = ""
    """What its numbers stand on, in a few words for people: how many samples, which seed."""

    def __init__(self, dataset: Dataset):
        self.dataset = dataset

    @abstractmethod
    def measure(self, painter: Painter) -> Scores:
        """Names and numbers; the docstring of the class says what they mean and on how many samples they stand."""
