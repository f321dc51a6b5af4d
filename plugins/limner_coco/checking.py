"""Checks a folder of captioned images: what it holds, and what is missing or broken."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

from limner import LimnerError, coco_index
from tqdm import tqdm

from .decoding import safe_decoding, try_decode
from .finding import find
from .layouts import first_few, read_listing


@dataclass(frozen=True)
class Health:
    """The state of a folder, or of one split of it.

    `problem` says why it cannot be read at all; `notes` say what is left out; `missing` counts the image files that are
    missing, empty or broken.
    """

    name: str
    images: int = 0
    captions: int = 0
    per_image: str = ""
    longest: int = 0  # caption, in words
    missing: int = 0
    notes: tuple[str, ...] = ()
    problem: str | None = None

    @property
    def complete(self) -> bool:
        """Whether nothing is missing or broken."""
        return self.problem is None and not self.notes

    @property
    def lacks_files(self) -> bool:
        """Whether a download can help; it cannot fix an empty caption."""
        return self.problem is not None or self.missing > 0

    def sentences(self) -> list[str]:
        """What there is, and then what is wrong, one line each."""
        if self.problem:
            return [f"{self.name}: {self.problem}"]
        there = (
            f"{self.images} images, {self.captions} captions ({self.per_image} per image, at most {self.longest} words)"
        )
        notes = [f"  {note}." for note in self.notes]
        return [f"{self.name}: {there}{'' if notes else '; nothing is missing'}.", *notes]


def check(
    name: str, root: Path, split: str, captions: str | None = None, images: str | None = None, thorough: bool = False
) -> Health:
    """Checks a folder: every image file must be there, and with `thorough` each is decoded as training would do it."""
    try:
        listing = read_listing(root, split, captions, images)
        coco = coco_index(listing.table, str(listing.source))
    except LimnerError as error:
        return Health(name, problem=str(error))
    captions_of = {number: [cast(Any, a)["caption"] for a in coco.imgToAnns.get(number, ())] for number in coco.imgs}
    texts = [text for of_image in captions_of.values() for text in of_image if text]
    notes = [*listing.notes]
    if empty := sum(not text for of_image in captions_of.values() for text in of_image):
        notes.append(f"{empty} captions are empty")
    bare = [str(coco.imgs[number]["file_name"]) for number, of_image in captions_of.items() if not any(of_image)]
    notes += _named(bare, "images have no caption")
    found = find(listing.images, [str(image["file_name"]) for image in coco.imgs.values()])
    notes += _named([file.name for file in found if file.bytes < 0], f"images are missing from {listing.images}")
    notes += _named([file.name for file in found if file.bytes == 0], "image files are empty")
    missing = sum(file.bytes <= 0 for file in found)
    if thorough:
        present = [file for file in found if file.bytes > 0]
        with safe_decoding(), ThreadPoolExecutor() as pool:
            states = pool.map(partial(try_decode, size=64), [file.path for file in present])
            bar = tqdm(zip(present, states), total=len(present), desc=f"decoding {name}", unit=" images")
            broken = [f"{file.name} ({state})" for file, state in bar if isinstance(state, str)]
        notes += _named(broken, "images cannot be decoded")
        missing += len(broken)
    counts = Counter(sum(map(bool, of_image)) for of_image in captions_of.values() if any(of_image))
    per_image = "none" if not counts else f"{min(counts)} to {max(counts)}" if len(counts) > 1 else str(min(counts))
    longest = max((len(text.split()) for text in texts), default=0)
    problem = None if texts else f"{listing.source} holds no captioned image."
    return Health(name, len(captions_of), len(texts), per_image, longest, missing, tuple(notes), problem)


def _named(names: list[str], what: str) -> list[str]:
    """A note on these files, if there are any."""
    return [f"{len(names)} {what}: {first_few(names)}"] if names else []
