"""Shards read as a stream, in an order that only the buffer and the seed decide."""

import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, islice
from typing import Any
from zlib import crc32

import torch
from jaxtyping import UInt8
from limner import ImageStream, LimnerError, StreamedImage, decode_images
from torch import Tensor

from .listing import Shard
from .tars import Sample, read_samples

CHUNK = 64  # images decoded at a time
SIDES = re.compile(r"\b(left|right|(counter|anti)?-?clockwise)", re.IGNORECASE)
"""Words of a caption that are not true of the mirror image."""


def shuffled(count: int, buffer: int, random: torch.Generator) -> Iterator[int]:
    """The numbers below `count` in the order in which a shuffle buffer returns them.

    The buffer holds the first numbers. Again and again, one of them is drawn, and the next number takes its place. So
    no number is returned before all numbers that are smaller by `buffer` or more were put into it.
    """
    held = list(range(min(buffer, count)))
    for following, chance in enumerate(torch.rand(count, generator=random, dtype=torch.float64).tolist(), len(held)):
        place = int(chance * len(held))
        yield held[place]
        last = held.pop() if following >= count else following
        if place < len(held):
            held[place] = last


class Bad:
    """Counts the images that cannot be decoded, and refuses too many of them."""

    def __init__(self, images: int, allowed: float):
        """`images`: all that there are; `allowed`: the fraction that may be bad."""
        self.images, self.allowed = images, allowed
        self.found: set[int] = set()

    def add(self, number: int, what: str) -> None:
        """Note a bad image once, with a warning for the first, the tenth, the hundredth, and so on.

        Raises:
            LimnerError: if there are now too many.
        """
        if number in self.found:
            return
        self.found.add(number)
        count = f"{len(self.found)} of {self.images} images cannot be decoded"
        if len(self.found) > self.allowed * self.images:
            raise LimnerError(
                f"{count}, the last is {what}. This is more than data.bad_images = {self.allowed:.0%}; "
                "write that shard again, or allow more."
            )
        if set(str(len(self.found))[1:]) <= {"0"} and str(len(self.found))[0] == "1":
            warnings.warn(f"{count}, the last is {what}; they are left out.", stacklevel=2)


class ShardStream(ImageStream):
    """The shards of one process. Its memory holds `buffer` decoded images, and those that are being decoded.

    An epoch reads the shards one after the other, in a random order, through a shuffle buffer (`shuffled`). The order
    is known before anything is read. An epoch that starts in its middle therefore reads again only what the buffer
    held, and decodes nothing else.
    """

    def __init__(
        self,
        shards: Sequence[Shard],
        size: int,
        buffer: int,
        bad: Bad,
        mirror: bool = False,
        process: int = 0,
        processes: int = 1,
    ):
        """
        Args:
            shards: of all processes.
            size: width and height of the squares, in pixels.
            buffer: the images that the shuffle buffer holds; with 1, shards and images stay in order.
            bad: counts the images that cannot be decoded.
            mirror: whether images are mirrored, but none whose caption says left or right.
            process: the number of this process, from 0 on. It reads each `processes`-th shard.
            processes: how many there are.

        Raises:
            LimnerError: if there are fewer shards than processes.
        """
        if len(shards) < processes:
            raise LimnerError(
                f"data.root: {len(shards)} shards cannot be shared by {processes} processes; write at least "
                f"{processes} shards, or start at most {len(shards)} processes."
            )
        self.size, self.buffer, self.bad, self.mirror = size, buffer, bad, mirror
        firsts = accumulate((len(shard.captions) for shard in shards), initial=0)
        self.shards = list(zip(firsts, shards))[process::processes]  # each with the number of its first image
        self.images = sum(len(shard.captions) for _, shard in self.shards)
        self.captions = [text for shard in shards for of_image in shard.captions for text in of_image]
        self.fingerprint = 0
        for shard in shards:
            self.fingerprint = crc32(f"{shard.path.name} {shard.size} {shard.captions}".encode(), self.fingerprint)

    def epoch(self, random: torch.Generator, start: int = 0) -> Iterator[StreamedImage | None]:
        order = torch.randperm(len(self.shards), generator=random).tolist()
        shards = [self.shards[place] for place in (order if self.buffer > 1 else sorted(order))]
        places = list(shuffled(self.images, self.buffer, random))
        taken = set(places[:start])
        reader = self._read(shards, lambda place: place not in taken)
        held: dict[int, StreamedImage | None] = {}
        for wanted in places[start:]:
            while wanted not in held:
                place, image = next(reader)
                held[place] = image
            yield held.pop(wanted)

    def first(self, count: int) -> list[StreamedImage]:
        """The first images in order, without those that cannot be used."""
        return [image for _, image in self._read(self.shards, lambda place: place < count) if image is not None]

    def _read(
        self, shards: Sequence[tuple[int, Shard]], wanted: Callable[[int], bool]
    ) -> Iterator[tuple[int, StreamedImage | None]]:
        """The wanted images, each with its place among all images of these shards."""
        start = 0
        for first, shard in shards:
            places = range(start, start + len(shard.captions))
            start = places.stop
            if not any(map(wanted, places)):
                continue
            chosen = ((place, sample) for place, sample in zip(places, _samples(shard)) if wanted(place))
            while chunk := list(islice(chosen, CHUNK)):
                squares = decode_images([sample.image for _, sample in chunk], self.size)
                for (place, sample), square in zip(chunk, squares):
                    number = first + place - places.start
                    if isinstance(square, str):
                        self.bad.add(number, f"{sample.name} of {shard.path} ({square})")
                        yield place, None
                    else:
                        yield place, self._streamed(number, sample, torch.from_numpy(square))

    def _streamed(self, number: int, sample: Sample, pixels: UInt8[Tensor, "3 H W"]) -> StreamedImage:
        annotations: list[dict[str, Any]] = [
            {"mirrors": self.mirror and not SIDES.search(a["caption"])} | a for a in sample.annotations
        ]
        return StreamedImage(number, pixels, annotations, sample.facts)


def _samples(shard: Shard) -> Iterator[Sample]:
    """The usable samples of a shard.

    Raises:
        LimnerError: if there are not as many as when its captions were read.
    """
    count = 0
    for sample in read_samples(shard.path):
        if isinstance(sample, Sample):
            count += 1
            yield sample
    if count != len(shard.captions):
        raise LimnerError(
            f"{shard.path} has {count} captioned images now, and had {len(shard.captions)}; resume the training when "
            "the shard is as it was, or train a new run."
        )
