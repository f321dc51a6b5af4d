"""Batches from a stream of captioned images, of which memory never holds more than the stream does."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from limner.data.batches import assemble, counts_of_full, mirror, send, true_of
from limner.data.tokenizer import Tokenizer
from limner.errors import LimnerError
from limner.shared_rows import AllRows
from limner.types import Batch, ImageStream, StreamedImage, Tokens

CHUNK = 10_000  # captions whose tokens are counted at a time
MOST = 200_000  # captions from which a tokenizer learns

Row = tuple[int, list[int] | None, dict[str, Any], str]
"""The number of an image, its facts, the caption that was drawn, and the text of another one."""


class StreamedBatches:
    """An endless stream of `Batch`es, with the interface of `Batches`.

    A batch may reach into the next epoch. Each process reads its own stream, for its own rows, and then gathers those
    of all, so that every process has the whole batch. Everything random about an epoch follows from the seed, the
    process and the number of the epoch. So a position is a number of batches, and no earlier epoch is read again.

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
        shared: AllRows = AllRows(),  # noqa: B008
    ):
        self.stream, self.tokenizer, self.seed = stream, tokenizer, seed
        self.device = device or torch.device("cpu")
        self.batch_size, self.shared = batch_size, shared
        self.rows = len(range(shared.rank, batch_size, shared.processes))  # of a batch, for this process
        self.some_captions = some_captions(stream)
        self.images, self.captions = stream.images * shared.processes, len(self.some_captions)  # their numbers
        self.fingerprint = stream.fingerprint
        self.own_random = torch.Generator(self.device).manual_seed(seed_of(seed))  # the mismatched captions
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
            counts += counts_of_full(self.tokenizer(captions), captions, self.tokenizer)
        return counts

    def _images(self, start: int) -> Iterator[tuple[StreamedImage | None, Float[Tensor, " 2"]]]:
        """All images from a position on, each with two random numbers: they pick its caption, and whether to mirror."""
        number, start = divmod(start, self.stream.images)
        while True:
            number += 1
            random = torch.Generator().manual_seed(seed_of(self.seed, self.shared.rank, number))
            chances = torch.rand(self.stream.images, 2, generator=random)
            yield from zip(self.stream.epoch(random, start), chances[start:], strict=True)
            start = 0

    def _batch(self, read: list[tuple[StreamedImage | None, Float[Tensor, " 2"]]]) -> Batch:
        usable = [(image, chance) for image, chance in read if image is not None]
        if not usable:
            raise LimnerError("No image of a whole batch can be used; check the data.")
        used = [usable[row % len(usable)] for row in range(len(read))]
        rows, mirrored = [], []
        for image, (choice, chance) in ((image, chances.tolist()) for image, chances in used):
            drawn = int(choice * len(image.annotations))
            annotation = image.annotations[drawn]
            other = image.annotations[(drawn + 1) % len(image.annotations)]["caption"]
            rows.append((image.number, image.facts, annotation, other))
            mirrored.append(bool(annotation.get("mirrors")) and chance < 0.5)
        own = send(torch.stack([image.pixels for image, _ in used]), self.device)
        pixels = self.shared.gather(mirror(own, torch.tensor(mirrored)), self.batch_size)
        return self._whole(pixels, self.shared.gather_values(rows, self.batch_size))

    def _whole(self, pixels: UInt8[Tensor, "B 3 H W"], rows: list[Row]) -> Batch:
        """The batch of all processes."""
        annotations, others = [row[2] for row in rows], [row[3] for row in rows]
        tokens = self._tokens([a["caption"] for a in annotations])
        distractors = None
        if count := min(len(a.get("distractors") or ()) for a in annotations):
            distractors = self._tokens([text for a in annotations for text in a["distractors"][:count]])
        confusable = true_of(*(send(part, self.device) for part in _meanings(rows)))
        return assemble(pixels, tokens, confusable, distractors, self._tokens(others), self.own_random)

    def _tokens(self, texts: list[str]) -> Tokens:
        return self.tokenizer(texts, full=self.fixed_length).to(self.device)


def seed_of(*numbers: int) -> int:
    """A seed that follows from other numbers, none of them negative."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])


def some_captions(stream: ImageStream) -> list[str]:
    """Captions from all over a stream, from which a tokenizer can learn: all of them, or more than half of `MOST`."""
    return list(stream.captions[:: 1 + (len(stream.captions) - 1) // MOST])


def _meanings(rows: list[Row]) -> tuple[Tensor, Tensor]:
    """What each caption asks, and each image's facts. If one of them has none, the image's number stands for both."""
    if all(facts and "asked" in annotation for _, facts, annotation, _ in rows):
        return torch.tensor([row[2]["asked"] for row in rows]), torch.tensor([row[1] for row in rows])
    numbers = torch.tensor([row[:1] for row in rows])
    return numbers, numbers
