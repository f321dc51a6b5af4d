"""One step of the game as the losses see it: everything in it is computed once, when first asked for, and shared."""

from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from limner.errors import LimnerError
from limner.interfaces import Discriminator, Generator, TextEncoder
from limner.types import Batch, Judgement, TextFeatures


class ConditionalGenerator(nn.Module):
    """The half of a model that paints: an encoder that reads the prompt, and a generator. This is what is averaged."""

    def __init__(self, encoder: TextEncoder, generator: Generator):
        super().__init__()
        self.encoder = encoder
        self.generator = generator


class ConditionalDiscriminator(nn.Module):
    """The half of a model that judges: the encoder that reads the caption, and a discriminator."""

    def __init__(self, encoder: TextEncoder, discriminator: Discriminator):
        super().__init__()
        self.encoder = encoder
        self.discriminator = discriminator


class Step:
    """One step: a batch of real images, the images painted for the same captions, and how both are judged.

    The painted images are looked at once, for both players: the discriminator's gradient is taken with respect to its
    own weights, the generator's with respect to its own, through the same graph.
    """

    def __init__(
        self,
        painting: ConditionalGenerator,
        judging: ConditionalDiscriminator,
        batch: Batch,
        noise: Float[Tensor, "B Z"],
        differentiate_images: bool = False,
        distracted: bool = False,
    ):
        """
        Args:
            painting: the half of the model that paints.
            judging: the half that judges.
            batch: real images with their captions.
            noise: for the images to be painted.
            differentiate_images: real images are leaves whose gradient a penalty may ask for.
            distracted: a loss reads the distractors, so they are read ahead along with the real images.
        """
        self.conditional_generator, self.conditional_discriminator = painting, judging
        self.batch, self.noise = batch, noise
        self.differentiate_images, self.distracted = differentiate_images, distracted

    def paint(self) -> None:
        """Have the images painted and judged, ahead of being asked: together with `look`, on another core."""
        _ = self.generated

    def look(self) -> None:
        """Have the real images judged, ahead of being asked; what both players read is then there for both."""
        _ = self.real, self.mismatched
        if self.distracted:
            _ = self.distractors

    @cached_property
    def text(self) -> TextFeatures:
        """The batch's captions, read. Both players read with one encoder, and it learns from the
        discriminator's losses.

        It learns where reading can be checked, on real pairs; the generator takes the features as they are (detached).
        """
        text = self.conditional_discriminator.encoder(self.batch.tokens)
        if self.differentiate_images and not text.sentence.requires_grad:  # a frozen encoder
            text.sentence.requires_grad_()  # a penalty may still ask how steep the discriminator is here
        return text

    @cached_property
    def generated_images(self) -> list[Float[Tensor, "B 3 _ _"]]:
        """What the generator paints for the batch's captions, lowest resolution first."""
        return self.conditional_generator.generator(self.noise, self.text.detach())

    @cached_property
    def real_images(self) -> list[Float[Tensor, "B 3 _ _"]]:
        """The batch's images at the resolutions that the generator paints."""
        images = [resize(self.batch.images, size) for size in self.conditional_generator.generator.resolutions]
        return [image.detach().requires_grad_() for image in images] if self.differentiate_images else images

    @cached_property
    def distractors(self) -> TextFeatures | None:
        """Wrong captions that look much like the right ones, K per image [B*K], where the data has some."""
        return (
            None if self.batch.distractors is None else self.conditional_discriminator.encoder(self.batch.distractors)
        )

    @cached_property
    def real_features(self) -> Float[Tensor, "B C h w"]:
        """What the discriminator sees in the real images."""
        return self.conditional_discriminator.discriminator.look(self.real_images)

    @cached_property
    def real(self) -> Judgement:
        """Real images with their own captions."""
        return self.conditional_discriminator.discriminator.judge(self.real_features, self.text)

    @cached_property
    def generated(self) -> Judgement:
        """Painted images with the captions they were painted for."""
        return self.conditional_discriminator.discriminator(self.generated_images, self.text)

    @cached_property
    def mismatched(self) -> Judgement | None:
        """Real images with captions that are not true of them; None where the batch has no such pair."""
        return self._mismatched(self.batch.mismatched, self.batch.has_mismatch)

    @cached_property
    def nearest_mismatched(self) -> tuple[Judgement, Bool[Tensor, " B"]] | None:
        """Real images with the caption of the batch that is not true of them and whose sentence is most like their
        own; and which images have one. None where none has.
        """
        sentences = functional.normalize(self.text.sentence.detach().float(), dim=1)
        own = torch.eye(len(sentences), dtype=torch.bool, device=sentences.device)
        likeness, rows = (sentences @ sentences.T).masked_fill(self.batch.confusable | own, -torch.inf).max(1)
        judged = self._mismatched(rows, likeness.isfinite())
        return None if judged is None else (judged, likeness.isfinite())

    @cached_property
    def swapped(self) -> Judgement:
        """Real images with one of their distractors each: captions that are wrong in a word or two.

        Raises:
            LimnerError: where the data does not know what its captions speak of, and so has no distractors.
        """
        if self.distractors is None:
            raise LimnerError(
                "mismatched: this data does not know the attributes that its captions name, so no word can be "
                'swapped; use mismatched = true or "nearest".'
            )
        images = len(self.batch)
        kinds = len(self.distractors) // images
        place = torch.arange(images, device=self.real_features.device)  # images come in random order, kinds in turn
        return self.conditional_discriminator.discriminator.judge(
            self.real_features, self.distractors[place * kinds + place % kinds]
        )

    def _mismatched(self, captions: Int[Tensor, " B"], rows: Bool[Tensor, " B"]) -> Judgement | None:
        """The real images of some rows, judged with other captions of the batch; None without a row."""
        if not rows.any():
            return None
        return self.conditional_discriminator.discriminator.judge(self.real_features[rows], self.text[captions[rows]])


def resize(images: Float[Tensor, "B 3 H W"], size: int) -> Float[Tensor, "B 3 {size} {size}"]:
    """Images at a lower resolution, each new pixel the mean of those it covers; the same ones where nothing changes."""
    return images if images.shape[-1] == size else functional.adaptive_avg_pool2d(images, size)
