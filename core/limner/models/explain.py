"""Where a model attends while it paints: its attention weights, word by word, over the image."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from einops import rearrange
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageOps
from torch import Tensor, nn

from limner.interfaces import Attention
from limner.models.pictures import MARGIN, TEXT_SIZE, png_of, save_picture, text_font, wrap

CELL, LEFT, LINE = 72, 110, TEXT_SIZE + 4  # pixels: a small picture, the names of the rows, a line of text
RED, GRAY = (208, 0, 24), (120, 120, 120)
NEAREST = Image.Resampling.NEAREST
LEGEND = (
    "Redder means more weight. Each row goes from its smallest weight on a word (no red) to its largest (full red); "
    "both are written beside it. Words in gray are special tokens."
)


@dataclass(frozen=True)
class AttentionMap:
    """The weights of one attention module: its name, its resolution, and where it attended.

    `weights` are those of `Attention.weights` for one caption: M maps, T words, over positions or over channels.
    """

    name: str
    size: int
    weights: Float[Tensor, "M T *where"]


@dataclass(frozen=True)
class Explanation:
    """An image, the tokens of its prompt, and the map of each attention module. It shows itself in a notebook.

    A piece is a token as text, with whether it belongs to a word or is special, such as [CLS].
    `attention_maps` are in the order in which the modules were used.
    """

    prompt: str
    image: Image.Image
    pieces: list[tuple[str, bool]]
    attention_maps: list[AttentionMap]

    def picture(self) -> Image.Image:
        """The image and, below it, a panel for each module: a column for each word, a row for each head."""
        columns = max(attention_map.weights.shape[1] for attention_map in self.attention_maps)
        width = max(LEFT + columns * (CELL + MARGIN) + MARGIN, 560)
        parts = [self._heading(width), *(self._panel(attention_map, width) for attention_map in self.attention_maps)]
        sheet = Image.new("RGB", (width, sum(part.height for part in parts)), "white")
        top = 0
        for part in parts:
            sheet.paste(part, (0, top))
            top += part.height
        return sheet

    def save(self, path: str | Path) -> Path:
        """Write the picture as an image file; the ending says which kind."""
        return save_picture(self.picture(), path)

    def _repr_png_(self) -> bytes:
        return png_of(self.picture())

    def _heading(self, width: int) -> Image.Image:
        """The image, with the prompt and how to read the panels beside it."""
        side, left = 2 * CELL, 2 * CELL + 3 * MARGIN
        sheet = Image.new("RGB", (width, side + 2 * MARGIN), "white")
        sheet.paste(self.image.resize((side, side), NEAREST), (MARGIN, MARGIN))
        pen, top = ImageDraw.Draw(sheet), MARGIN
        for text, size, color in ((self.prompt, TEXT_SIZE + 4, "black"), (LEGEND, TEXT_SIZE, GRAY)):
            lines = wrap(text, width - left - MARGIN, text_font(size))
            pen.multiline_text((left, top), "\n".join(lines), fill=color, font=text_font(size), spacing=4)
            top += (size + 6) * len(lines) + MARGIN
        return sheet

    def _panel(self, attended: AttentionMap, width: int) -> Image.Image:
        """A title, the words, and for each map a row of small pictures with the range of its weights."""
        maps, words, *where = attended.weights.shape
        over_channels = len(where) == 1
        labels = self.pieces if words == len(self.pieces) else [("the sentence", True)]
        real = [column for column, (_, is_word) in enumerate(labels) if is_word]
        height = where[0] * max(1, round(2 * CELL / where[0])) if over_channels else CELL
        under = Image.new("RGB", (CELL, height), "white") if over_channels else self._pale()
        red = Image.new("RGB", under.size, RED)

        sheet = Image.new("RGB", (width, 3 * LINE + maps * (height + MARGIN)), "white")
        pen, font = ImageDraw.Draw(sheet), text_font(TEXT_SIZE)
        pen.text(
            (MARGIN, LINE // 2),
            f"{attended.name} at {attended.size} x {attended.size}",
            fill="black",
            font=font,
        )
        for column, (text, is_word) in enumerate(labels):
            place = (LEFT + column * (CELL + MARGIN) + CELL // 2, 3 * LINE - MARGIN)
            pen.text(place, text, fill="black" if is_word else GRAY, font=font, anchor="ms")
        for row, weights in enumerate(attended.weights):
            top = 3 * LINE + row * (height + MARGIN)
            low, high = float(weights[real].min()), float(weights[real].max())
            heat = ((weights - low) / max(high - low, 1e-9)).clamp(0, 1)
            if over_channels:  # sorted by the word that has the most weight
                heat = rearrange(heat[:, heat[real].argmax(0).argsort(stable=True)], "t c -> t c 1")
            name = f"{where[0]} channels" if over_channels else f"head {row + 1}" if maps > 1 else "map"
            label = f"{name}\n{low:.1%} to {high:.1%}"
            pen.text((MARGIN, top + height // 2), label, fill="black", font=font, anchor="lm")
            for column, cell in enumerate((230 * heat).to(torch.uint8).numpy()):
                mask = Image.fromarray(cell).resize(under.size, NEAREST)
                sheet.paste(Image.composite(red, under, mask), (LEFT + column * (CELL + MARGIN), top))
        return sheet

    def _pale(self) -> Image.Image:
        """The image as a small one in light gray, on which red shows."""
        small = self.image.convert("L").resize((CELL, CELL), NEAREST)
        return ImageOps.colorize(ImageOps.autocontrast(small), (160, 160, 160), "white")


@contextmanager
def record_attention(generator: nn.Module) -> Iterator[list[AttentionMap]]:
    """Record the attention weights of the modules inside while this context lasts.

    The list has the maps of the first caption, in the order in which the modules are used.
    """
    modules = [module for module in generator.modules() if isinstance(module, Attention)]
    attention_maps: list[AttentionMap] = []

    def note(module: Attention, inputs: object, output: Tensor) -> None:
        if module.weights is not None:
            attention_maps.append(
                AttentionMap(name_of(type(module)), output.shape[-1], module.weights[0].float().cpu())
            )

    handles = [module.register_forward_hook(note) for module in modules]
    for module in modules:
        module.keep_weights = True
    try:
        yield attention_maps
    finally:
        for handle in handles:
            handle.remove()
        for module in modules:
            module.keep_weights, module.weights = False, None


def name_of(attention: type[Attention]) -> str:
    """The name of a class in words: `MultiHeadAttention` is "Multi-head attention"."""
    *first, last = re.split("(?<!^)(?=[A-Z])", attention.__name__)
    return f"{'-'.join(first)} {last}".strip().capitalize()
