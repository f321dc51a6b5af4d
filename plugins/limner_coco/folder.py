"""Captioned images from a folder; every image is decoded only once."""

import hashlib
import json
import re
import warnings
from collections.abc import Mapping
from typing import Annotated, Any, cast

from limner import CaptionedImages, Dataset, LimnerError, coco_index
from pycocotools.coco import COCO
from pydantic import Field

from .finding import find
from .layouts import read_listing
from .listing import Listing, first_few
from .store import PixelStore, at_home, store_folder

SIDES = re.compile(r"\b(left|right|(counter|anti)?-?clockwise)", re.IGNORECASE)
"""Words of a caption that are not true of the mirror image."""

Wanted = dict[str, str | int | float | bool]


class CaptionedFolder(Dataset):
    """The images and captions of a folder: MS-COCO's, another published set, or your own as a table or as text files.

    `layouts.read_listing` lists the known layouts. Images of any size, mode and shape become RGB squares: they are
    turned upright, cropped at the center, and resized with a Lanczos filter; transparent parts become white. The
    squares are kept in a file (`store`) that is mapped into memory. Making it takes a while and shows a progress bar;
    it can be stopped at any moment and resumes. After that, no image is decoded again unless it changed.

    Broken or missing images are left out with a warning that names them, up to the fraction `bad_images` of all images.
    """

    def __init__(
        self,
        image_size: int,
        *,
        root: str,
        split: str = "train2017",
        captions: str | None = None,
        images: str | None = None,
        mirror: bool = False,
        images_with: Wanted = {},  # noqa: B006
        captions_with: Wanted = {},  # noqa: B006
        bad_images: Annotated[float, Field(ge=0, le=1)] = 0.01,
        limit: Annotated[int, Field(ge=1)] | None = None,
        cache: str | None = None,
    ):
        """
        Args:
            image_size: width and height of the squares, in pixels.
            root: the folder.
            split: which split of a folder in MS-COCO's own layout.
            captions: the file of captions in the root, if it is not found automatically.
            images: the folder of images in the root, if it is not found automatically.
            mirror: whether training mirrors half of the images, but none whose caption says left or right (or
                clockwise) in English; leave it off for other languages, and if images show writing.
            images_with: use only images with these keys or columns, such as {split = "dev"}.
            captions_with: use only captions with these keys or columns, such as {kind = "unicode_name"}.
            bad_images: the fraction of images that may be missing or broken.
            limit: use only the first `limit` images.
            cache: the folder for the prepared squares; by default `.limner` in the root, or, if that is not writable,
                `.cache/limner` in the home folder.
        """
        super().__init__(image_size)
        self.root, self.split = at_home(root, "data.root"), split
        self.captions, self.images, self.mirror = captions, images, mirror
        self.images_with, self.captions_with = images_with, captions_with
        self.bad_images, self.limit, self.cache = bad_images, limit, cache
        self._loaded: CaptionedImages | None = None

    def load(self) -> CaptionedImages:
        if self._loaded is None:
            self._loaded = self._read()
        return self._loaded

    def _read(self) -> CaptionedImages:
        listing = read_listing(self.root, self.split, self.captions, self.images)
        coco = coco_index(listing.table, str(listing.source))
        notes = [*listing.notes, *listing.remarks]
        numbers = self._captioned(coco, listing, notes)
        names = [coco.imgs[number]["file_name"] for number in numbers]
        folder, prefix = store_folder(self.root, self.cache)
        images, root = listing.images.resolve(), self.root.resolve()
        place = images.relative_to(root) if images.is_relative_to(root) else images  # the root may move with its store
        store = PixelStore(folder, prefix + self._store_name(listing), self.image_size, place.as_posix())
        prepared = store.prepare(find(listing.images, names, self.root))
        broken = [f"{listing.images / n} ({p})" for n, p in zip(names, prepared.problems) if p is not None]
        if broken:
            count = f"{len(broken)} of {len(names)} images cannot be used: {first_few(broken)}"
            if len(broken) > self.bad_images * len(names):
                raise LimnerError(
                    f"{count}. This is more than data.bad_images = {self.bad_images:.0%}; fix them, or allow more."
                )
            if len(broken) == len(names):
                raise LimnerError(f"{count}.")
            notes.append(f"{count}. They are left out")
        for note in notes:
            warnings.warn(f"{note}.", stacklevel=4)
        return CaptionedImages(prepared.pixels, coco, [n for n, p in zip(numbers, prepared.problems) if p is None])

    def _captioned(self, coco: COCO, listing: Listing, notes: list[str]) -> list[Any]:
        """The ids of the images to use, all with captions; removes the captions that are not used from `coco`."""
        images = select(list(coco.imgs.values()), self.images_with, f"data.images_with: {listing.source}: no image")
        every = [cast(Any, a) for image in images for a in coco.imgToAnns.get(image["id"], ())]
        captioned = [a for a in every if a["caption"]]
        if empty := len(every) - len(captioned):
            notes.append(f"{empty} of {len(every)} captions of {listing.source} are empty and left out")
        used = select(captioned, self.captions_with, f"data.captions_with: {listing.source}: no caption")
        coco.imgToAnns.clear()
        for annotation in used:
            annotation["mirrors"] = self.mirror and not SIDES.search(annotation["caption"])
            coco.imgToAnns[annotation["image_id"]].append(annotation)
        numbers = [image["id"] for image in images if image["id"] in coco.imgToAnns]
        if not numbers:
            raise LimnerError(f"{listing.source} holds no captioned image.")
        if not self.captions_with and (bare := [i["file_name"] for i in images if i["id"] not in coco.imgToAnns]):
            notes.append(f"{len(bare)} of {len(images)} images have no caption and are left out: {first_few(bare)}")
        return numbers[: self.limit]

    def _store_name(self, listing: Listing) -> str:
        """A name for each selection of images; `limit` makes no difference."""
        name = re.sub(r"[^\w.-]", "_", listing.source.stem)[:40] if listing.source.is_file() else "texts"
        if not self.images_with and not self.captions_with and not self.images:
            return name
        wanted = json.dumps([self.images_with, self.captions_with, self.images], sort_keys=True)
        return f"{name}-{hashlib.sha256(wanted.encode()).hexdigest()[:8]}"


def select(entries: list[Any], wanted: Mapping[str, Any], where: str) -> list[Any]:
    """The entries that have all the wanted keys with these values. Values are compared as text.

    Raises:
        LimnerError: if there is none. The message starts with `where` and lists the values that exist.
    """
    for key, value in wanted.items():
        fitting = [entry for entry in entries if key in entry and str(entry[key]) == str(value)]
        if entries and not fitting:
            there = list(dict.fromkeys(str(entry[key]) for entry in entries if key in entry))
            shown = (
                f"there is {', '.join(there[:8])}{', ...' if len(there) > 8 else ''}" if there else "none has that key"
            )
            raise LimnerError(f"{where} has {key} = {value!r}; {shown}.")
        entries = fitting
    return entries
