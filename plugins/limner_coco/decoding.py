"""An image file as a square of pixels, whatever its mode, its size, and which way the camera was held."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from einops import rearrange
from jaxtyping import UInt8
from PIL import Image, ImageOps

PREPARATION = 1
"""The number of this preparation: it goes up when `decode` makes other pixels of a file, and stored ones expire."""


def decode(path: Path, size: int) -> UInt8[np.ndarray, "3 {size} {size}"]:
    """The RGB square in the middle of an image, shrunk with a Lanczos filter; what is transparent is white.

    A photograph is turned upright as its EXIF says, 16 bits become 8, of an animation the first picture is taken.
    Call it `within_reason`.
    """
    with Image.open(path) as opened:
        opened.draft("RGB", (2 * size, 2 * size))  # a JPEG may be read at a half, a quarter, an eighth of its size
        image = _upright(opened)
        if image.mode == "I" or image.mode.startswith("I;16"):  # Pillow would cut these values off at 255
            image = Image.fromarray((np.asarray(image).clip(0, 65535) >> 8).astype(np.uint8))
        if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        square = ImageOps.fit(image.convert("RGB"), (size, size), Image.Resampling.LANCZOS)
    return np.ascontiguousarray(rearrange(np.asarray(square), "h w c -> c h w"))


def decode_or_say(path: Path, size: int) -> UInt8[np.ndarray, "3 {size} {size}"] | str:
    """What `decode` makes of a file, or in a few words why it cannot be used."""
    try:
        return decode(path, size)
    except FileNotFoundError:
        return "missing"
    except MemoryError:
        raise
    except Exception as error:  # a damaged file makes Pillow raise nearly anything
        return " ".join(str(error).split()) or type(error).__name__


@contextmanager
def within_reason() -> Iterator[None]:
    """While it lasts, an image of far too many pixels (a decompression bomb) is refused, and small sins are passed."""
    with warnings.catch_warnings():  # of all threads: filters belong to the process
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except (SyntaxError, ValueError, LookupError, TypeError):  # the EXIF is damaged, the picture need not be
        image.load()
        return image
