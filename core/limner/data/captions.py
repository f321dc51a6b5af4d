"""Reading the MS-COCO captions layout through pycocotools; every defect raises an error that names it."""

import contextlib
import io
import re
from collections.abc import Mapping
from reprlib import repr as short
from typing import Any, cast

from pycocotools.coco import COCO

from limner.errors import LimnerError

LONGEST = 10_000
"""The letters that a caption may have. A longer one is no caption, and some tokenizers take minutes for it."""
SURROGATE = re.compile("[\ud800-\udfff]")


def coco_index(table: Mapping[str, Any], source: str) -> COCO:
    """A pycocotools index of a captions table {"images": [...], "annotations": [...]}.

    White space in captions, line breaks included, becomes single spaces; half of a surrogate pair becomes U+FFFD. An
    annotation without a caption has an empty one; if all lack one, this is an error. An annotation without an id gets
    its position. If ids are numbers in one list and texts in the other, those of the images are used. `source` names
    the table in messages.

    Raises:
        LimnerError: if a key is missing, an id occurs twice or is neither a number nor a text, an annotation belongs to
            no image of the table, or a caption is longer than `LONGEST`.
    """
    for key in ("images", "annotations"):
        if not isinstance(table.get(key), list):
            raise LimnerError(
                f"{source} is not in the COCO captions layout: it needs a list '{key}'; "
                "COCO's files are called captions_*.json."
            )
    annotations = [_tidy(a, n, source) for n, a in enumerate(table["annotations"])]
    if annotations and all(a.get("caption") is None for a in table["annotations"]):
        raise LimnerError(
            f"{source}: no annotation has a text 'caption', the first is {_shown(table['annotations'][0])}; "
            "a file of instances or keypoints is not a file of captions."
        )
    images = [_identified(image, source) for image in table["images"]]
    ids: set[Any] = set()
    for image in images:
        if image["id"] in ids:
            raise LimnerError(f"{source}: two images have the id {_shown(image['id'])}.")
        ids.add(image["id"])
    by_text = {str(number): number for number in ids}
    for annotation in annotations:
        number = annotation["image_id"]
        annotation["image_id"] = number if number in ids else by_text.get(str(number))
        if annotation["image_id"] is None:
            raise LimnerError(
                f"{source}: annotation {_shown(annotation['id'])} belongs to image {_shown(number)}, "
                "which the file does not list."
            )
    coco = COCO()
    # The stubs of pycocotools cover boxes and masks, but not captions.
    coco.dataset = cast(Any, {**table, "images": images, "annotations": annotations})
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
        coco.createIndex()
    return coco


def storable(text: str) -> str:
    """The text with U+FFFD for each half of a surrogate pair, which is left where a text was cut within an emoji."""
    return text if text.isascii() else SURROGATE.sub("\ufffd", text)


def _identified(image: Any, source: str) -> Mapping[str, Any]:
    """The image, with a whole number as its id if that is written as a float."""
    if isinstance(image, Mapping) and isinstance(image.get("file_name"), str):
        number = _id(image.get("id"))
        if number is not None:
            return image if number is image["id"] else {**image, "id": number}
    raise LimnerError(f"{source}: every image needs 'id' and 'file_name', this one has not: {_shown(image)}.")


def _tidy(annotation: Any, number: int, source: str) -> dict[str, Any]:
    if not isinstance(annotation, Mapping) or not isinstance(annotation.get("caption"), str | None):
        raise LimnerError(
            f"{source}: every annotation needs a text 'caption', this one has none: {_shown(annotation)}."
        )
    own = number if annotation.get("id") is None else _id(annotation["id"])
    if own is None:
        raise LimnerError(f"{source}: expected a number or a text as an annotation's id, got {_shown(annotation)}.")
    image = _id(annotation.get("image_id"))
    if image is None:
        raise LimnerError(f"{source}: annotation {_shown(own)} has no 'image_id'.")
    caption = annotation.get("caption") or ""
    if len(caption) > LONGEST:
        raise LimnerError(
            f"{source}: the caption of annotation {_shown(own)} has {len(caption)} letters, at most {LONGEST} are "
            f"read: {_shown(caption)}; make it shorter."
        )
    return {**annotation, "id": own, "image_id": image, "caption": " ".join(storable(caption).split())}


def _id(value: Any) -> int | str | None:
    """An id: a number or a text. A table that was written from a spreadsheet may have 1.0 for 1."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, (int, str)) else None


def _shown(value: Any) -> str:
    """A value for a message: its start, and no deeper than a message can show."""
    return f"{short(value):.120}".encode(errors="backslashreplace").decode()
