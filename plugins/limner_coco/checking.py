"""Checks a folder of captioned images: what it holds, and what is missing or broken."""

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from limner import LimnerError, Recipe, Tokenizer, coco_index, decode_images, host, visible_files
from tqdm import tqdm

from .beside import IMAGE_ENDINGS, UNDECODED
from .finding import find
from .layouts import read_listing
from .listing import Listing, first_few
from .store import at_home

COUNTED = 50_000  # captions whose tokens are counted without `thorough`
CHUNK = 256  # images decoded at a time


@dataclass(frozen=True)
class Health:
    """The state of a folder, or of one split of it.

    `problem` says why it cannot be read at all; `notes` say what is left out though it should not be, and `remarks`
    what else is left out; `missing` counts the image files that are missing, empty or broken.
    """

    name: str
    images: int = 0
    captions: int = 0
    per_image: str = ""
    longest: int = 0  # caption, in words
    missing: int = 0
    notes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    problem: str | None = None

    @property
    def complete(self) -> bool:
        """Whether nothing is missing or broken."""
        return self.problem is None and not self.notes

    @property
    def lacks_files(self) -> bool:
        """Whether a download can help; it cannot fix an empty caption."""
        return self.problem is not None or self.missing > 0

    def table(self) -> dict[str, Any]:
        """Everything by name, for JSON."""
        return {**asdict(self), "complete": self.complete}

    def sentences(self) -> list[str]:
        """What there is, and then what is wrong, one line each."""
        if self.problem:
            return [f"{self.name}: {self.problem}"]
        there = (
            f"{self.images} images, {self.captions} captions ({self.per_image} per image, at most {self.longest} words)"
        )
        notes = [f"  {note}." for note in (*self.notes, *self.remarks)]
        return [f"{self.name}: {there}{'' if self.notes else '; nothing is missing'}.", *notes]


def check(
    name: str, root: Path, split: str, captions: str | None = None, images: str | None = None, thorough: bool = False
) -> Health:
    """Checks a folder: every image file must be there, and with `thorough` each is decoded as training would do it."""
    try:
        root = at_home(str(root), "--root")
        listing = read_listing(root, split, captions, images)
        coco = coco_index(listing.table, str(listing.source))
        found = find(listing.images, [str(image["file_name"]) for image in coco.imgs.values()], root)
    except LimnerError as error:
        return Health(name, problem=str(error))
    captions_of = {number: [cast(Any, a)["caption"] for a in coco.imgToAnns.get(number, ())] for number in coco.imgs}
    texts = [text for of_image in captions_of.values() for text in of_image if text]
    notes = [*listing.notes]
    if empty := sum(not text for of_image in captions_of.values() for text in of_image):
        notes.append(f"{empty} captions are empty")
    bare = [str(coco.imgs[number]["file_name"]) for number, of_image in captions_of.items() if not any(of_image)]
    notes += _named(bare, "images have no caption")
    notes += _named([file.name for file in found if file.bytes < 0], f"images are missing from {listing.images}")
    notes += _named(
        [file.name for file in found if not file.is_file], "images are folders, pipes or devices, not files"
    )
    present = [file for file in found if file.bytes >= 0 and file.is_file]
    notes += _named([file.name for file in present if file.bytes == 0], "image files are empty")
    undecoded = [file.name for file in present if file.path.suffix.lower() in UNDECODED and file.bytes]
    notes += _named(undecoded, "images are in a format that is not decoded and should be saved as PNG or JPEG")
    missing = len(found) - sum(file.bytes > 0 for file in present)
    if thorough:
        broken = []
        present = [file for file in present if file.bytes and file.name not in undecoded]
        with tqdm(total=len(present), desc=f"decoding {name}", unit=" images") as bar:
            for first in range(0, len(present), CHUNK):
                chunk = present[first : first + CHUNK]
                states = decode_images([file.path for file in chunk], 64)
                broken += [f"{file.name} ({state})" for file, state in zip(chunk, states) if isinstance(state, str)]
                bar.update(len(chunk))
        notes += _named(broken, "images cannot be decoded")
        missing += len(broken)
    remarks = [*listing.remarks, *_unlisted(listing, {file.path.name for file in found})]
    if texts and (thorough or len(texts) <= COUNTED):
        remarks += _cut(texts)
    counts = Counter(sum(map(bool, of_image)) for of_image in captions_of.values() if any(of_image))
    per_image = "none" if not counts else f"{min(counts)} to {max(counts)}" if len(counts) > 1 else str(min(counts))
    longest = max((len(text.split()) for text in texts), default=0)
    problem = None if texts else f"{listing.source} holds no captioned image."
    return Health(
        name, len(captions_of), len(texts), per_image, longest, missing, tuple(notes), tuple(remarks), problem
    )


def _unlisted(listing: Listing, names: set[str]) -> list[str]:
    """A remark on images in the folder that the listing does not name."""
    if not listing.source.is_file():
        return []
    unlisted = [
        path.name
        for path in visible_files(listing.images)
        if path.name not in names and path.suffix.lower() in IMAGE_ENDINGS
    ]
    return _named(unlisted, f"images of {listing.images} are not in {listing.source.name} and are not used")


def _cut(captions: list[str]) -> list[str]:
    """A remark on captions that are longer than the recipe `coco` reads."""
    text = Recipe.read(host(), "coco").text
    lengths = [len(ids) for ids in Tokenizer.learn(captions, text).inner(captions)["input_ids"]]
    longer = sum(length > text.length for length in lengths)
    if not longer:
        return []
    return [
        f"{longer} of {len(captions)} captions are longer than text.length = {text.length} tokens of the recipe coco "
        f"and are cut; set text.length to at least {max(lengths)}"
    ]


def _named(names: list[str], what: str) -> list[str]:
    """A note on these files, if there are any."""
    return [f"{len(names)} {what}: {first_few(names)}"] if names else []
