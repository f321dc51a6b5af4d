"""The values that the parts of a text-to-image model exchange, with their shapes.

The letters in the shapes: B images in a batch, T tokens in a caption, D width of the text features,
Z width of the noise, C channels, H and W height and width, S scores that a discriminator gives an image.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol, cast, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int, UInt8
from pycocotools.coco import COCO
from torch import Tensor


@dataclass(frozen=True)
class Sizes:
    """The sizes that the parts of one model agree on. Each part gets it as the first argument of its constructor.

    A size that is not known yet, because the part that sets it is built later, is 0. The parts are built in this order:
    encoder (sets `text`), generator (`noise`, `resolutions`), discriminator (`features`, `feature_size`), losses.
    """

    image: int  # height and width of the images, in pixels
    vocabulary: int  # number of different tokens; id 0 is padding
    length: int  # the longest caption, in tokens
    text: int = 0  # D, width of the word and sentence features
    noise: int = 0  # Z, width of the noise
    resolutions: tuple[int, ...] = ()  # of the generator's images, lowest first
    features: int = 0  # C, channels of the discriminator's feature map
    feature_size: int = 0  # h and w, its height and width

    def knowing(self, **sizes: Any) -> "Sizes":
        """A copy with more of the sizes set."""
        return replace(self, **sizes)


@dataclass(frozen=True)
class Tokens:
    """Captions as token ids, with a mask that is True at real tokens and False at padding."""

    ids: Int[Tensor, "B T"]
    mask: Bool[Tensor, "B T"]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: Any) -> "Tokens":
        return Tokens(self.ids[rows], self.mask[rows])

    def to(self, device: torch.device) -> "Tokens":
        """The same tokens on another device."""
        return Tokens(self.ids.to(device), self.mask.to(device))

    def cut(self, length: int | None) -> "Tokens":
        """The first `length` tokens of each caption; None for all."""
        return Tokens(self.ids[:, :length], self.mask[:, :length])


@dataclass(frozen=True)
class TextFeatures:
    """Encoded captions: a vector per word, a vector per sentence, and the mask of real words."""

    words: Float[Tensor, "B T D"]
    sentence: Float[Tensor, "B D"]
    mask: Bool[Tensor, "B T"]

    def __len__(self) -> int:
        return len(self.sentence)

    def __getitem__(self, rows: Any) -> "TextFeatures":
        return TextFeatures(self.words[rows], self.sentence[rows], self.mask[rows])

    def detach(self) -> "TextFeatures":
        """The same features, detached from the encoder's graph."""
        return TextFeatures(self.words.detach(), self.sentence.detach(), self.mask)


@dataclass(frozen=True)
class Canvas:
    """What a stage of a hierarchical generator passes to the next: its image and its hidden map."""

    hidden: Float[Tensor, "B C h w"]
    image: Float[Tensor, "B 3 H W"]


@dataclass(frozen=True)
class Judgement:
    """A discriminator's scores of images.

    `match`: how real the image looks *as a picture of its caption*; `realism`: how real it looks regardless of the
    caption (None if the discriminator has no such score); `features`: the feature map that both are computed from.
    Scores are logits: positive means real. An image may have several scores (one per scale, for example): S columns.
    """

    match: Float[Tensor, "B S"]
    realism: Float[Tensor, "B S"] | None
    features: Float[Tensor, "B C h w"]


@dataclass(frozen=True)
class CaptionedImages:
    """Images with captions, in the MS-COCO captions layout.

    `pixels[i]` is the image of `coco.imgs[image_ids[i]]` at the model's size. The pixels may be a memory-mapped file.

    A data set that knows what its images show adds keys to COCO's own. An image's `facts` is a list of ints. A
    caption's `asked` has the same length, with -1 where the caption says nothing. A caption's `distractors` are wrong
    captions that resemble it. A caption's `mirrors` is True if it is also true of the mirror image; training then
    mirrors the image half of the time.
    """

    pixels: UInt8[Tensor, "N 3 H W"]
    coco: COCO
    image_ids: list[int]

    def __len__(self) -> int:
        return len(self.image_ids)

    @cached_property
    def annotations(self) -> list[list[dict[str, Any]]]:
        """The captions of each image, in the order of `pixels`."""
        return [cast(Any, self.coco.imgToAnns[i]) for i in self.image_ids]

    @property
    def captions(self) -> list[str]:
        """The captions of all images, one after the other."""
        return [a["caption"] for annotations in self.annotations for a in annotations]


@dataclass(frozen=True)
class StreamedImage:
    """An image of a stream. Its captions and facts have the keys that `CaptionedImages` describes."""

    number: int  # of the image: the same in every epoch, and no other image of the data has it
    pixels: UInt8[Tensor, "3 H W"]
    annotations: list[dict[str, Any]]  # at least one
    facts: list[int] | None = None


class ImageStream(ABC):
    """Captioned images that one process reads in every epoch anew, because they do not fit into memory."""

    captions: Sequence[str]
    """The captions of all images, also of those that other processes read: set by the constructor."""
    images: int
    """The images that this process reads in an epoch: set by the constructor."""
    fingerprint: int
    """A number that differs for other data: set by the constructor."""

    @abstractmethod
    def epoch(self, random: torch.Generator, start: int = 0) -> Iterator[StreamedImage | None]:
        """Every image once, in an order drawn from `random`; the first `start` of them are left out.

        None stands in the place of an image that cannot be used.

        Raises:
            LimnerError: for a bad file, which it names.
        """


@dataclass(frozen=True)
class Batch:
    """Real images with one caption each, and for each image a caption that is not true of it.

    `mismatched[i]` is the row of a caption in this batch that is *not* true of image i; `has_mismatch[i]` is False if
    there is none. `confusable[i, j]` is True if caption j belongs to another image but is true of image i too, so that
    a contrastive loss must not count it as wrong. `distractors` are K wrong captions per image that resemble the right
    one, row-major (the first K belong to image 0); None if the data has none. `other_captions` has another caption of
    each image, or its own again where it has only one; None if the batch was made without them.
    """

    images: Float[Tensor, "B 3 H W"]
    tokens: Tokens
    mismatched: Int[Tensor, " B"]
    has_mismatch: Bool[Tensor, " B"]
    confusable: Bool[Tensor, "B B"]
    distractors: Tokens | None = None
    other_captions: Tokens | None = None

    def __len__(self) -> int:
        return len(self.images)


Scores = dict[str, float]
"""Scores by name. "trained/exact" is shown in the row `exact` of the column `trained`."""


@runtime_checkable
class Painter(Protocol):
    """Anything that paints prompts: a trained model, an ensemble, a model during its training."""

    def paint_images(self, prompts: Sequence[str], seed: int = 0) -> Float[Tensor, "N 3 H W"]:
        """One image in [-1, 1] per prompt, with noise drawn from the seed."""
        ...
