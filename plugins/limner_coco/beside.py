"""Text files beside images: one for each image, with its captions, next to it or in folders of their own."""

import unicodedata
from collections import defaultdict
from pathlib import Path

from limner import LimnerError, image_format, visible_files

from .files import parse_json, read_text
from .finding import Borders
from .listing import CAPTION_COLUMNS, Listing, as_coco, first_few

TEXT_ENDINGS = (".txt", ".caption", ".json")
"""The endings of captions beside images; earlier ones come first. The last is a JSON object, as img2dataset writes."""
UNDECODED = (".heic", ".heif", ".jxl", ".svg")
IMAGE_ENDINGS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", *UNDECODED),
    *(".jp2", ".ppm", ".pgm", ".psd", ".ico", ".qoi", ".tga", ".cr2", ".nef", ".arw", ".dng"),
)
"""Endings of images. A file with another ending is an image if its content is one."""
NO_IMAGES = (
    *(".csv", ".tsv", ".jsonl", ".md", ".toml", ".yaml", ".yml", ".py", ".sh", ".npz", ".npy", ".parquet", ".tar"),
)
NO_CAPTIONS = ("readme", "license", "licence", "copying", "notice", "changelog", "requirements")
"""Names of texts that come with data and are no captions."""


def texts_beside(folder: Path) -> Listing | None:
    """The images at any depth of a folder, with the captions of the text file of the same name; None without such.

    Every line of a .txt or .caption is a caption; a .json has one or a list of them under `caption`. A text file
    belongs to the image of the same name beside it. If there is none, it belongs to the only image in another folder
    whose path ends in the same way (`text/001/bird.txt` and `images/001/bird.jpg`).
    """
    files = visible_files(folder, deep=True)
    images = [path for path in files if is_image(path)]
    texts = _texts(files)
    beside = {image: text for image in images if (text := texts.get(_key(image)) or texts.get(_key(image, "")))}
    left = sorted(set(texts.values()) - set(beside.values()))
    pairs = beside | _parallel([image for image in images if image not in beside], left, folder)
    if not pairs:
        return None
    notes, remarks = [], []
    if bare := [image.relative_to(folder).as_posix() for image in images if image not in pairs]:
        notes.append(
            f"{len(bare)} of {len(images)} images have no text file next to them and are left out: {first_few(bare)}"
        )
    used = set(pairs.values())
    places = {text.parent for text in used}
    unused = [text for text in sorted(texts.values()) if text not in used and text.suffix != ".json"]
    for texts_there, to in ((True, notes), (False, remarks)):
        names = [t.relative_to(folder).as_posix() for t in unused if (t.parent in places) == texts_there]
        if names:
            to.append(f"{len(names)} text files belong to no image and are left out: {first_few(names)}")
    captioned = []
    borders = Borders([folder])
    for image in sorted(pairs):
        name = image.relative_to(folder).as_posix()
        borders.check(pairs[image], pairs[image].relative_to(folder).as_posix())
        captioned += [(name, line, {}) for line in _captions(pairs[image])] or [(name, "", {})]
    return Listing(as_coco(captioned), folder, folder, notes, remarks)


def is_image(path: Path) -> bool:
    """Whether a file is an image, by its ending or by its content."""
    ending = path.suffix.lower()
    if ending in IMAGE_ENDINGS:
        return True
    return ending not in (*TEXT_ENDINGS, *NO_IMAGES) and image_format(path) is not None


def _key(path: Path, ending: str | None = None) -> tuple[Path, str]:
    """What an image and its text have in common: the folder, and the name without its ending, however it is spelled."""
    ending = path.suffix if ending is None else ending
    return path.parent, unicodedata.normalize("NFC", path.name.removesuffix(ending)).casefold()


def _texts(files: list[Path]) -> dict[tuple[Path, str], Path]:
    """The text files that may be captions, by their keys."""
    texts: dict[tuple[Path, str], Path] = {}
    for ending in TEXT_ENDINGS:
        for path in files:
            if path.suffix.lower() == ending and path.stem.lower() not in NO_CAPTIONS:
                texts.setdefault(_key(path), path)
    return texts


def _parallel(images: list[Path], texts: list[Path], folder: Path) -> dict[Path, Path]:
    """The images with the text files in other folders whose paths end in the same way, if just one does."""
    by_end: dict[tuple[str, ...], list[Path]] = defaultdict(list)
    for image in images:
        for end in _ends(image, folder):
            by_end[end].append(image)
    found: dict[Path, list[Path]] = defaultdict(list)
    for text in texts:
        ends = [by_end[end] for end in _ends(text, folder) if end in by_end]
        if ends and len(ends[0]) == 1:
            found[ends[0][0]].append(text)
    return {image: of_image[0] for image, of_image in found.items() if len(of_image) == 1}


def _ends(path: Path, folder: Path) -> list[tuple[str, ...]]:
    """The ends of a path in the folder without its ending, longest first."""
    parts = (*path.parent.relative_to(folder).parts, _key(path)[1])
    return [parts[start:] for start in range(len(parts))]


def _captions(path: Path) -> list[str]:
    """The captions in a text file."""
    text = read_text(path)
    if path.suffix.lower() != ".json":
        return [line for line in text.split("\n") if line.strip()]
    value = parse_json(text, str(path))
    content = next((value[key] for key in CAPTION_COLUMNS if key in value), None) if isinstance(value, dict) else None
    captions = content if isinstance(content, list) else [content or ""]
    if not all(isinstance(caption, str) for caption in captions):
        raise LimnerError(f"{path}: expected a text or a list of texts as 'caption', got {content!r:.80}.")
    return captions
