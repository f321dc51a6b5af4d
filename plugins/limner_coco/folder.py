"""A folder of images with captions, read through pycocotools; every image is decoded once."""

import json
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from einops import rearrange
from limner import CaptionedImages, Dataset, LimnerError
from limner.captions import coco_index
from PIL import Image, ImageOps
from pydantic import Field
from tqdm import tqdm

BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)  # images too large to be meant well


class CocoFolder(Dataset):
    """Images and captions of a folder, either its own (`captions.json` beside `images/`) or laid out as MS-COCO is.

    MS-COCO's own layout is `annotations/captions_train2017.json` beside `train2017/`; `split` says which. Images of
    any size, mode and shape become RGB squares: turned upright, the middle cut out, shrunk with a Lanczos filter,
    transparency put on white.

    Broken or missing images are named in a warning and left out, up to the share `bad_images` of all.
    """

    def __init__(
        self,
        image_size: int,
        *,
        root: str,
        split: str = "train2017",
        bad_images: Annotated[float, Field(ge=0, le=1)] = 0.01,
        limit: Annotated[int, Field(ge=1)] | None = None,
    ):
        """`limit`: take only the first so many images."""
        super().__init__(image_size)
        self.root, self.split = Path(root).expanduser(), split
        self.bad_images, self.limit = bad_images, limit
        self._loaded: CaptionedImages | None = None

    def load(self) -> CaptionedImages:
        if self._loaded is None:
            self._loaded = self._read()
        return self._loaded

    def _read(self) -> CaptionedImages:
        captions, folder = self._layout()
        coco = coco_index(read_json(captions), str(captions))
        numbers = [number for number in coco.getImgIds() if coco.imgToAnns.get(number)][: self.limit]
        if not numbers:
            raise LimnerError(f"{captions} holds no captioned image.")
        files = [folder / coco.imgs[number]["file_name"] for number in numbers]
        pixels, broken = decode_all(files, self.image_size)
        if broken:
            named = "; ".join(broken[:5]) + ("; ..." if len(broken) > 5 else "")
            count = f"{len(broken)} of {len(files)} images cannot be used: {named}"
            if len(broken) > self.bad_images * len(files):
                raise LimnerError(
                    f"{count}. More than data.bad_images = {self.bad_images:.0%} is too many; mend them, or allow more."
                )
            if len(broken) == len(files):
                raise LimnerError(f"{count}.")
            warnings.warn(f"{count}. Training goes on without them.", stacklevel=2)
        kept = [row for row, image in enumerate(pixels) if image is not None]
        stacked = np.stack([image for image in pixels if image is not None])
        return CaptionedImages(torch.from_numpy(stacked), coco, [numbers[row] for row in kept])

    def _layout(self) -> tuple[Path, Path]:
        """The file of captions and the folder of images."""
        if not self.root.is_dir():
            raise LimnerError(f"data.root: there is no folder {self.root}.")
        own = self.root / "captions.json", self.root / "images"
        published = self.root / "annotations" / f"captions_{self.split}.json", self.root / self.split
        for captions, images in (own, published):
            if captions.is_file():
                if not images.is_dir():
                    raise LimnerError(f"{captions} is there, but the folder of its images, {images}, is not.")
                return captions, images
        raise LimnerError(
            f"data.root: {self.root} has neither captions.json beside images/ nor "
            f"annotations/captions_{self.split}.json beside {self.split}/."
        )


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file; a `LimnerError` says where it breaks off."""
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise LimnerError(
            f"{path} is not valid JSON: {error.msg} at line {error.lineno}; it may be truncated, so fetch it again."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise LimnerError(f"{path} cannot be read: {error}.") from None
    if not isinstance(table, dict):
        raise LimnerError(f"{path} is not in the COCO captions layout: it holds a {type(table).__name__}.")
    return table


def decode_all(files: Sequence[Path], size: int) -> tuple[list[np.ndarray | None], list[str]]:
    """All images as bytes [3, size, size], None where a file cannot be used, and a sentence on each of those."""
    broken: list[str] = []

    def decoded(path: Path) -> np.ndarray | str:
        try:
            return decode(path, size)
        except (OSError, SyntaxError, ValueError, *BOMBS) as error:
            return f"{path} ({'missing' if isinstance(error, FileNotFoundError) else error})"

    pixels: list[np.ndarray | None] = []
    with warnings.catch_warnings(), ThreadPoolExecutor() as pool:  # of all threads: filters belong to the process
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        warnings.simplefilter("ignore", UserWarning)
        bar = tqdm(pool.map(decoded, files), total=len(files), desc="reading", unit=" images", disable=len(files) < 500)
        for image in bar:
            pixels.append(None if isinstance(image, str) else image)
            if isinstance(image, str):
                broken.append(image)
    return pixels, broken


def decode(path: Path, size: int) -> np.ndarray:
    """One image file as bytes [3, size, size]."""
    with Image.open(path) as opened:
        opened.draft("RGB", (2 * size, 2 * size))
        image = ImageOps.exif_transpose(opened)
        if image.mode.startswith("I;16"):  # Pillow would cut these values off at 255
            image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
        if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        square = ImageOps.fit(image.convert("RGB"), (size, size), Image.Resampling.LANCZOS)
    return np.ascontiguousarray(rearrange(np.asarray(square), "h w c -> c h w"))
