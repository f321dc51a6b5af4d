"""Reading the MS-COCO captions layout through pycocotools; every defect raises an error that names it."""

import contextlib
import io
from collections.abc import Mapping
from typing import Any, cast

from pycocotools.coco import COCO

from limner.errors import LimnerError


def coco_index(table: Mapping[str, Any], source: str) -> COCO:
    """A pycocotools index of a captions table {"images": [...], "annotations": [...]}.

    White space in captions, line breaks included, becomes single spaces. An annotation without a caption has an empty
    one; if all lack one, this is an error. An annotation without an id gets its position. `source` names the table in
    messages.

    Raises:
        LimnerError: if a key is missing, an id occurs twice, or an annotation belongs to no image of the table.
    """
    for key in ("images", "annotations"):
        if not isinstance(table.get(key), list):
            raise LimnerError(
                f"{source} is not in the COCO captions layout: it needs a list '{key}'; "
                "COCO's files are called captions_*.json."
            )
    coco = COCO()
    # The stubs of pycocotools cover boxes and masks, but not captions.
    coco.dataset = cast(
        Any, {**table, "annotations": [_tidy(a, n, source) for n, a in enumerate(table["annotations"])]}
    )
    if table["annotations"] and all(a.get("caption") is None for a in table["annotations"]):
        raise LimnerError(
            f"{source}: no annotation has a text 'caption', the first is {table['annotations'][0]!r:.120}; "
            "a file of instances or keypoints is not a file of captions."
        )
    ids: set[Any] = set()
    for image in table["images"]:
        named = isinstance(image, Mapping) and isinstance(image.get("file_name"), str)
        if not named or not isinstance(image.get("id"), (int, str)):
            raise LimnerError(f"{source}: every image needs 'id' and 'file_name', this one has not: {image!r:.120}.")
        if image["id"] in ids:
            raise LimnerError(f"{source}: two images have the id {image['id']}.")
        ids.add(image["id"])
    for annotation in coco.dataset["annotations"]:
        if annotation["image_id"] not in ids:
            raise LimnerError(
                f"{source}: annotation {annotation.get('id')} belongs to image {annotation['image_id']}, "
                "which the file does not list."
            )
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
        coco.createIndex()
    return coco


def _tidy(annotation: Any, number: int, source: str) -> dict[str, Any]:
    if not isinstance(annotation, Mapping) or not isinstance(annotation.get("caption"), str | None):
        raise LimnerError(f"{source}: every annotation needs a text 'caption', this one has none: {annotation!r:.120}.")
    if not isinstance(annotation.get("image_id"), (int, str)):
        raise LimnerError(f"{source}: annotation {annotation.get('id')} has no 'image_id'.")
    return {"id": number, **annotation, "caption": " ".join((annotation.get("caption") or "").split())}
