"""One training step as the losses see it: each value is computed once, when a loss first asks for it, and shared."""

import warnings
from functools import cached_property

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from limner.errors import LimnerError
from limner.interfaces import Discriminator, Generator, TextEncoder
from limner.shared_rows import AllRows
from limner.types import Batch, Judgement, TextFeatures, Tokens


class ConditionalGenerator(nn.Module):
    """G(z, c): a text encoder and a generator. Its weights have the exponential moving average that paints."""

    def __init__(self, encoder: TextEncoder, generator: Generator):
        super().__init__()
        self.encoder = encoder
        self.generator = generator


class ConditionalDiscriminator(nn.Module):
    """D(x, c): a text encoder and a discriminator."""

    def __init__(self, encoder: TextEncoder, discriminator: Discriminator):
        super().__init__()
        self.encoder = encoder
        self.discriminator = discriminator


class Step:
    """A batch of real images, the images generated for the same captions, and the discriminator's judgements of both.

    The generated images pass through the discriminator once, for both players. Each player takes the gradient of its
    own loss with respect to its own weights, through the same graph.

    A step never waits for a GPU: no value decides which operations follow. So a step can be captured as a CUDA graph.
    Several processes that train together share the work: each encodes, generates and looks at some of the `rows`, and
    what a loss reads is the whole batch.
    """

    def __init__(
        self,
        conditional_generator: ConditionalGenerator,
        conditional_discriminator: ConditionalDiscriminator | None,
        batch: Batch,
        noise: Float[Tensor, "B Z"],
        differentiate_images: bool = False,
        reads_distractors: bool = False,
        rows: AllRows = AllRows(),  # noqa: B008
    ):
        """
        Args:
            conditional_generator: the encoder and the generator.
            conditional_discriminator: the encoder and the discriminator; None for a generator that is trained alone.
            batch: real images with their captions.
            noise: z, for the generated images.
            differentiate_images: make the real images leaves of the graph, so that a penalty can take their gradient;
                it can take that of the generated ones, too.
            reads_distractors: encode the distractors in `compute_real`, because a loss reads them.
            rows: the rows of the batch that this process computes.
        """
        self.conditional_generator = conditional_generator
        self.conditional_discriminator = conditional_discriminator
        self.batch, self.noise = batch, noise
        self.differentiate_images, self.reads_distractors = differentiate_images, reads_distractors
        self.rows = rows

    def compute_generated(self) -> None:
        """Generate and judge the images now. This can run at the same time as `compute_real`, in another thread."""
        _ = self.generated

    def compute_real(self) -> None:
        """Judge the real images now, and encode the distractors if a loss reads them."""
        _ = self.real, self.mismatched_pairs
        if self.reads_distractors:
            _ = self.distractors

    @cached_property
    def text(self) -> TextFeatures:
        """The encoded captions of the batch.

        Both players share one encoder. It learns from the discriminator's losses, on real pairs. The generator gets the
        features detached. Without a discriminator, the encoder learns from the losses that read `text` itself.
        """
        text = self.encode(self.batch.tokens)
        if self.differentiate_images and not text.sentence.requires_grad:  # a frozen encoder
            text.sentence.requires_grad_()  # a penalty still needs the gradient with respect to the sentence
        return text

    @cached_property
    def generated_images(self) -> list[Float[Tensor, "B 3 _ _"]]:
        """The generator's images for the captions of the batch, lowest resolution first."""
        return [self.rows.gather(images, len(self.batch)) for images in self.own_generated_images]

    @cached_property
    def own_generated_images(self) -> list[Float[Tensor, "b 3 _ _"]]:
        """The generated images in the rows of this process."""
        text = self.text.detach()
        own = TextFeatures(self.rows.own(text.words), self.rows.own(text.sentence), self.rows.own(text.mask))
        images = self.conditional_generator.generator(self.rows.own(self.noise), own)
        if self.differentiate_images and not any(image.requires_grad for image in images):  # a frozen generator
            images = [image.requires_grad_() for image in images]
        return images

    @cached_property
    def real_images(self) -> list[Float[Tensor, "B 3 _ _"]]:
        """The real images, at each resolution of the generator."""
        images = [resize(self.batch.images, size) for size in self.conditional_generator.generator.resolutions]
        return [image.detach().requires_grad_() for image in images] if self.differentiate_images else images

    @cached_property
    def distractors(self) -> TextFeatures | None:
        """Encoded wrong captions that resemble the right ones, K per image [B*K]; None if the data has none."""
        wrong = self.batch.distractors
        return None if wrong is None else self.encode(wrong)

    @cached_property
    def other_captions(self) -> TextFeatures:
        """Another caption of each image, encoded; its own where the image has only one."""
        others = self.batch.other_captions
        return self.text if others is None else self.encode(others)

    @cached_property
    def real_features(self) -> Float[Tensor, "B C h w"]:
        """The discriminator's feature map of the real images."""
        return self.look([self.rows.own(images) for images in self.real_images])

    @cached_property
    def real(self) -> Judgement:
        """Real images with their own captions."""
        return self.judge_real(self.text)

    @cached_property
    def generated(self) -> Judgement:
        """Generated images with the captions they were generated for."""
        return self.discriminator.judge(self.look(self.own_generated_images), self.text)

    @cached_property
    def mismatched_pairs(self) -> Judgement:
        """Real images with captions that are not true of them, in the rows where `batch.has_mismatch`."""
        return self.judge_real(self.text[self.batch.mismatched])

    @cached_property
    def nearest_pairs(self) -> tuple[Judgement, Bool[Tensor, " B"]]:
        """Real images with a hard wrong caption, and which images have one.

        The caption is the one of the batch that is not true of the image and whose sentence is most like its own.
        """
        sentences = functional.normalize(self.text.sentence.detach().float(), dim=1)
        own = torch.eye(len(sentences), dtype=torch.bool, device=sentences.device)
        similarity, rows = (sentences @ sentences.T).masked_fill(self.batch.confusable | own, -torch.inf).max(1)
        return self.judge_real(self.text[rows]), similarity.isfinite()

    @cached_property
    def swapped(self) -> Judgement:
        """Real images with one of their distractors each: captions in which a word or two are wrong.

        Raises:
            LimnerError: if the data has no distractors.
        """
        if self.distractors is None:
            raise LimnerError(
                "mismatched: this data does not know the attributes that its captions name, so no word can be "
                'swapped; use mismatched = true or "nearest".'
            )
        images = len(self.batch)
        kinds = len(self.distractors) // images
        place = torch.arange(images, device=self.real_features.device)  # images are shuffled, so take kinds in turn
        return self.judge_real(self.distractors[place * kinds + place % kinds])

    @property
    def discriminator(self) -> Discriminator:
        """The discriminator.

        Raises:
            LimnerError: if there is none, and a loss that reads its judgements does not say that it needs one.
        """
        if self.conditional_discriminator is None:
            raise LimnerError(
                "A loss reads judgements of a discriminator, and the recipe has none; add [discriminator]."
            )
        return self.conditional_discriminator.discriminator

    def encode(self, tokens: Tokens) -> TextFeatures:
        """The features of the captions of the batch, or of as many wrong ones for each image."""
        wordings = len(tokens) // len(self.batch)
        ids, mask = (part.unflatten(0, (-1, wordings)) for part in (tokens.ids, tokens.mask))
        own = Tokens(self.rows.own(ids).flatten(0, 1), self.rows.own(mask).flatten(0, 1))
        text = (self.conditional_discriminator or self.conditional_generator).encoder(own)
        parts = (part.unflatten(0, (-1, wordings)) for part in (text.words, text.sentence, text.mask))
        return TextFeatures(*(self.rows.gather(part, len(self.batch)).flatten(0, 1) for part in parts))

    def look(self, own: list[Float[Tensor, "b 3 _ _"]]) -> Float[Tensor, "B C h w"]:
        """The discriminator's feature map of all images, from the images in the rows of this process."""
        return self.rows.gather(self.discriminator.look(own), len(self.batch))

    def judge_real(self, text: TextFeatures) -> Judgement:
        """The real images, judged with other captions."""
        return self.discriminator.judge(self.real_features, text)

    # --- names before API 1.2 ------------------------------------------------------------------------------------

    @property
    def mismatched(self) -> Judgement | None:
        """The rows of `mismatched_pairs` that have a wrong caption; None without one. It waits for the device."""
        warnings.warn("Step.mismatched is now Step.mismatched_pairs, of all rows.", DeprecationWarning, stacklevel=2)
        return _some(self.mismatched_pairs, self.batch.has_mismatch)

    @property
    def nearest_mismatched(self) -> tuple[Judgement, Bool[Tensor, " B"]] | None:
        """The rows of `nearest_pairs` that have a wrong caption, and which these are; None without one."""
        warnings.warn(
            "Step.nearest_mismatched is now Step.nearest_pairs, of all rows.", DeprecationWarning, stacklevel=2
        )
        pairs, rows = self.nearest_pairs
        found = _some(pairs, rows)
        return None if found is None else (found, rows)

    # --- names before API 1.1 ------------------------------------------------------------------------------------

    @property
    def painted_images(self) -> list[Float[Tensor, "B 3 _ _"]]:
        """The old name of `generated_images`."""
        warnings.warn("Step.painted_images is now Step.generated_images.", DeprecationWarning, stacklevel=2)
        return self.generated_images

    @property
    def painting(self) -> ConditionalGenerator:
        """The old name of `conditional_generator`."""
        warnings.warn("Step.painting is now Step.conditional_generator.", DeprecationWarning, stacklevel=2)
        return self.conditional_generator

    @property
    def judging(self) -> ConditionalDiscriminator | None:
        """The old name of `conditional_discriminator`."""
        warnings.warn("Step.judging is now Step.conditional_discriminator.", DeprecationWarning, stacklevel=2)
        return self.conditional_discriminator


def _some(judged: Judgement, rows: Bool[Tensor, " B"]) -> Judgement | None:
    """Some rows of a judgement; None without one."""
    if not rows.any():
        return None
    realism = None if judged.realism is None else judged.realism[rows]
    return Judgement(judged.match[rows], realism, judged.features[rows])


def resize(images: Float[Tensor, "B 3 H W"], size: int) -> Float[Tensor, "B 3 {size} {size}"]:
    """Images at a lower resolution: each new pixel is the mean of the pixels it covers."""
    return images if images.shape[-1] == size else functional.adaptive_avg_pool2d(images, size)
