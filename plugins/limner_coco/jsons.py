"""JSON files of captions: COCO's layout, Karpathy's splits, TextCaps, and lists or objects of files and captions."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from limner import LimnerError

from .listing import CAPTION_COLUMNS, Listing, Row, folder_with, listing_of_rows
from .tables import FILE_CELL

FORMS = (
    "COCO's captions, Karpathy's splits, TextCaps, a list of objects with a file and a caption, or an object of "
    "captions by file"
)


def json_listing(path: Path, value: Any, folders: Iterable[Path]) -> Listing:
    """The listing of the value of a JSON file; its images are in the first of these folders that has one of them.

    Raises:
        LimnerError: if it has none of the known forms.
    """
    rows = rows_of_json(value)
    if rows is not None:
        return listing_of_rows(path, rows, folders)
    if isinstance(value, dict) and {"images", "annotations"} & value.keys():
        images = value.get("images")
        named = [image for image in images if isinstance(image, dict)] if isinstance(images, list) else []
        return Listing(value, path, folder_with(list(folders), ["file_name"], named)[0])
    raise LimnerError(
        f"{path} is not in the COCO captions layout: it holds a {type(value).__name__}. The forms that are read are "
        f"{FORMS}."
    )


def is_known(value: Any) -> bool:
    """Whether the value of a JSON file is in one of the known forms."""
    if isinstance(value, dict) and isinstance(value.get("images"), list) and isinstance(value.get("annotations"), list):
        return any(isinstance(entry, dict) and "caption" in entry for entry in value["annotations"][:1])
    return bool(rows_of_json(value))


def rows_of_json(value: Any) -> list[Row] | None:
    """The rows of a JSON value; None if it is in COCO's layout, or in no known form."""
    if isinstance(value, dict) and isinstance(value.get("images"), list) and _are_rows(value["images"], {"sentences"}):
        return [(f"image {n}", _of_karpathy(image)) for n, image in enumerate(value["images"], start=1)]
    if isinstance(value, dict) and isinstance(value.get("data"), list):  # TextCaps
        value = value["data"]
    if isinstance(value, list) and _are_rows(value, {*CAPTION_COLUMNS}):
        return [(f"entry {n}", row) for n, row in enumerate(value, start=1)]
    if isinstance(value, dict) and value and all(map(FILE_CELL.fullmatch, value)):
        pairs = [(file, _captions(content)) for file, content in value.items()]
        if all(captions is not None for _, captions in pairs):
            return [(f"'{file}'", {"file_name": file, "caption": captions}) for file, captions in pairs]
    return None


def _are_rows(entries: list[Any], keys: set[str]) -> bool:
    """Whether these are objects of which the first has one of the keys."""
    return (
        bool(entries) and all(isinstance(e, dict) for e in entries) and not keys.isdisjoint(map(str.lower, entries[0]))
    )


def _of_karpathy(image: Mapping[str, Any]) -> dict[str, Any]:
    """An image of Karpathy's splits (Karpathy and Fei-Fei 2015) as a row."""
    place, name = image.get("filepath"), image.get("filename")
    sentences = image.get("sentences")
    captions = [
        (sentence.get("raw") or " ".join(map(str, sentence.get("tokens") or ())))
        if isinstance(sentence, dict)
        else sentence
        for sentence in (sentences if isinstance(sentences, list) else [])
    ]
    more = {
        key: value
        for key, value in image.items()
        if not isinstance(value, list) and key not in ("filepath", "filename")
    }
    return {**more, "file_name": f"{place}/{name}" if place and name else name, "caption": captions}


def _captions(content: Any) -> Any:
    """The captions of a file in an object of captions by file: a text, texts, or an object with a caption."""
    if isinstance(content, Mapping):
        return next((content[key] for key in CAPTION_COLUMNS if key in content), None)
    return content if isinstance(content, (str, list)) else None
