"""Data of any size, streamed from shards."""

import warnings
from functools import cached_property
from typing import Annotated, Any

import torch
from limner import CaptionedImages, Dataset, LimnerError, coco_index
from pydantic import Field

from .listing import Shard, find_shards, first_few, read_shards
from .stream import Bad, ShardStream


class Shards(Dataset):
    """Captioned images in tar files, in the layout of WebDataset, which are read as a stream.

    `tars` describes the layout. Memory holds all captions, but of the images only those in the shuffle buffer. With
    several processes, each reads its own shards. Images of any size and mode become RGB squares, as those of a folder
    do. Metrics compare with the first `measured` images; a recipe that names other shards measures on these.

    Images without a caption, captions without an image, and images that cannot be decoded are left out with a warning
    that counts them, up to the fraction `bad_images`.
    """

    def __init__(
        self,
        image_size: int,
        *,
        root: str,
        shuffle: Annotated[int, Field(ge=1)] = 2000,
        measured: Annotated[int, Field(ge=1)] = 2000,
        mirror: bool = False,
        bad_images: Annotated[float, Field(ge=0, le=1)] = 0.01,
    ):
        """
        Args:
            image_size: width and height of the squares, in pixels.
            root: the folder of the shards, one shard, or a pattern such as "data/shard-{000000..000019}.tar".
            shuffle: the images in the shuffle buffer; with 1, shards and images stay in order.
            measured: how many images, from the first on, metrics compare with.
            mirror: whether training mirrors half of the images, but none whose caption says left or right (or
                clockwise) in English; leave it off for other languages, and if images show writing.
            bad_images: the fraction of images that may be without caption or broken.
        """
        super().__init__(image_size)
        self.root, self.shuffle, self.measured = root, shuffle, measured
        self.mirror, self.bad_images = mirror, bad_images
        self._loaded: CaptionedImages | None = None

    @cached_property
    def shards(self) -> list[Shard]:
        """All shards, with their captions.

        Raises:
            LimnerError: if one is missing or damaged, or if too many of their images cannot be used.
        """
        shards = read_shards(find_shards(self.root))
        problems = [f"{shard.path}: {problem}" for shard in shards for problem in shard.problems]
        if problems:
            count = sum(len(shard.captions) for shard in shards) + len(problems)
            told = f"{len(problems)} of {count} keys cannot be used: {first_few(problems)}"
            if len(problems) > self.bad_images * count:
                raise LimnerError(
                    f"{told}. This is more than data.bad_images = {self.bad_images:.0%}; put the files of a key side "
                    "by side, or allow more."
                )
            warnings.warn(f"{told}. They are left out.", stacklevel=4)
        return shards

    @cached_property
    def _bad(self) -> Bad:
        return Bad(sum(len(shard.captions) for shard in self.shards), self.bad_images)

    def stream(self, process: int = 0, processes: int = 1) -> ShardStream:
        return ShardStream(self.shards, self.image_size, self.shuffle, self._bad, self.mirror, process, processes)

    def load(self) -> CaptionedImages:
        if self._loaded is None:
            self._loaded = self._first()
        return self._loaded

    def _first(self) -> CaptionedImages:
        """The first images, in memory."""
        read = self.stream().first(self.measured)
        if not read:
            raise LimnerError(f"data.root: none of the first {self.measured} images of {self.root} can be decoded.")
        images: list[dict[str, Any]] = [
            {"id": image.number, "file_name": f"{image.number:08d}"} | ({"facts": image.facts} if image.facts else {})
            for image in read
        ]
        annotations = [a | {"image_id": image.number} for image in read for a in image.annotations]
        coco = coco_index({"images": images, "annotations": annotations}, self.root)
        return CaptionedImages(torch.stack([image.pixels for image in read]), coco, [image.number for image in read])

    def preview_prompts(self) -> list[str]:
        captions = list(dict.fromkeys(of_image[0] for shard in self.shards for of_image in shard.captions))
        count = min(8, len(captions))
        return [captions[place * len(captions) // count] for place in range(count)]
