"""Batches from a stream of captioned images, of which memory never holds more than the stream does."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from limner.data.batches import assemble, mirror, send, true_of
from limner.data.tokenizer import Tokenizer
from limner.errors import LimnerError
from limner.types import Batch, ImageStream, StreamedImage

CHUNK = 10_000  # captions whose tokens are counted at a time
MOST = 200_000  # captions from which a tokenizer learns


class StreamedBatches:
    """An endless stream of `Batch`es, with the interface of `Batches`.

    Each process reads its own stream, one epoch after the other, and a batch may reach into the next epoch. Everything
    random about an epoch follows from the seed, the process and the number of the epoch. So a position is a number of
    batches, and no epoch before it has to be read again.

    Captions are tokenized batch by batch; `fixed_length` pads all to the tokenizer's length. In place of an image that
    cannot be used, another one of the batch occurs twice.
    """

    fixed_length = False

    def __init__(
        self,
        stream: ImageStream,
        tokenizer: Tokenizer,
        batch_size: int,
        seed: int,
        device: torch.device | None = None,
        rank: int = 0,
        processes: int = 1,
    ):
        self.stream, self.tokenizer, self.seed = stream, tokenizer, seed
        self.device = device or torch.device("cpu")
        self.batch_size, self.rank, self.processes = batch_size, rank, processes
        self.rows = len(range(rank, batch_size, processes))  # of a batch, for this process
        self.some_captions = some_captions(stream)
        self.captions = len(self.some_captions)  # the number of them
        self.fingerprint = stream.fingerprint
        self.own_random = torch.Generator(self.device).manual_seed(self._seed(0))
        self.made = 0  # batches

    def __iter__(self) -> Iterator[Batch]:
        images = self._images(self.made * self.rows)
        while True:
            rows = list(islice(images, self.rows))
            self.made += 1
            yield self._batch(rows)

    def state_dict(self) -> dict[str, Any]:
        """The position: it is the same in all processes."""
        return {"made": self.made}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue after the batch that was the last one at the time of `state_dict`."""
        self.made = int(state["made"])

    @property
    def truncated(self) -> int:
        """The number of these captions that have more tokens than the tokenizer's length."""
        return sum(count > self.tokenizer.length for count in self._counts)

    @property
    def longest(self) -> int:
        """The tokens of the longest of them; 0 if none reaches the tokenizer's length."""
        return max(self._counts, default=0)

    @cached_property
    def _counts(self) -> list[int]:
        """The tokens of each caption that reaches the tokenizer's length."""
        counts = []
        for start in range(0, len(self.some_captions), CHUNK):
            captions = self.some_captions[start : start + CHUNK]
            full = (self.tokenizer(captions).mask.sum(1) == self.tokenizer.length).tolist()
            counts += [self.tokenizer.count(caption) for caption, is_full in zip(captions, full) if is_full]
        return counts

    def _seed(self, number: int) -> int:
        """The seed of this process's epoch of that number, from 1 on."""
        return int(np.random.SeedSequence([self.seed, self.rank, number]).generate_state(1, np.uint64)[0])

    def _images(self, start: int) -> Iterator[tuple[StreamedImage | None, Float[Tensor, " 2"]]]:
        """All images from a position on, each with two random numbers: they pick its caption, and whether to mirror."""
        number, start = divmod(start, self.stream.images)
        while True:
            number += 1
            random = torch.Generator().manual_seed(self._seed(number))
            chances = torch.rand(self.stream.images, 2, generator=random)
            yield from zip(self.stream.epoch(random, start), chances[start:], strict=True)
            start = 0

    def _batch(self, read: list[tuple[StreamedImage | None, Float[Tensor, " 2"]]]) -> Batch:
        usable = [(image, chance) for image, chance in read if image is not None]
        if not usable:
            raise LimnerError("No image of a whole batch can be used; check the data.")
        used = [usable[row % len(usable)] for row in range(len(read))]
        images = [image for image, _ in used]
        chances = torch.stack([chance for _, chance in used])
        annotations = [
            image.annotations[int(chance * len(image.annotations))]
            for image, chance in zip(images, chances[:, 0].tolist())
        ]
        mirrored = torch.tensor([bool(a.get("mirrors")) for a in annotations]) & (chances[:, 1] < 0.5)
        pixels = mirror(send(torch.stack([image.pixels for image in images]), self.device), mirrored)
        tokens = self.tokenizer([a["caption"] for a in annotations], full=self.fixed_length).to(self.device)
        distractors = None
        if count := min(len(a.get("distractors") or ()) for a in annotations):
            texts = [text for a in annotations for text in a["distractors"][:count]]
            distractors = self.tokenizer(texts, full=self.fixed_length).to(self.device)
        confusable = true_of(*(send(part, self.device) for part in _meanings(images, annotations)))
        return assemble(pixels, tokens, None, confusable, distractors, self.own_random)


def some_captions(stream: ImageStream) -> list[str]:
    """Captions from all over a stream, from which a tokenizer can learn: all of them, or more than half of `MOST`."""
    return list(stream.captions[:: 1 + (len(stream.captions) - 1) // MOST])


def _meanings(images: list[StreamedImage], annotations: list[dict[str, Any]]) -> tuple[Tensor, Tensor]:
    """What each caption asks, and each image's facts. If one of them has none, the image's number stands for both."""
    if all(image.facts for image in images) and all("asked" in a for a in annotations):
        return torch.tensor([a["asked"] for a in annotations]), torch.tensor([image.facts for image in images])
    numbers = rearrange(torch.tensor([image.number for image in images]), "b -> b 1")
    return numbers, numbers
