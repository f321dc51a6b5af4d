"""From an image file to a square of pixels, whatever its format, mode, size and orientation."""

import stat
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, partial
from io import BufferedReader, BytesIO
from pathlib import Path
from threading import Condition

import numpy as np
from einops import rearrange
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

DECODER_VERSION = 1
"""The version of `decode_image`. Raise it when the pixels it returns change, so that stored ones expire."""

FORMATS = (
    *("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM"),
    *("PSD", "ICO", "QOI", "DDS", "PCX", "SGI", "TGA"),
)
"""The formats that are decoded. Pillow knows more, but some of them run other programs."""

BRANDS = {b"heic": "HEIC", b"heix": "HEIC", b"heif": "HEIC", b"mif1": "HEIC", b"msf1": "HEIC", b"crx ": "CR3"}
SIGNATURES = {
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"<svg": "SVG",
    b"FUJIFILM": "RAF",
    b"gimp xcf": "XCF",
    b"v/1\x01": "OpenEXR",
}
"""How formats that Pillow does not decode start, so that a message can name them."""

STRIP = 1 << 20  # pixels converted at a time
MOST_PIXELS = 1 << 25  # decoded at the same time by all threads; a larger image is decoded alone

Image.core.set_block_size(1 << 26)  # such blocks are given back when an image is freed; 16 MB are kept by each thread


def decode_image(source: Path | bytes, size: int) -> UInt8[np.ndarray, "3 {size} {size}"]:
    """The RGB square in the middle of an image, resized with a Lanczos filter; transparent parts become white.

    `source` is a file, or its content.

    A photograph is turned upright according to its EXIF data, 16 bits become 8, and an animation becomes its first
    frame. All threads together decode at most `MOST_PIXELS` at a time.

    Raises:
        OSError: if the file cannot be read, or is no image. For a damaged file, Pillow raises nearly any exception.
    """
    return _pixels(_square(source, size))


def _square(source: Path | bytes, size: int) -> Image.Image:
    if isinstance(source, Path) and not stat.S_ISREG(source.stat().st_mode):  # a pipe would wait for its other end
        raise OSError("it is a folder" if source.is_dir() else "it is a pipe or a device, not a file")
    with (
        _open(source) as file,
        Image.open(file, formats=_formats()) as opened,
        _room.for_pixels(opened.width * opened.height),
    ):
        opened.draft("RGB", (2 * size, 2 * size))  # a JPEG can be read at a half, a quarter or an eighth of its size
        return ImageOps.fit(_as_rgb(_upright(opened)), (size, size), Image.Resampling.LANCZOS)


def _pixels(square: Image.Image) -> UInt8[np.ndarray, "3 S S"]:
    return np.ascontiguousarray(rearrange(np.asarray(square), "h w c -> c h w"))


def decode_images(sources: Sequence[Path | bytes], size: int) -> list[UInt8[np.ndarray, "3 {size} {size}"] | str]:
    """The square of each image, as `decode_image` makes it, or a few words that say why it cannot be used.

    Several threads work at once. An interruption waits only for the images that are being decoded.
    """
    pool = ThreadPoolExecutor()
    try:
        with warnings.catch_warnings():  # for all threads: filters belong to the process
            warnings.simplefilter("ignore", UserWarning)
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return list(pool.map(partial(_try_decode, size=size), sources))
    finally:
        pool.shutdown(cancel_futures=True)


def image_format(source: Path | bytes) -> str | None:
    """The format of an image, given as a file or as its content, such as "JPEG"; None if it is no image.

    It can be one that is not decoded, such as "HEIC".
    """
    try:
        with _open(source) as file:
            start = file.read(32)
        if start[4:8] == b"ftyp" and start[8:12] in BRANDS:
            return BRANDS[start[8:12]]
        for signature, name in SIGNATURES.items():
            if start.startswith(signature):
                return name
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with (
                _open(source) as file,
                Image.open(file, formats=[name for name in _formats() if name != "TGA"]) as image,
            ):  # text can be a TGA
                return image.format
    except MemoryError:
        raise
    except Image.DecompressionBombError:
        return "too large"
    except Exception:  # for a damaged file, Pillow raises nearly anything
        return None


@cache
def _formats() -> list[str]:
    """Those of `FORMATS` that this build of Pillow decodes."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _open(source: Path | bytes) -> BufferedReader | BytesIO:
    return source.open("rb") if isinstance(source, Path) else BytesIO(source)


def _try_decode(source: Path | bytes, size: int) -> UInt8[np.ndarray, "3 {size} {size}"] | str:
    try:
        square = _square(source, size)
    except FileNotFoundError:
        return "missing"
    except MemoryError:
        raise
    except UnidentifiedImageError:
        known = image_format(source)
        return f"{known} images cannot be decoded; save it as PNG or JPEG" if known else "cannot identify image file"
    except OSError as error:
        return error.strerror or _in_few_words(error)
    except Exception as error:
        return _in_few_words(error)
    return _pixels(square)  # outside of `try`: what fails here is no fault of the image


def _in_few_words(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _upright(image: Image.Image) -> Image.Image:
    """The image turned as its EXIF data says; the same object if it is upright."""
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except (SyntaxError, ValueError, LookupError, TypeError):  # the EXIF data is damaged, the image may be fine
        image.load()
    return image


def _as_rgb(image: Image.Image) -> Image.Image:
    """The image in RGB on white, converted strip by strip, so that there are not several copies of it."""
    image.load()
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    whole = Image.new("RGB", image.size)
    rows = max(1, STRIP // image.width)
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height)))
        whole.paste(_strip_as_rgb(strip), (0, top))
    return whole


def _strip_as_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "I" or image.mode.startswith("I;16"):  # Pillow would clip these values at 255
        return Image.fromarray((np.asarray(image).clip(0, 65535) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


class _Room:
    """Room for the pixels that threads decode at the same time; a thread waits until there is enough."""

    def __init__(self, pixels: int):
        self.pixels = self.free = pixels
        self.changed = Condition()

    @contextmanager
    def for_pixels(self, count: int) -> Iterator[None]:
        """Room for so many pixels, or all of it for more."""
        count = min(count, self.pixels)
        with self.changed:
            self.changed.wait_for(lambda: self.free >= count)
            self.free -= count
        try:
            yield
        finally:
            with self.changed:
                self.free += count
                self.changed.notify_all()


_room = _Room(MOST_PIXELS)
