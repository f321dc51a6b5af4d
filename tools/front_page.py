"""Make the pictures of the front page, which README.md shows, from a kept run and the stored pictures of the lessons.

    limner train scenes-128 --out runs/scenes-128
    python tools/front_page.py runs/scenes-128

It writes into docs/: film.webp, the training of that run as an animation; painted.png, eight fresh prompts and what the
model that comes along paints for them; and thumbnails/, a picture of each lesson.
"""

import sys
from pathlib import Path
from runpy import run_path

import limner
from limner.models.animation import Animation, titled
from limner_scenes.dataset import Scenes
from PIL import Image, ImageOps

ROOT = Path(__file__).parents[1]
DOCS, TUTORIALS = ROOT / "docs", ROOT / "tutorials"
THUMBNAIL = (240, 150)
"""Width and height in pixels."""
SHOWN = {
    "00_quickstart": 3,
    "00b_sixty_lines": 2,
    "01_adversarial_training": 4,
    "02_attention": 6,
    "03_hierarchy": 1,
    "04_consistency": 2,
    "05_diversity_and_consistency": 1,
    "06_real_data": 7,
    "08_optimizers": 1,
    "10_landmarks": 4,
}
"""Which of a lesson's pictures stands for it, counted from 0; by default the last one."""


def film(run: Path) -> Animation:
    """The preview pictures of a run as an animation, each with its step above it."""
    files = sorted((run / "pictures").glob("step_*.png"))
    last = int(files[-1].stem.removeprefix("step_"))
    frames = []
    for file in files:
        with Image.open(file) as grid:
            step = int(file.stem.removeprefix("step_"))
            frames.append(titled(f"step {step:,} of {last:,}", grid))
    return Animation(frames, 500)


def painted() -> Image.Image:
    """Eight prompts that no preview shows, in the order in which they are drawn, and one image of each."""
    prompts = Scenes(128).prompts(8, seed=2).texts
    return limner.load("scenes-128").paint(prompts, seed=2).grid()


def thumbnails() -> None:
    """Write a small picture of each lesson."""
    pictures_of = run_path(str(ROOT / "tools/contact_sheet.py"))["pictures_of"]
    folder = DOCS / "thumbnails"
    folder.mkdir(exist_ok=True)
    for notebook in sorted(TUTORIALS.glob("[0-9]*.ipynb")):
        _, picture = pictures_of(notebook)[SHOWN.get(notebook.stem, -1)]
        part = ImageOps.fit(picture, THUMBNAIL, Image.Resampling.LANCZOS, centering=(0, 0))
        part.save(folder / f"{notebook.stem}.png", optimize=True)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    film(Path(sys.argv[1])).save(DOCS / "film.webp")
    painted().save(DOCS / "painted.png", optimize=True)
    thumbnails()
