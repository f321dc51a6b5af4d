"""The values that travel between the parts of a text-to-image model, with their shapes.

Letters used in every shape: B images in a batch, T tokens in a caption, D width of the text features,
Z width of the noise, C channels, H and W height and width, S scores that a discriminator gives an image.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

import torch
from jaxtyping import Bool, Float, Int, UInt8
from pycocotools.coco import COCO
from torch import Tensor


@dataclass(frozen=True)
class Sizes:
    """What the parts of one model must agree on; each part is built with it as its first argument.

    A size that is not known yet, because the part that decides it is built later, is 0. The order is
    encoder (decides `text`), generator (`noise`, `resolutions`), discriminator (`features`), losses.
    """

    image: int  # height and width of the images, in pixels
    vocabulary: int  # number of different tokens; id 0 is padding
    length: int  # the longest caption, in tokens
    text: int = 0  # D, width of the word and sentence features
    noise: int = 0  # Z, width of the noise
    resolutions: tuple[int, ...] = ()  # of the images that the generator paints, lowest first
    features: int = 0  # C, channels of the discriminator's feature map
    feature_size: int = 0  # h and w, its height and width

    def knowing(self, **sizes: Any) -> "Sizes":
        """The same sizes with some more of them known."""
        return replace(self, **sizes)


@dataclass(frozen=True)
class Tokens:
    """Captions as numbers: token ids, and the mask that is True at real tokens and False at padding."""

    ids: Int[Tensor, "B T"]
    mask: Bool[Tensor, "B T"]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: Any) -> "Tokens":
        return Tokens(self.ids[rows], self.mask[rows])

    def to(self, device: torch.device) -> "Tokens":
        """The same tokens on another device."""
        return Tokens(self.ids.to(device), self.mask.to(device))


@dataclass(frozen=True)
class TextFeatures:
    """What a text encoder makes of captions: a vector per word, one per sentence, and the mask of real words."""

    words: Float[Tensor, "B T D"]
    sentence: Float[Tensor, "B D"]
    mask: Bool[Tensor, "B T"]

    def __len__(self) -> int:
        return len(self.sentence)

    def __getitem__(self, rows: Any) -> "TextFeatures":
        return TextFeatures(self.words[rows], self.sentence[rows], self.mask[rows])

    def detach(self) -> "TextFeatures":
        """The same features, through which no gradient flows back into the encoder."""
        return TextFeatures(self.words.detach(), self.sentence.detach(), self.mask)


@dataclass(frozen=True)
class Canvas:
    """What a stage of a hierarchical generator hands to the next: the image so far, and the hidden map behind it."""

    hidden: Float[Tensor, "B C h w"]
    image: Float[Tensor, "B 3 H W"]


@dataclass(frozen=True)
class Judgement:
    """What a discriminator says of images.

    `match`: how real the image looks *as a picture of its caption*; `realism`: how real it looks whatever the
    caption (None where the discriminator does not say); `features`: the map that both were read from. Scores are
    logits: positive means real. There may be several per image (one per scale, say), hence the column S.
    """

    match: Float[Tensor, "B S"]
    realism: Float[Tensor, "B S"] | None
    features: Float[Tensor, "B C h w"]


@dataclass(frozen=True)
class CaptionedImages:
    """Images with captions, in the MS-COCO captions layout.

    `pixels[i]` is the image of `coco.imgs[image_ids[i]]`, already at the model's size; they may lie in a file that is
    mapped into memory. Two keys beyond COCO's own are used where a data set knows what its images show: an image's
    `facts` (a list of ints) and a caption's `asked` (of equal length, -1 where the caption does not say). A caption's
    `distractors` are wrong captions that look much like it, and its `mirrors` is True where it is as true of the
    mirror image: then training shows that one every other time.
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


@dataclass(frozen=True)
class Batch:
    """Real images with one caption each, and for each image a caption that is not true of it.

    `mismatched[i]` is the row of a caption in this batch that is *not* true of image i, `has_mismatch[i]` is False
    where the batch holds none. `confusable[i, j]` is True where caption j is true of image i although it is another
    image's: a contrast must not call it wrong. `distractors` are K wrong captions per image, that look much
    like the right one, row-major (the first K belong to image 0); None where the data has none.
    """

    images: Float[Tensor, "B 3 H W"]
    tokens: Tokens
    mismatched: Int[Tensor, " B"]
    has_mismatch: Bool[Tensor, " B"]
    confusable: Bool[Tensor, "B B"]
    distractors: Tokens | None = None

    def __len__(self) -> int:
        return len(self.images)


Scores = dict[str, float]
"""What a metric found: a name to a number. "trained/exact" is shown in the row `exact`, the column `trained`."""
