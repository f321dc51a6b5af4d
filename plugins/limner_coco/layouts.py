"""Which image has which captions: from COCO's JSON, a CSV or JSON Lines table, or text files next to the images."""

import csv
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from limner import LimnerError

FILE_COLUMNS = ("file_name", "file", "filename", "image", "path")
CAPTION_COLUMNS = ("caption", "captions", "text")
ROWS_ENDINGS = (".csv", ".tsv", ".jsonl")
IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")


@dataclass(frozen=True)
class Listing:
    """The contents of a folder: a table in the COCO captions layout, and the folder of its images.

    `source` is what the table was read from; `notes` say what could not be used.
    """

    table: Mapping[str, Any]
    source: Path
    images: Path
    notes: list[str] = field(default_factory=list)


def read_listing(root: Path, split: str, captions: str | None = None, images: str | None = None) -> Listing:
    """The listing of a folder, in the first of these layouts that it has:

    - `captions.json` in the COCO layout, next to `images/`;
    - MS-COCO's own: `annotations/captions_SPLIT.json`, next to `SPLIT/`;
    - a table with a column of files and one of captions, in a file `*.csv`, `*.tsv` or `*.jsonl`;
    - a `.txt` next to each image, with one caption per line.

    `captions` names another file of the first or third kind in the root; `images` names another folder of images in it.

    Raises:
        LimnerError: if the folder has none of these layouts, or a file is damaged.
    """
    if not root.is_dir():
        raise LimnerError(
            f"data.root: there is no folder {root}; name yours, or download MS-COCO with "
            f"'limner data coco --root {root} --download'."
        )
    file = _captions_file(root, split, captions)
    if file is None:
        return _texts_beside(root / images if images else root, root, split)
    folder = root / images if images else _images_of(file, root, split)
    listing = _rows_listing(file, folder) if file.suffix.lower() in ROWS_ENDINGS else None
    listing = listing or Listing(read_json(file), file, folder)
    if not listing.images.is_dir():
        raise LimnerError(f"{file} is there, but the folder of its images, {listing.images}, is not.")
    return listing


def _captions_file(root: Path, split: str, captions: str | None) -> Path | None:
    if captions is not None:
        if not (root / captions).is_file():
            raise LimnerError(f"data.captions: there is no file {root / captions}.")
        return root / captions
    for file in (root / "captions.json", root / "annotations" / f"captions_{split}.json"):
        if file.is_file():
            return file
    tables = sorted(path for path in root.iterdir() if path.suffix.lower() in ROWS_ENDINGS and path.is_file())
    if len(tables) > 1:
        names = ", ".join(path.name for path in tables)
        raise LimnerError(f"{root} holds several tables: {names}; choose one with data.captions.")
    return tables[0] if tables else None


def _images_of(file: Path, root: Path, split: str) -> Path:
    if file.parent.name == "annotations":
        return root / split
    return root if file.suffix.lower() in ROWS_ENDINGS else root / "images"


# --- COCO's JSON ----------------------------------------------------------------------------------------------------


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file; a `LimnerError` says where it is damaged."""
    try:
        table = json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        raise LimnerError(
            f"{path} is not valid JSON: {error.msg} at line {error.lineno}; it may be truncated, so download it again."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise LimnerError(f"{path} cannot be read: {error}.") from None
    if not isinstance(table, dict):
        raise LimnerError(f"{path} is not in the COCO captions layout: it holds a {type(table).__name__}.")
    return table


def is_json(path: Path) -> bool:
    """Whether a file exists and holds a complete JSON object."""
    try:
        return bool(read_json(path))
    except LimnerError:
        return False


# --- tables of files and captions -----------------------------------------------------------------------------------


def _rows_listing(path: Path, folder: Path) -> Listing:
    """A table in which every row names a file and a caption; other columns become keys of both."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        rows = list(_json_rows(path, text) if path.suffix.lower() == ".jsonl" else _csv_rows(path, text))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise LimnerError(f"{path} cannot be read: {error}; it should be text in UTF-8.") from None
    if not rows:
        raise LimnerError(f"{path} holds no row with a file and a caption.")
    columns = list(dict.fromkeys(column for _, row in islice(rows, 100) for column in row))
    file, caption = (_column(path, columns, known) for known in (FILE_COLUMNS, CAPTION_COLUMNS))
    named = [(number, row, row[file].strip()) for number, row in rows if _is_text(row.get(file))]
    notes = []
    if nameless := [number for number, row in rows if not _is_text(row.get(file))]:
        notes.append(f"{len(nameless)} rows of {path} name no file and are left out; the first is line {nameless[0]}")
    if not _any_in(folder, named) and _any_in(folder / "images", named):
        folder = folder / "images"
    captioned = []
    for number, row, name in named:
        more = {key: value for key, value in row.items() if key not in (file, caption) and value is not None}
        captions = row.get(caption)
        for text in captions if isinstance(captions, list) else [captions]:
            if text is not None and not isinstance(text, str):
                raise LimnerError(f"{path}: line {number}: expected a caption, got {text!r:.80}.")
            captioned.append((name, text or "", more))
    return Listing(as_coco(captioned), path, folder, notes)


def _any_in(folder: Path, named: list[tuple[int, dict[str, Any], str]]) -> bool:
    """Whether a folder has any of the files that these rows name."""
    return any(os.path.exists(folder / name) for _, _, name in named)  # noqa: PTH110 - Path.exists raises an error for long names


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _column(path: Path, columns: list[str], known: tuple[str, ...]) -> str:
    """The column with one of the known names; earlier names come first."""
    found = {column.strip().lower(): column for column in columns}
    for name in known:
        if name in found:
            return found[name]
    raise LimnerError(f"{path} has the columns {', '.join(columns)}; none of them is called {' or '.join(known)}.")


def _csv_rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a table with a header, each with its line number. The most frequent mark in the header separates the
    columns.
    """
    header = text.partition("\n")[0]
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=header.count), strict=True)
    for row in reader:
        if None in row:
            raise LimnerError(
                f"{path}: line {reader.line_num} has more columns than the header; "
                'put captions that contain the separator in "quotation marks".'
            )
        yield reader.line_num, row


def _json_rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a file with one object per line, each with its line number."""
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise LimnerError(f"{path}: line {number} is not valid JSON: {error.msg}.") from None
        if not isinstance(row, dict):
            raise LimnerError(f"{path}: line {number}: expected an object, got a {type(row).__name__}.")
        yield number, row


# --- text files next to the images ----------------------------------------------------------------------------------


def _texts_beside(folder: Path, root: Path, split: str) -> Listing:
    """The images at any depth of a folder; the captions of each are the lines of the text file of the same name."""
    files = sorted(path for path in folder.rglob("*") if not _hidden(path.relative_to(folder)))
    texts = {path.with_suffix(""): path for path in files if path.suffix.lower() == ".txt"}
    images = [path for path in files if path.suffix.lower() in IMAGE_ENDINGS and path.is_file()]
    pairs = [(image, texts[image.with_suffix("")]) for image in images if image.with_suffix("") in texts]
    if not pairs:
        raise LimnerError(
            f"data.root: {root} has no captions.json, no annotations/captions_{split}.json, no table "
            f"({', '.join(f'*{e}' for e in ROWS_ENDINGS)}), and no .txt next to an image."
        )
    notes = []
    if bare := [image.name for image in images if image.with_suffix("") not in texts]:
        notes.append(
            f"{len(bare)} of {len(images)} images have no text file next to them and are left out: {first_few(bare)}"
        )
    captioned = []
    for image, text in pairs:
        try:
            lines = text.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise LimnerError(f"{text} cannot be read: {error}; it should be text in UTF-8.") from None
        captioned += [(image.relative_to(folder).as_posix(), line, {}) for line in lines if line.strip()] or [
            (image.relative_to(folder).as_posix(), "", {})
        ]
    return Listing(as_coco(captioned), folder, folder, notes)


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


# --- shared ---------------------------------------------------------------------------------------------------------


def as_coco(captioned: Iterable[tuple[str, str, Mapping[str, Any]]]) -> dict[str, Any]:
    """(file, caption, other keys) in the COCO captions layout; a file can appear several times."""
    images: dict[str, dict[str, Any]] = {}
    annotations = []
    for file, caption, more in captioned:
        image = images.setdefault(file, {**more, "id": len(images) + 1, "file_name": file})
        annotations.append({**more, "id": len(annotations) + 1, "image_id": image["id"], "caption": caption})
    return {"images": list(images.values()), "annotations": annotations}


def first_few(names: list[str]) -> str:
    """The first few of many names, for a message."""
    return "; ".join(names[:5]) + ("; ..." if len(names) > 5 else "")
