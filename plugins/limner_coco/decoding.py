"""From an image file to a square of pixels, whatever its mode, size and orientation."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from einops import rearrange
from jaxtyping import UInt8
from PIL import Image, ImageOps

PREPARATION = 1
"""The version of `decode`. Raise it when `decode` changes the pixels it returns, so that stored ones expire."""


def decode(path: Path, size: int) -> UInt8[np.ndarray, "3 {size} {size}"]:
    """The RGB square in the middle of an image, resized with a Lanczos filter; transparent parts become white.

    A photograph is turned upright according to its EXIF data, 16 bits become 8, and an animation becomes its first
    frame. Call it within `safe_decoding`.
    """
    with Image.open(path) as opened:
        opened.draft("RGB", (2 * size, 2 * size))  # a JPEG can be read at a half, a quarter or an eighth of its size
        image = _upright(opened)
        if image.mode == "I" or image.mode.startswith("I;16"):  # Pillow would clip these values at 255
            image = Image.fromarray((np.asarray(image).clip(0, 65535) >> 8).astype(np.uint8))
        if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        square = ImageOps.fit(image.convert("RGB"), (size, size), Image.Resampling.LANCZOS)
    return np.ascontiguousarray(rearrange(np.asarray(square), "h w c -> c h w"))


def try_decode(path: Path, size: int) -> UInt8[np.ndarray, "3 {size} {size}"] | str:
    """The result of `decode`, or a few words that say why the file cannot be used."""
    try:
        return decode(path, size)
    except FileNotFoundError:
        return "missing"
    except MemoryError:
        raise
    except Exception as error:  # for a damaged file, Pillow raises nearly anything
        return " ".join(str(error).split()) or type(error).__name__


@contextmanager
def safe_decoding() -> Iterator[None]:
    """A context in which images with far too many pixels (decompression bombs) raise an error."""
    with warnings.catch_warnings():  # for all threads: filters belong to the process
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except (SyntaxError, ValueError, LookupError, TypeError):  # the EXIF data is damaged, the image may be fine
        image.load()
        return image
