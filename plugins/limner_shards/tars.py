"""One shard: a tar file in which the files of an image share a key, its name up to the first dot.

`key.jpg` (or another image) has its captions in `key.txt`, one per line, or in `key.json`. A JSON file has one or a
list of them under `caption` or `captions`, or `annotations` as a COCO file has them, and may have `facts`. If both have
captions, those of the JSON file are used.
"""

import lzma
import re
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limner import LimnerError
from pydantic import BaseModel, ConfigDict, ValidationError
from webdataset.tariterators import group_by_keys, tar_file_expander

IMAGE_ENDINGS = (
    *("jpg", "jpeg", "jpe", "jfif", "png", "webp", "gif", "bmp", "tif", "tiff", "avif", "jp2", "ppm", "heic", "heif"),
)
TEXT_ENDINGS = ("txt", "json")
META = re.compile(r"__[^/]*__($|/)")
"""Names of files that webdataset leaves out."""
LONGEST = 10_000  # letters of a caption
DAMAGES = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError)
"""What reading a damaged tar file raises, apart from OSError."""


@dataclass(frozen=True)
class Sample:
    """An image file with its captions, which are not empty."""

    name: str  # of the image file
    image: bytes
    annotations: list[dict[str, Any]]
    facts: list[int] | None


class Annotation(BaseModel):
    """A caption with what the data knows of it."""

    caption: str
    asked: list[int] | None = None
    distractors: list[str] | None = None
    mirrors: bool | None = None


class Description(BaseModel):
    """What is read of a JSON file."""

    model_config = ConfigDict(extra="ignore")
    caption: str | list[str] | None = None
    captions: list[str] | None = None
    annotations: list[Annotation] | None = None
    facts: list[int] | None = None

    def texts(self) -> list[Annotation]:
        """The captions, wherever they are."""
        found = self.annotations or self.captions or self.caption or []
        return [a if isinstance(a, Annotation) else Annotation(caption=a) for a in as_list(found)]


def as_list(value: Any) -> list[Any]:
    """The value, in a list if it is none."""
    return value if isinstance(value, list) else [value]


def read_samples(path: Path) -> Iterator[Sample | str]:
    """The samples of a shard in order. Of one that cannot be used, the key and the problem, in a few words.

    Raises:
        LimnerError: if the file cannot be read, or is damaged.
    """
    with reading_tar(path), path.open("rb") as file:
        files = tar_file_expander([{"url": str(path), "stream": file}])
        yield from filter(None, map(_sample, group_by_keys(files)))


def scan_samples(path: Path) -> Iterator[Sample | str]:
    """As `read_samples`, but no image is read: each is empty. The file is checked to be complete.

    Raises:
        LimnerError: if the file cannot be read, is no tar file, is empty, or is truncated.
    """
    with reading_tar(path):
        if not path.stat().st_size:
            raise LimnerError(f"{path} is an empty file; write or copy the shard again.")
        yield from filter(None, map(_sample, group_by_keys(_scan(path))))


def _scan(path: Path) -> Iterator[dict[str, Any]]:
    """The files of a tar file as webdataset has them, without the content of images."""
    last = ""
    with path.open("rb") as file, tarfile.open(fileobj=file, mode="r:*") as tar:
        try:
            for member in tar:
                if member.isreg() and not META.match(member.name):
                    is_text = _ending(member.name) in TEXT_ENDINGS
                    opened = tar.extractfile(member) if is_text else None
                    yield {"fname": member.name, "data": opened.read() if opened else b"", "__url__": str(path)}
                    last = member.name
                tar.members = []  # pyright: ignore[reportAttributeAccessIssue]  # tarfile would keep all of them
            assert tar.fileobj
            tar.fileobj.seek(tar.offset)
            complete = not any(block := tar.fileobj.read(tarfile.BLOCKSIZE)) and bool(block)
        except (tarfile.ReadError, *DAMAGES[1:]):
            complete = False
    if not complete:
        raise LimnerError(
            f"{path} is truncated or damaged: the last file that can be read is {last or 'none'}; write or copy the "
            "shard again."
        )


@contextmanager
def reading_tar(path: Path) -> Iterator[None]:
    """While this context lasts, what goes wrong with a tar file is one sentence.

    Raises:
        LimnerError: naming `path`.
    """
    try:
        yield
    except FileNotFoundError:
        raise LimnerError(f"{path} is missing; check data.root, or copy the shard there.") from None
    except DAMAGES as error:
        raise LimnerError(
            f"{path} is not a tar file, or is damaged ({_first_words(error)}); expected images and captions, so "
            "write or copy it again."
        ) from None
    except OSError as error:
        raise LimnerError(f"{path} cannot be read: {error.strerror or error}; check its permission.") from None
    except ValueError as error:  # of webdataset
        name, double, _ = _first_words(error).partition(": duplicate file name")
        if not double:
            raise
        raise LimnerError(f"{path} has two files that are called {name}; give each image a key of its own.") from None


def _first_words(error: Exception) -> str:
    """What an error says; webdataset adds more to it."""
    return str(error.args[0]).partition(" @ ")[0] if error.args else type(error).__name__


def _ending(name: str) -> str:
    return name.rpartition(".")[2].lower()


def _sample(files: dict[str, Any]) -> Sample | str | None:
    """The image and the captions of the files of one key; None if there is neither."""
    key = files["__key__"]
    names = [name for name in files if not name.startswith("__")]
    images = [name for name in names if _ending(name) in IMAGE_ENDINGS]
    texts = [name for name in names if _ending(name) in TEXT_ENDINGS]
    if not images:
        return f"{key} has a caption and no image" if texts else None
    if len(images) > 1:
        return f"{key} has {len(images)} images, {' and '.join(images[:2])}"
    found: list[dict[str, Any]] = []
    facts = None
    for name in sorted(texts, key=_ending):  # JSON first
        read = _describe(files[name], name)
        if isinstance(read, str):
            return f"{key}.{name} {read}"
        facts = facts or read.facts
        if found := _tidy(read):
            break
    if not found:
        return f"{key} has an image and no caption"
    if (longest := max(len(a["caption"]) for a in found)) > LONGEST:
        return f"{key} has a caption of {longest} letters, and at most {LONGEST} are read"
    return Sample(f"{key}.{images[0]}", files[images[0]], found, facts)


def _describe(content: bytes, name: str) -> Description | str:
    """What a text or JSON file says, or why it cannot be read."""
    try:
        if _ending(name) == "json":
            return Description.model_validate_json(content)
        return Description(captions=content.decode("utf-8-sig").split("\n"))
    except UnicodeDecodeError:
        return "is not text in UTF-8"
    except ValidationError as error:
        found = error.errors()[0]
        place = ".".join(map(str, found["loc"][:3]))
        return f"cannot be read ({f'{place}: ' if place else ''}{found['msg']:.100})"


def _tidy(description: Description) -> list[dict[str, Any]]:
    """The captions that are not empty, with single spaces, as annotations."""
    tidied = ((a, " ".join(a.caption.split())) for a in description.texts())
    return [a.model_dump(exclude_none=True) | {"caption": text} for a, text in tidied if text]
