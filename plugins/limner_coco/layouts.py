"""Which image has which captions: finds the file of captions in a folder, or text files beside the images."""

from collections.abc import Iterable
from pathlib import Path

from limner import LimnerError, visible_files

from .beside import is_image, texts_beside
from .files import read_json
from .finding import Borders
from .jsons import is_known, json_listing
from .listing import Listing, folders_of, listing_of_rows
from .tables import TABLE_ENDINGS, is_table, rows_of_table


def read_listing(root: Path, split: str, captions: str | None = None, images: str | None = None) -> Listing:
    """The listing of a folder, in the first of these layouts that it has:

    - `captions.json` in the COCO layout, next to `images/`;
    - MS-COCO's own: `annotations/captions_SPLIT.json`, next to `SPLIT/`; VizWiz has `annotations/SPLIT.json`;
    - a table with a column of files and one of captions, in a file `*.csv`, `*.tsv` or `*.jsonl`; the lists of Flickr8k
      and Flickr30k (`*.token`, `*.txt`) and of Conceptual Captions, which have no header;
    - any other `*.json`: COCO's layout (nocaps), Karpathy's splits, TextCaps, a list of objects with a file and a
      caption, or an object of captions by file;
    - `metadata.csv` or `metadata.jsonl` in a folder of images, as the image folders of Hugging Face;
    - a `.txt`, `.caption` or `.json` for each image, next to it (img2dataset) or in another folder (CUB, Oxford-102).

    `captions` names another file of captions in the root; `images` names another folder of images in it.

    Raises:
        LimnerError: if the folder has none of these layouts, or a file is damaged.
    """
    try:
        return _read(root, split, captions, images)
    except OSError as error:
        raise LimnerError(f"data.root: {error.filename or root} cannot be read: {error.strerror or error}.") from None


def _read(root: Path, split: str, captions: str | None, images: str | None) -> Listing:
    if not root.is_dir():
        raise LimnerError(
            f"data.root: there is no folder {root}; name yours, or download MS-COCO with "
            f"'limner data coco --root {root} --download'."
        )
    if captions is not None:
        file = root / captions
        if not file.is_file():
            raise LimnerError(f"data.captions: there is no file {file}.")
        return _listing_of(file, root, split, images)
    file = _captions_file(root, split)
    if file is not None:
        return _listing_of(_within(file, root), root, split, images)
    files = visible_files(root)
    problem = None
    if not (tables := _tables(files)):
        tables, problem = _json_tables(files)
    tables = tables or _metadata(root, split)
    if len(tables) > 1:
        names = ", ".join(path.relative_to(root).as_posix() for path in tables[:8])
        raise LimnerError(f"{root} holds several tables: {names}; choose one with data.captions.")
    if tables:
        return _listing_of(_within(tables[0], root), root, split, images)
    listing = texts_beside(_named(root, images) if images else root)
    if listing is None:
        raise problem or _nothing(root, split, files)
    return listing


def _listing_of(file: Path, root: Path, split: str, images: str | None) -> Listing:
    """The listing of one file of captions."""
    if images:
        folders: Iterable[Path] = [_named(root, images)]
    elif file.parent.name == "annotations":
        folders = [root / name for name in (split, _short(split), "images")]
    elif file.name == "captions.json":
        folders = folders_of(root, root / "images")
    else:
        folders = folders_of(root, file.parent)
    if file.suffix.lower() == ".json":
        listing = json_listing(file, read_json(file), folders)
    else:
        listing = listing_of_rows(file, rows_of_table(file), folders)
    if not listing.images.is_dir():
        raise LimnerError(f"{file} is there, but the folder of its images, {listing.images}, is not.")
    return listing


def _within(file: Path, root: Path) -> Path:
    """A file of captions that was found, which may not be a link to one elsewhere."""
    Borders([root], "put a copy there, or name it with data.captions").check(file, file.relative_to(root).as_posix())
    return file


def _named(root: Path, images: str) -> Path:
    folder = root / images
    if not folder.is_dir():
        raise LimnerError(f"data.images: there is no folder {folder}.")
    return folder


def _short(split: str) -> str:
    """The split without its year."""
    return split.rstrip("0123456789") or split


def _captions_file(root: Path, split: str) -> Path | None:
    """The file of captions at one of the usual places."""
    annotations = root / "annotations"
    for file in (root / "captions.json", annotations / f"captions_{split}.json"):
        if file.is_file():
            return file
    others = [annotations / f"{name}.json" for name in (split, _short(split))]
    return next((file for file in others if file.is_file() and _is_captions(file)), None)


def _is_captions(file: Path) -> bool:
    """Whether a JSON file has captions, and not boxes or labels."""
    try:
        return is_known(read_json(file))
    except LimnerError:
        return False


def _tables(files: list[Path]) -> list[Path]:
    """The tables among these files: by their endings, or text files that look like one and have no image beside."""
    tables = [path for path in files if path.suffix.lower() in TABLE_ENDINGS]
    if not tables:
        images = {path.stem for path in files if is_image(path)}
        tables = [p for p in files if p.suffix.lower() == ".txt" and p.stem not in images and is_table(p)]
    return tables


def _json_tables(files: list[Path]) -> tuple[list[Path], LimnerError | None]:
    """The JSON files of captions among these files, and what is wrong with the first one that cannot be read."""
    images = {path.stem for path in files if path.suffix.lower() != ".json"}
    tables, problem = [], None
    for path in files:
        if path.suffix.lower() == ".json" and path.stem not in images:
            try:
                if is_known(read_json(path)):
                    tables.append(path)
            except LimnerError as error:
                problem = problem or error
    return tables, problem


def _metadata(root: Path, split: str) -> list[Path]:
    """Hugging Face's `metadata` files one folder deeper; that of the split, if there are several."""
    inner = [folder for folder in folders_of(root) if folder.parent == root and folder.is_dir()]
    found = [path for folder in dict.fromkeys(inner) for path in visible_files(folder) if _is_metadata(path)]
    return [path for path in found if path.parent.name in (split, _short(split))] or found


def _is_metadata(path: Path) -> bool:
    return path.stem.lower() == "metadata" and path.suffix.lower() in TABLE_ENDINGS


def _nothing(root: Path, split: str, files: list[Path]) -> LimnerError:
    """The error for a folder in which nothing is known."""
    packed = [
        path.name for path in files if path.suffix.lower() in (".parquet", ".tar", ".zip", ".h5", ".gz", ".arrow")
    ]
    return LimnerError(
        f"data.root: {root} has no captions.json, no annotations/captions_{split}.json, no table "
        "(*.csv, *.tsv, *.jsonl), no other file of captions in the form of COCO, Karpathy, TextCaps or Flickr, and no "
        ".txt next to an image" + (f"; unpack {packed[0]} first." if packed else ".")
    )
