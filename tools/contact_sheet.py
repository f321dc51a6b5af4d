"""Put the stored pictures of all lessons on one sheet, a block for each lesson, so that they can be looked at together.

    python tools/contact_sheet.py sheet.png [LESSON ...]

Of an animation it shows the last frame. The number below a picture is that of its cell.
"""

import io
import json
import sys
from base64 import b64decode
from pathlib import Path

from limner.models.pictures import MARGIN, TEXT_SIZE, save_picture, text_font
from PIL import Image, ImageDraw, ImageSequence

TUTORIALS = Path(__file__).parents[1] / "tutorials"
COLUMNS, WIDTH, HEIGHT, LINE = 8, 190, 150, TEXT_SIZE + 4
"""Pictures in a row, the most pixels of each, and the height of a line of text."""


def pictures_of(notebook: Path) -> list[tuple[str, Image.Image]]:
    """The stored pictures of a notebook, each with the number of its cell, as it is counted when it runs."""
    found = []
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if content := data.get("image/gif") or data.get("image/png"):
                with Image.open(io.BytesIO(b64decode("".join(content)))) as picture:
                    *_, last = ImageSequence.Iterator(picture)
                    found.append((f"[{cell['execution_count']}]", last.convert("RGB")))
    return found


def sheet_of(lessons: dict[str, list[tuple[str, Image.Image]]]) -> Image.Image:
    """One picture of the pictures of several lessons."""
    font, blocks = text_font(TEXT_SIZE), []
    for name, pictures in lessons.items():
        for _, picture in pictures:
            picture.thumbnail((WIDTH, HEIGHT))
        rows = [pictures[start : start + COLUMNS] for start in range(0, len(pictures), COLUMNS)]
        blocks.append((name, [(row, max(picture.height for _, picture in row)) for row in rows]))
    height = sum(2 * LINE + sum(tall + LINE + MARGIN for _, tall in rows) for _, rows in blocks)
    sheet, top = Image.new("RGB", (COLUMNS * (WIDTH + MARGIN) + MARGIN, height), "white"), 0
    pen = ImageDraw.Draw(sheet)
    for name, rows in blocks:
        pen.text((MARGIN, top + LINE // 2), name, fill="black", font=font)
        top += 2 * LINE
        for row, tall in rows:
            for column, (label, picture) in enumerate(row):
                left = MARGIN + column * (WIDTH + MARGIN)
                sheet.paste(picture, (left, top))
                pen.text((left, top + tall), label, fill="gray", font=font)
            top += tall + LINE + MARGIN
    return sheet


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    out, *names = sys.argv[1:]
    notebooks = [path for path in sorted(TUTORIALS.glob("[0-9]*.ipynb")) if not names or path.stem in names]
    print(save_picture(sheet_of({path.stem: pictures_of(path) for path in notebooks}), out))
