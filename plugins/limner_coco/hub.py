"""Captioned images of the hub of Hugging Face, or from files that its library `datasets` reads, such as Parquet.

The rows are streamed once. Each image is cropped and resized at once, and kept as a small PNG in a folder in the COCO
layout, with which everything goes on as with any other folder.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

from limner import DECODER_VERSION, CaptionedImages, Dataset, LimnerError, decode_images
from PIL import Image
from pydantic import Field
from tqdm import tqdm

from .folder import CaptionedFolder
from .listing import CAPTION_COLUMNS
from .store import at_home

IMAGE_COLUMNS = ("image", "img", "jpg", "png", "picture")
TEXT_KEYS = ("raw", "caption", "text", "sentence")
"""The keys of a caption that is given as a table."""


class HubCaptions(Dataset):
    """The images and captions of a data set on the hub of Hugging Face, or of a folder that its library reads.

    A caption may be a text, a list of texts, or tables with the text under `raw`, `caption`, `text` or `sentence`. The
    images become squares as in the data set `folder`; those that cannot be decoded are left out, up to `bad_images`.
    """

    def __init__(
        self,
        image_size: int,
        *,
        repository: str,
        config: str | None = None,
        split: str = "train",
        revision: str | None = None,
        image: str | None = None,
        caption: str | None = None,
        limit: Annotated[int, Field(ge=1)] | None = None,
        mirror: bool = False,
        bad_images: Annotated[float, Field(ge=0, le=1)] = 0.01,
        cache: str = "~/.cache/limner",
    ):
        """
        Args:
            image_size: width and height of the squares, in pixels.
            repository: of the data set on the hub, or a folder of Parquet files.
            config: which configuration of the data set, if it has several.
            split: which split.
            revision: a branch, a tag or a commit of the repository.
            image: the column of images, if it is not found automatically.
            caption: the column of captions, if it is not found automatically.
            limit: use only the first `limit` rows.
            mirror: whether training mirrors half of the images, but none whose caption says left or right.
            bad_images: the fraction of images that may be broken.
            cache: the folder in which the squares are kept.
        """
        super().__init__(image_size)
        if find_spec("datasets") is None:
            raise LimnerError('the data set "hub" needs the library datasets; pip install "limner[hub]".')
        self.source = {"path": repository, "name": config, "split": split, "revision": revision}
        self.image, self.caption, self.limit, self.cache = image, caption, limit, cache
        self.mirror, self.bad_images = mirror, bad_images
        self._loaded: CaptionedImages | None = None

    def load(self) -> CaptionedImages:
        if self._loaded is None:
            folder = self._folder()
            if not (folder / "captions.json").is_file():
                self._fill(folder)
            options = {"mirror": self.mirror, "bad_images": self.bad_images}
            self._loaded = CaptionedFolder(self.image_size, root=str(folder), **options).load()
        return self._loaded

    def _folder(self) -> Path:
        """The folder of the squares. What decides about its content decides about its name."""
        local = Path(self.source["path"] or "")
        files = sorted((p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in local.rglob("*") if p.is_file())
        deciding = [self.source, self.image, self.caption, self.limit, self.image_size, DECODER_VERSION, files]
        name = re.sub(r"[^\w.-]+", "-", local.name)[:40]
        key = hashlib.sha256(json.dumps(deciding).encode()).hexdigest()[:8]
        return at_home(self.cache, "data.cache") / f"hub-{name}-{self.image_size}px-{key}"

    def _fill(self, folder: Path) -> None:
        """Stream the rows into a folder; it is there as a whole, or not at all."""
        partial = folder.with_name(f"{folder.name}.partial")
        try:
            shutil.rmtree(partial, ignore_errors=True)
            (partial / "images").mkdir(parents=True)
            table: dict[str, list[dict[str, Any]]] = {"images": [], "annotations": []}
            for number, (content, captions) in enumerate(tqdm(self._rows(), desc="reading", unit=" images")):
                file = f"{number:08d}.png"
                _keep_square(content, partial / "images" / file, self.image_size)
                table["images"].append({"id": number, "file_name": file})
                table["annotations"] += [{"image_id": number, "caption": caption} for caption in captions]
            if not table["images"]:
                raise LimnerError(f"data.repository: {self.source['path']} has no row in '{self.source['split']}'.")
            (partial / "captions.json").write_text(json.dumps(table), encoding="utf-8")
            partial.rename(folder)
        except OSError as error:
            raise LimnerError(
                f"{folder} cannot be written: {error.strerror or error}; name another data.cache."
            ) from None
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def _rows(self) -> Iterator[tuple[bytes | None, list[str]]]:
        """The content of each image, if it has any, and its captions."""
        import datasets

        try:
            stream = datasets.load_dataset(**self.source, streaming=True)
            first = next(iter(stream.take(1)), {}) if stream.column_names is None else {}
            columns = list(stream.column_names or first)
            image = self._column("image", self.image, IMAGE_COLUMNS, columns)
            caption = self._column("caption", self.caption, CAPTION_COLUMNS, columns)
            stream = stream.select_columns([image, caption]).cast_column(image, datasets.Image(decode=False))
            for number, row in enumerate(islice(stream, self.limit)):
                content, captions = row[image], texts_of(row[caption])
                if captions is None:
                    raise LimnerError(f"data.caption: row {number} of '{caption}' is no text, and no list of texts.")
                yield (content["bytes"] if isinstance(content, Mapping) else None), captions
        except LimnerError:
            raise
        except Exception as error:  # datasets raises its own, and those of many readers and of the network
            cause = " ".join(str(error).split()) or type(error).__name__
            raise LimnerError(f"data.repository: {self.source['path']} cannot be read: {cause}") from None

    def _column(self, option: str, wanted: str | None, usual: Iterable[str], columns: list[str]) -> str:
        """The column of that name, or the first with a usual name, in any case.

        Raises:
            LimnerError: if there is none; it lists the columns.
        """
        names = {name.lower(): name for name in reversed(columns)}
        if wanted in columns:
            return str(wanted)
        found = [names[name] for name in usual if name in names] if wanted is None else []
        if not found:
            said = f"no column '{wanted}'" if wanted else f"no column that looks like the {option}"
            raise LimnerError(
                f"data.{option}: {self.source['path']} has {said}; name one of its columns: {', '.join(columns)}."
            )
        return found[0]


def texts_of(value: Any) -> list[str] | None:
    """The captions in a cell: a text, a table with a text, or a list of these; None if it is something else."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return texts_of(next((value[key] for key in TEXT_KEYS if key in value), None))
    if isinstance(value, list | tuple):
        found = [texts_of(item) for item in value]
        return None if None in found else [text for texts in found for text in texts or ()]
    return None


def _keep_square(content: bytes | None, file: Path, size: int) -> None:
    """Write the square of an image. Of one that cannot be decoded nothing is written, and it counts as missing."""
    [square] = decode_images([content or b""], size)
    if not isinstance(square, str):
        Image.fromarray(square.transpose(1, 2, 0)).save(file)
