"""What a folder of captioned images holds, and what is missing or broken in it."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

from limner import LimnerError
from limner.data.captions import coco_index
from tqdm import tqdm

from .decoding import decode_or_say, within_reason
from .finding import find
from .layouts import read_listing, some


@dataclass(frozen=True)
class Health:
    """How a folder, or one split of it, does. `problem` is what keeps it from being read at all; `notes` are what is
    left out of it; `lacking` counts the image files that are missing, empty or broken.
    """

    name: str
    images: int = 0
    captions: int = 0
    per_image: str = ""
    longest: int = 0  # of the captions, in words
    lacking: int = 0
    notes: tuple[str, ...] = ()
    problem: str | None = None

    @property
    def whole(self) -> bool:
        """Whether nothing is missing or broken."""
        return self.problem is None and not self.notes

    @property
    def incomplete(self) -> bool:
        """Whether there is something to fetch; that a caption is empty, no fetching would mend."""
        return self.problem is not None or self.lacking > 0

    def sentences(self) -> list[str]:
        """What there is, and then what is wrong, a line each."""
        if self.problem:
            return [f"{self.name}: {self.problem}"]
        there = (
            f"{self.images} images, {self.captions} captions ({self.per_image} an image, {self.longest} words at most)"
        )
        notes = [f"  {note}." for note in self.notes]
        return [f"{self.name}: {there}{'' if notes else '; nothing is missing'}.", *notes]


def check(
    name: str, root: Path, split: str, captions: str | None = None, images: str | None = None, thorough: bool = False
) -> Health:
    """Look through a folder: every image file is looked for, and `thorough` has each decoded as training would."""
    try:
        listing = read_listing(root, split, captions, images)
        coco = coco_index(listing.table, str(listing.source))
    except LimnerError as error:
        return Health(name, problem=str(error))
    said = {number: [cast(Any, a)["caption"] for a in coco.imgToAnns.get(number, ())] for number in coco.imgs}
    texts = [text for of_image in said.values() for text in of_image if text]
    notes = [*listing.notes]
    if empty := sum(not text for of_image in said.values() for text in of_image):
        notes.append(f"{empty} captions are empty")
    bare = [str(coco.imgs[number]["file_name"]) for number, of_image in said.items() if not any(of_image)]
    notes += _named(bare, "images have no caption")
    found = find(listing.images, [str(image["file_name"]) for image in coco.imgs.values()])
    notes += _named([file.name for file in found if file.bytes < 0], f"images are missing from {listing.images}")
    notes += _named([file.name for file in found if file.bytes == 0], "image files are empty")
    lacking = sum(file.bytes <= 0 for file in found)
    if thorough:
        present = [file for file in found if file.bytes > 0]
        with within_reason(), ThreadPoolExecutor() as pool:
            states = pool.map(partial(decode_or_say, size=64), [file.path for file in present])
            bar = tqdm(zip(present, states), total=len(present), desc=f"decoding {name}", unit=" images")
            broken = [f"{file.name} ({state})" for file, state in bar if isinstance(state, str)]
        notes += _named(broken, "images cannot be decoded")
        lacking += len(broken)
    counts = Counter(sum(map(bool, of_image)) for of_image in said.values() if any(of_image))
    per_image = "none" if not counts else f"{min(counts)} to {max(counts)}" if len(counts) > 1 else str(min(counts))
    longest = max((len(text.split()) for text in texts), default=0)
    problem = None if texts else f"{listing.source} holds no captioned image."
    return Health(name, len(said), len(texts), per_image, longest, lacking, tuple(notes), problem)


def _named(names: list[str], what: str) -> list[str]:
    """A note on these files, if there are any."""
    return [f"{len(names)} {what}: {some(names)}"] if names else []
