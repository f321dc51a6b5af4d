"""Pictures one after the other, as an animated GIF or WebP: the film of a training."""

import io
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from limner.errors import LimnerError
from limner.files import replace_file, writing
from limner.models.pictures import MARGIN, TEXT_SIZE, Pictures, frames_of, picture_format, text_font

LINE = TEXT_SIZE + 2 * MARGIN
"""Height of the line above a frame, in pixels."""
LAST = 8
"""The last frame stays this many times as long as the others."""


@dataclass(frozen=True)
class Animation:
    """Pictures of one size, again and again; shows itself in a notebook.

    `milliseconds` is the time that each stays.
    """

    frames: list[Image.Image]
    milliseconds: int = 250

    def save(self, path: str | Path) -> Path:
        """Write an animated GIF or WebP; the ending says which.

        Raises:
            LimnerError: for another ending, or a file that cannot be written.
        """
        path = Path(path)
        kind = picture_format(path)
        if kind not in ("GIF", "WEBP"):
            raise LimnerError(f"{path}: an animation is written as .gif or .webp; give one of these endings.")
        content = self._encoded(kind)
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, content)
        return path

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return {"image/gif": b64encode(self._encoded("GIF")).decode()}

    def _encoded(self, kind: str) -> bytes:
        frames = self.frames
        if kind == "GIF":  # it has at most 256 colors; dithering would double its size
            frames = [frame.quantize(256, dither=Image.Dither.NONE) for frame in frames]
        first, *others = frames
        durations = [self.milliseconds] * len(others) + [LAST * self.milliseconds]
        file = io.BytesIO()
        first.save(file, kind, save_all=True, append_images=others, duration=durations, loop=0)
        return file.getvalue()


def film_animation(film: Sequence[tuple[str, Pictures]], frames: int) -> Animation:
    """The same prompts over time, at most `frames` pictures one after the other, each with the time above it."""
    return Animation([titled(when, pictures.grid()) for when, pictures in frames_of(film, frames)])


def titled(title: str, grid: Image.Image) -> Image.Image:
    """A grid of pictures with a line of text above it."""
    frame = Image.new("RGB", (grid.width, grid.height + LINE), "white")
    frame.paste(grid, (0, LINE))
    ImageDraw.Draw(frame).text((MARGIN, MARGIN), title, fill="black", font=text_font(TEXT_SIZE))
    return frame
