"""Batches of real images with captions, shuffled anew in every epoch."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any
from zlib import crc32

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from limner.data.tokenizer import Tokenizer
from limner.errors import LimnerError
from limner.types import Batch, CaptionedImages, Tokens


class Batches:
    """An endless stream of `Batch`es from captioned images in memory.

    Every caption is tokenized once, beforehand. An epoch takes the images in a new order, each with one of its captions
    at random. If that caption is also true of the mirror image, the image is mirrored half of the time. Several
    processes get the same batches.

    On a GPU, batches are assembled there. Images that take at most a quarter of its free memory stay on it; others are
    copied from pinned memory, batch by batch. `fixed_length` keeps all captions at the longest length, so that every
    batch has the same shapes.
    """

    fixed_length = False

    def __init__(
        self,
        data: CaptionedImages,
        tokenizer: Tokenizer,
        batch_size: int,
        seed: int,
        device: torch.device | None = None,
    ):
        captioned = [i for i, annotations in enumerate(data.annotations) if any(a["caption"] for a in annotations)]
        if not captioned:
            raise LimnerError("No image of the data has a caption; there is nothing to learn from.")
        annotations = [[a for a in data.annotations[i] if a["caption"]] for i in captioned]
        flat = [a for group in annotations for a in group]
        self.device = device or torch.device("cpu")
        self.pixels: UInt8[Tensor, "N 3 H W"] = stay_on(self.device, data.pixels)
        self.image_rows = torch.tensor(captioned)
        self.first_caption = torch.tensor([0, *(len(group) for group in annotations)]).cumsum(0)
        tokens, distractors = _tokenize(flat, tokenizer)
        counts = counts_of_full(tokens, [a["caption"] for a in flat], tokenizer)
        self.truncated = sum(count > tokenizer.length for count in counts)  # captions
        self.longest = max(counts, default=0)  # tokens of the longest of them
        self.lengths = tokens.mask.sum(1)  # on the CPU, so that nothing waits for the device
        self.wrong_lengths = distractors and distractors[0].mask.sum(1)[distractors[1]].amax(1)  # of each caption
        self.tokens = tokens.to(self.device)
        self.distractors = distractors and (distractors[0].to(self.device), distractors[1].to(self.device))
        self.facts, self.asked = (part.to(self.device) for part in _meanings(data, captioned, annotations))
        self.mirrors = torch.tensor([bool(a.get("mirrors")) for a in flat])
        self.images, self.captions = len(captioned), len(flat)  # their numbers
        self.random = torch.Generator().manual_seed(seed)  # the order of the images
        own = int(torch.randint(2**62, (), generator=self.random))
        self.own_random = torch.Generator(self.device).manual_seed(own)  # the mismatched captions
        self.batch_size = min(batch_size, len(captioned))
        self.epoch = self.random.get_state()  # as this epoch began
        self.taken = self.skipped = 0  # batches taken of this epoch, and to skip in the next one that begins

    def __iter__(self) -> Iterator[Batch]:
        images = self.images
        while True:
            self.epoch = self.random.get_state()
            self.taken, self.skipped = self.skipped, 0
            order = torch.randperm(images, generator=self.random)
            chance = torch.rand(images, generator=self.random)
            first, last = self.first_caption[:-1], self.first_caption[1:]
            caption = first + (chance * (last - first)).long()  # one caption per image, anew in each epoch
            mirrored = self._mirrored(caption)
            for start in range(self.taken * self.batch_size, images - self.batch_size + 1, self.batch_size):
                rows = order[start : start + self.batch_size]
                self.taken += 1
                yield self.batch(rows, caption[rows], mirrored[rows])

    def state_dict(self) -> dict[str, Any]:
        """The position in the epoch, and what decides its order."""
        return {"epoch": self.epoch, "taken": self.taken}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue after the batch that was the last one at the time of `state_dict`."""
        self.random.set_state(state["epoch"].cpu())
        self.skipped = int(state["taken"])

    @cached_property
    def fingerprint(self) -> int:
        """A number that differs for other data: all captions, and a thousand of the images."""
        some = self.pixels[:: 1 + len(self.pixels) // 1000]
        return crc32(some.cpu().numpy().tobytes(), crc32(self.tokens.ids.cpu().numpy().tobytes()))

    def _mirrored(self, captions: Int[Tensor, " N"]) -> Bool[Tensor, " N"]:
        """Which images are mirrored in this epoch, each with this caption."""
        may = self.mirrors[captions]
        return may & (torch.rand(len(may), generator=self.random) < 0.5) if self.mirrors.any() else may

    def batch(self, images: Int[Tensor, " B"], captions: Int[Tensor, " B"], mirrored: Bool[Tensor, " B"]) -> Batch:
        """One batch: images (rows of the captioned ones), captions (rows of all captions), and which are mirrored."""
        pixels = send(self.pixels[send(self.image_rows[images], self.pixels.device)], self.device)
        first, last = self.first_caption[images], self.first_caption[images + 1]
        others = torch.where(captions + 1 < last, captions + 1, first)
        length = wrong_length = other_length = None  # the longest
        if not self.fixed_length:
            length = int(self.lengths[captions].max())
            other_length = int(self.lengths[others].max())
            wrong_length = None if self.wrong_lengths is None else int(self.wrong_lengths[captions].max())
        images, captions, others = (send(rows, self.device) for rows in (images, captions, others))
        distractors = None
        if self.distractors is not None:
            unique, rows = self.distractors
            distractors = unique[rearrange(rows[captions], "b k -> (b k)")].cut(wrong_length)
        confusable = true_of(self.asked[captions], self.facts[images])
        pixels = mirror(pixels, mirrored)
        tokens = self.tokens[captions].cut(length)
        return assemble(pixels, tokens, confusable, distractors, self.tokens[others].cut(other_length), self.own_random)


def assemble(
    pixels: UInt8[Tensor, "B 3 H W"],
    tokens: Tokens,
    confusable: Bool[Tensor, "B B"],
    distractors: Tokens | None,
    other_captions: Tokens,
    random: torch.Generator,
) -> Batch:
    """A batch of images with captions.

    `confusable`: which captions are true of which images; equal captions are added.
    """
    confusable |= (tokens.ids[:, None] == tokens.ids[None]).all(-1)
    confusable.fill_diagonal_(True)
    mismatched, has_mismatch = draw_mismatched(confusable, random)
    return Batch(
        images=to_float(pixels),
        tokens=tokens,
        mismatched=mismatched,
        has_mismatch=has_mismatch,
        confusable=confusable.fill_diagonal_(False),
        distractors=distractors,
        other_captions=other_captions,
    )


def mirror(pixels: UInt8[Tensor, "B 3 H W"], mirrored: Bool[Tensor, " B"]) -> UInt8[Tensor, "B 3 H W"]:
    """The images, those that are `mirrored` with left and right exchanged."""
    if not mirrored.any():
        return pixels
    return torch.where(send(mirrored, pixels.device)[:, None, None, None], pixels.flip(3), pixels)


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on a device. A copy to a GPU is made from pinned memory, so that nothing waits for it."""
    if device.type != "cuda" or tensor.is_cuda:
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def stay_on(device: torch.device, pixels: UInt8[Tensor, "N 3 H W"]) -> UInt8[Tensor, "N 3 H W"]:
    """All images on the GPU, if they take at most a quarter of its free memory; otherwise where they are."""
    if device.type != "cuda" or 4 * pixels.numel() > torch.cuda.mem_get_info(device)[0]:
        return pixels
    return pixels.to(device)


def to_float(pixels: UInt8[Tensor, "*N 3 H W"]) -> Float[Tensor, "*N 3 H W"]:
    """Bytes 0..255 to values in [-1, 1]."""
    return pixels.float().div_(127.5).sub_(1)


def to_bytes(images: Float[Tensor, "*N 3 H W"]) -> UInt8[Tensor, "*N 3 H W"]:
    """Values in [-1, 1] to bytes 0..255: the inverse of `to_float`."""
    return images.float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)


def true_of(asked: Int[Tensor, "C A"], facts: Int[Tensor, "I A"]) -> Bool[Tensor, "I C"]:
    """Whether caption c is true of image i: everything it asks for (not -1) is a fact of the image."""
    return ((asked[None] == -1) | (asked[None] == facts[:, None])).all(-1)


def draw_mismatched(
    confusable: Bool[Tensor, "B B"], random: torch.Generator
) -> tuple[Int[Tensor, " B"], Bool[Tensor, " B"]]:
    """For each image, the row of a random caption that is not true of it; and whether there is one."""
    chance = torch.rand(confusable.shape, generator=random, device=confusable.device).masked_fill(confusable, -1)
    best, row = chance.max(1)
    return row, best >= 0


def counts_of_full(tokens: Tokens, captions: Sequence[str], tokenizer: Tokenizer) -> list[int]:
    """The number of tokens of each caption that fills the tokenizer's length, and may be cut."""
    full = (tokens.mask.sum(1) == tokenizer.length).tolist()
    return [tokenizer.count(caption) for caption, is_full in zip(captions, full) if is_full]


def _tokenize(annotations: list[dict[str, Any]], tokenizer: Tokenizer) -> tuple[Tokens, tuple[Tokens, Tensor] | None]:
    """All captions as tokens; and their distractors as distinct token rows, with an index [captions, K] into them."""
    tokens = tokenizer([a["caption"] for a in annotations])
    count = min(len(a.get("distractors") or ()) for a in annotations)
    if count == 0:
        return tokens, None
    texts = [text for a in annotations for text in a["distractors"][:count]]
    row_of = {text: row for row, text in enumerate(dict.fromkeys(texts))}
    rows = torch.tensor([row_of[text] for text in texts])
    return tokens, (tokenizer(list(row_of)), rearrange(rows, "(c k) -> c k", k=count))


def _meanings(
    data: CaptionedImages, images: list[int], annotations: list[list[dict[str, Any]]]
) -> tuple[Int[Tensor, "I A"], Int[Tensor, "C A"]]:
    """Each image's facts and what each caption asks. If the data has none, the image's number stands for both."""
    entries: list[Any] = [data.coco.imgs[data.image_ids[i]] for i in images]
    if all("facts" in entry for entry in entries) and all("asked" in a for group in annotations for a in group):
        facts = torch.tensor([entry["facts"] for entry in entries])
        return facts, torch.tensor([a["asked"] for group in annotations for a in group])
    numbers = torch.arange(len(images))
    return numbers[:, None], numbers.repeat_interleave(torch.tensor([len(g) for g in annotations]))[:, None]
