"""The contents of a folder as a table in the COCO captions layout, made from rows of a file and its captions."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from limner import LimnerError

FILE_COLUMNS = (
    *("file_name", "file", "filename", "image", "path", "image_path", "filepath", "image_file", "img", "img_path"),
    *("image_name", "image_id", "url", "image_url"),
)
CAPTION_COLUMNS = (
    *("caption", "captions", "text", "caption_str", "reference_strs", "comment", "sentence", "sentences"),
    *("description", "prompt", "title"),
)
"""The names of columns or keys, in any case; earlier ones come first."""
ENDINGS = ("", ".jpg", ".png", ".jpeg", ".webp")
"""What may be missing from a name that is only an image's id."""
NUMBERED = re.compile(r"(.*\.\w+)#\w+")
"""A file with the number of its caption, as in Flickr8k."""

Row = tuple[str, Mapping[str, Any]]
"""A row and its place, such as "line 3"."""


@dataclass(frozen=True)
class Listing:
    """The contents of a folder: a table in the COCO captions layout, and the folder of its images.

    `source` is what the table was read from; `notes` say what could not be used, and `remarks` what else was left out.
    """

    table: Mapping[str, Any]
    source: Path
    images: Path
    notes: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def listing_of_rows(path: Path, rows: Sequence[Row], folders: Iterable[Path]) -> Listing:
    """A listing of rows that each name a file and one or more captions; other columns become keys of both.

    The images are in the first of these folders that has one of them.

    Raises:
        LimnerError: if there is no column of files or of captions, or a caption is no text.
    """
    if not rows:
        raise LimnerError(f"{path} holds no row with a file and a caption.")
    columns = list(dict.fromkeys(column for _, row in islice(rows, 100) for column in row))
    caption = _column(path, columns, CAPTION_COLUMNS)[0]
    files = [column for column in _column(path, columns, FILE_COLUMNS) if column != caption]
    if not files:
        raise LimnerError(f"{path} has captions in '{caption}', but no column of files; call it file_name.")
    folder, file = folder_with(list(folders), files, [row for _, row in rows])
    notes = []
    captioned = []
    nameless = [place for place, row in rows if not file_of(row.get(file))]
    if nameless:
        notes.append(f"{len(nameless)} rows of {path} name no file and are left out; the first is {nameless[0]}")
    for place, row in rows:
        if name := file_of(row.get(file)):
            more = {key: value for key, value in row.items() if key not in (file, caption) and value is not None}
            captioned += [(name, text, more) for text in _texts(row.get(caption), f"{path}: {place}")]
    if captioned and not _is_in(folder, captioned[0][0]) and _is_address(rows[0][1].get(file)):
        raise LimnerError(
            f"{path} has addresses of images and not their files; download the images first, for example with "
            "img2dataset, which also writes a .txt beside each."
        )
    return Listing(as_coco(captioned), path, folder, notes)


def as_coco(captioned: Iterable[tuple[str, str, Mapping[str, Any]]]) -> dict[str, Any]:
    """(file, caption, other keys) in the COCO captions layout; a file can appear several times."""
    images: dict[str, dict[str, Any]] = {}
    annotations = []
    for file, caption, more in captioned:
        image = images.setdefault(file, {**more, "id": len(images) + 1, "file_name": file})
        annotations.append({**more, "id": len(annotations) + 1, "image_id": image["id"], "caption": caption})
    return {"images": list(images.values()), "annotations": annotations}


def folder_with(folders: Sequence[Path], keys: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> tuple[Path, str]:
    """The first of the folders that has an image which one of these keys names, and that key; else the first ones."""
    for key in keys:
        names = [name for row in islice(rows, 20) if (name := file_of(row.get(key)))]
        for folder in folders:
            if any(_is_in(folder, name) for name in names):
                return folder, key
    return folders[0], keys[0]


def file_of(value: Any) -> str:
    """The name of a file in a cell: without the number of its caption, and the last part of an address."""
    name = str(value).strip() if isinstance(value, (str, int)) else ""
    if _is_address(name):
        return unquote(urlsplit(name).path).rpartition("/")[2]
    numbered = NUMBERED.fullmatch(name)
    return numbered.group(1) if numbered else name


def folders_of(root: Path, *first: Path) -> Iterator[Path]:
    """Where the images of a root may be: in the first ones, in the root, in `images`, or up to two folders deeper."""
    yield from (*first, root, root / "images")
    inner = _folders_in(root)
    yield from inner
    for folder in inner:
        yield from _folders_in(folder)


def first_few(names: list[str]) -> str:
    """The first few of many names, for a message, in which the end of each is what counts."""
    printable = ["".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in n) for n in names[:5]]
    shown = [name if len(name) <= 160 else f"...{name[-157:]}" for name in printable]
    return "; ".join(shown) + ("; ..." if len(names) > 5 else "")


def _folders_in(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir())
    except OSError:
        return []
    return [folder / name for name in names[:100]]


def _is_address(value: Any) -> bool:
    return isinstance(value, str) and value.strip().lower().startswith(("http://", "https://"))


def _is_in(folder: Path, name: str) -> bool:
    """Whether a folder has a file with this name, which may lack its ending."""
    return any(os.path.isfile(folder / f"{name}{ending}") for ending in ENDINGS)  # noqa: PTH113 - is_file raises errors


def _texts(value: Any, place: str) -> list[str]:
    """The captions in a cell: a text, a list of texts, or a list of objects with a caption; nothing is an empty one."""
    texts = []
    for text in value if isinstance(value, list) else [value]:
        if isinstance(text, Mapping):
            text = next((text[key] for key in CAPTION_COLUMNS if key in text), text)
        if text is not None and not isinstance(text, str):
            raise LimnerError(f"{place}: expected a caption, got {text!r:.80}.")
        texts.append(text or "")
    return texts


def _column(path: Path, columns: list[str], known: tuple[str, ...]) -> list[str]:
    """The columns with one of the known names, in the order of these; there is at least one."""
    by_name: dict[str, str] = {}
    for column in columns:
        name = column.strip().lower()
        if name and by_name.setdefault(name, column) != column:
            raise LimnerError(f"{path} has two columns '{name}'; rename one.")
    found = [by_name[name] for name in known if name in by_name]
    if not found:
        raise LimnerError(
            f"{path} has the columns {', '.join(columns)[:200]}; none of them is called {', '.join(known[:5])} or "
            f"{known[5]}."
        )
    return found
