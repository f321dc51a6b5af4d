"""Images as pictures for people: grids with the prompts below, film strips, PNG files."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from einops import rearrange
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from limner.data.batches import to_bytes
from limner.errors import LimnerError
from limner.files import replace_file, writing

MARGIN, TEXT_SIZE = 6, 12  # pixels of the finished picture
LARGEST = {"WEBP": 16383, "JPEG": 65535}
"""The largest width and height of a picture, in pixels, for the formats that have one."""


@dataclass(frozen=True)
class Pictures:
    """Images with a line of text each, shown as a grid; shows itself in a notebook.

    `columns` is the number of columns, `scale` the number of screen pixels per image pixel, without smoothing. None
    chooses what fits. `headings` are texts above the columns.
    """

    images: list[Image.Image]
    labels: list[str]
    columns: int | None = None
    scale: int | None = None
    headings: Sequence[str] = ()

    @classmethod
    def of(cls, images: Float[Tensor, "N 3 H W"], labels: Sequence[str], columns: int | None = None) -> "Pictures":
        """Pictures of images in [-1, 1]."""
        pixels = rearrange(to_bytes(images), "n c h w -> n h w c").cpu().numpy()
        return cls([Image.fromarray(image) for image in pixels], list(labels), columns)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Image.Image:
        return self.images[index]

    def grid(self) -> Image.Image:
        """All images as one, each with its label below. A row of equal labels has one label."""
        if not self.images:
            raise LimnerError("There is no picture to show.")
        columns = self.columns or min(len(self.images), 8 if len(set(self.labels)) == 1 else 4)
        width, height = self.images[0].size
        scale = self.scale or max(1, 128 // width)
        cell_width = width * scale + MARGIN
        font = text_font(TEXT_SIZE)
        rows = [range(start, min(start + columns, len(self.images))) for start in range(0, len(self.images), columns)]
        same = [len({self.labels[i] for i in row}) == 1 for row in rows]  # one label for the whole row
        spans = [cell_width * (len(row) if one else 1) - MARGIN for row, one in zip(rows, same)]
        texts = [
            [wrap(self.labels[i], span, font) if not one or i == row[0] else [] for i in row]
            for row, one, span in zip(rows, same, spans)
        ]
        heights = [height * scale + (TEXT_SIZE + 3) * max(map(len, text)) + 2 * MARGIN for text in texts]
        heads = [wrap(text, cell_width - MARGIN, font) for text in self.headings]
        above = (TEXT_SIZE + 3) * max(map(len, heads), default=0)
        sheet = Image.new("RGB", (columns * cell_width + MARGIN, above + sum(heights) + MARGIN), "white")
        pen = ImageDraw.Draw(sheet)
        for column, lines in enumerate(heads):
            place = MARGIN + column * cell_width, MARGIN // 2
            pen.multiline_text(place, "\n".join(lines), fill="black", font=font, spacing=3)
        top = above + MARGIN
        for row, text, row_height in zip(rows, texts, heights):
            for column, i in enumerate(row):
                left = MARGIN + column * cell_width
                enlarged = self.images[i].resize((width * scale, height * scale), Image.Resampling.NEAREST)
                sheet.paste(enlarged, (left, top))
                lines = "\n".join(text[column])
                pen.multiline_text((left, top + height * scale + 3), lines, fill="black", font=font, spacing=3)
            top += row_height
        return sheet

    def save(self, path: str | Path) -> Path:
        """Write the grid as an image file; the ending says which kind."""
        return save_picture(self.grid(), path)

    def _repr_png_(self) -> bytes:
        return png_of(self.grid())


def film_strip(film: Sequence[tuple[str, Pictures]], frames: int) -> Pictures:
    """The same prompts over time: a row per prompt, and at most `frames` columns."""
    chosen = frames_of(film, frames)
    prompts = chosen[0][1].labels
    cells = [
        (pictures.images[row], f"{prompt}, {chosen[0][0]} to {chosen[-1][0]}")
        for row, prompt in enumerate(prompts)
        for _, pictures in chosen
    ]
    images, labels = zip(*cells)
    return Pictures(list(images), list(labels), columns=len(chosen), scale=max(1, 96 // images[0].width))


def frames_of(film: Sequence[tuple[str, Pictures]], count: int) -> list[tuple[str, Pictures]]:
    """At most `count` moments of a film, evenly spaced, from the first to the last.

    Raises:
        LimnerError: for an empty film.
    """
    if not film:
        raise LimnerError("There is no film: this model was loaded, or trained without preview prompts.")
    return [film[int(i)] for i in torch.linspace(0, len(film) - 1, min(count, len(film))).round().unique()]


def png_of(picture: Image.Image) -> bytes:
    """A picture as a PNG file, which is how a notebook shows it."""
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()


def picture_format(path: Path) -> str:
    """The format of Pillow that the ending of a file stands for.

    Raises:
        LimnerError: for an unknown ending.
    """
    found = Image.registered_extensions().get(path.suffix.lower(), "")
    if found not in Image.SAVE:
        raise LimnerError(f"{path}: pictures are written as .png, .jpg or .webp; give one of these endings.")
    return found


def save_picture(picture: Image.Image, path: str | Path) -> Path:
    """Write a picture as an image file, and make its folder if needed. An older file stays as it is if this fails.

    Raises:
        LimnerError: for an unknown ending, a picture that is too large for its format, or a file that cannot be
            written.
    """
    path, file = Path(path), io.BytesIO()
    kind = picture_format(path)
    if max(picture.size) > (most := LARGEST.get(kind, max(picture.size))):
        raise LimnerError(
            f"{path}: this picture has {picture.width} x {picture.height} pixels, and a {path.suffix} file at most "
            f"{most} in each direction; write it as .png, or make it of fewer images."
        )
    try:
        picture.save(file, kind)
    except (OSError, ValueError) as error:
        raise LimnerError(f"{path} cannot be written in the format {kind}: {error}; write it as .png.") from None
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, file.getvalue())
    return path


def wrap(text: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> list[str]:
    """The text in lines of at most `width` pixels, broken at spaces."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


@cache
def text_font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font of all pictures."""
    return ImageFont.load_default(size)
