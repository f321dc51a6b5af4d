"""Make the film of a comparison: a row of pictures for each variant, in the course of the training.

    python tools/film_of_comparison.py comparisons/NAME

It reads the previews of the runs of seed 0, which must still be in comparisons/NAME/runs, and writes film.gif into the
folder. The previews of all runs must have been drawn at the same steps, as they are for a budget in steps.
"""

import sys
from pathlib import Path

import limner
from limner.models.animation import Animation, titled
from limner.models.pictures import MARGIN
from PIL import Image

PROMPTS, SIZE, FRAMES, COLORS = 4, 160, 6, 64
"""How many prompts, how large in pixels, at how many moments, and in how many colors, to keep the film small."""


def first_row(file: Path) -> list[Image.Image]:
    """The images in the first row of a grid of previews; they are 128 pixels wide in it."""
    with Image.open(file) as grid:
        lefts = range(MARGIN, (128 + MARGIN) * PROMPTS, 128 + MARGIN)
        images = [grid.crop((left, MARGIN, left + 128, MARGIN + 128)) for left in lefts]
    return [image.resize((SIZE, SIZE), Image.Resampling.NEAREST) for image in images]


def film(folder: Path) -> Animation:
    """The animation, each frame with its step above it."""
    comparison = limner.load_comparison(folder)
    runs = {
        run.variant: folder / str(run.folder) / "pictures" for run in comparison.results.ordered_runs() if not run.seed
    }
    prompts = comparison.pictures().headings[:PROMPTS]
    names = sorted(path.name for path in next(iter(runs.values())).glob("step_*.png"))
    chosen = [names[round(i * (len(names) - 1) / (FRAMES - 1))] for i in range(FRAMES)]
    frames = []
    for name in chosen:
        images = [image for pictures in runs.values() for image in first_row(pictures / name)]
        labels = [variant for variant in runs for _ in range(PROMPTS)]
        grid = limner.Pictures(images, labels, PROMPTS, 1, prompts).grid()
        few = grid.quantize(COLORS, dither=Image.Dither.NONE).convert("RGB")
        frames.append(titled(f"step {int(name[5:-4]):,}", few))
    return Animation(frames, 500)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(film(Path(sys.argv[1])).save(Path(sys.argv[1]) / "film.gif"))
