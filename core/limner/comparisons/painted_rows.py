"""What the runs of a comparison paint: the same prompts with the same noise, kept as a PNG file for each run.

The files stay useful when the run folders are gone, and are small: eight images beside each other, at their own size.
"""

import io
import json
import warnings
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, PngImagePlugin

from limner.comparisons.results_file import Results, RunResult, file_name, is_sampling
from limner.errors import LimnerError
from limner.files import replace_file, writing
from limner.models.model import Model
from limner.models.pictures import Pictures
from limner.plugins import PluginHost
from limner.recipes.build import build_dataset
from limner.recipes.schema import Sampling

FOLDER, KEY, COUNT = "pictures", "limner", 8


@dataclass(frozen=True)
class PaintedRow:
    """The images that one run paints, one for each prompt."""

    variant: str
    seed: int
    prompts: list[str]
    images: list[Image.Image]

    def to_png(self) -> bytes:
        """The images from left to right as one PNG file, which also holds the variant, the seed and the prompts."""
        sizes = [image.size for image in self.images]
        row = Image.new("RGB", (sum(width for width, _ in sizes), sizes[0][1]))
        for place, image in enumerate(self.images):
            row.paste(image, (place * image.width, 0))
        text, file = PngImagePlugin.PngInfo(), io.BytesIO()
        text.add_itxt(KEY, json.dumps({"variant": self.variant, "seed": self.seed, "prompts": self.prompts}))
        row.save(file, "PNG", optimize=True, pnginfo=text)
        return file.getvalue()

    @classmethod
    def from_png(cls, path: Path) -> "PaintedRow":
        """Read such a file.

        Raises:
            LimnerError: if it is not one, or is damaged.
        """
        try:
            with Image.open(path) as opened:
                row, text = opened.convert("RGB"), json.loads(opened.info[KEY])
            variant, seed, prompts = str(text["variant"]), int(text["seed"]), [str(one) for one in text["prompts"]]
            width = row.width // len(prompts)
            images = [row.crop((left, 0, left + width, row.height)) for left in range(0, width * len(prompts), width)]
        except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError, SyntaxError) as error:
            raise LimnerError(
                f"{path} is damaged: {type(error).__name__}: {error}. Remove it; the same command makes it again."
            ) from None
        return cls(variant, seed, prompts, images)


def read_rows(folder: Path) -> Iterator[PaintedRow]:
    """The rows that the folder of a comparison holds."""
    return map(PaintedRow.from_png, sorted((folder / FOLDER).glob("*.png")))


def paint_missing_rows(results: Results, folder: Path, plugins: PluginHost) -> None:
    """Paint a row for each run that has none yet and whose model is in the folder; warn if one cannot be painted."""
    painted, names = {(row.variant, row.seed) for row in read_rows(folder)}, set[str]()
    for run in results.ordered_runs():
        name = _file_name(run, names)
        names.add(name)
        if run.key not in painted and run.problem is None and run.folder and (folder / run.folder).is_dir():
            try:
                row = _paint(run, folder / run.folder, plugins)
            except LimnerError as error:
                warnings.warn(f"No pictures of {run.variant}, seed {run.seed}: {error}", stacklevel=2)
                continue
            with writing(folder / FOLDER):
                (folder / FOLDER).mkdir(exist_ok=True)
            replace_file(folder / FOLDER / name, row.to_png())


def _paint(run: RunResult, folder: Path, plugins: PluginHost) -> PaintedRow:
    """The first preview prompts of a run, painted with the noise of seed 0."""
    model = Model.load(folder, plugins)
    options = {key.partition(".")[2]: value for key, value in run.settings.items() if is_sampling(key)}
    prompts = (
        model.recipe.prompts if model.recipe.prompts is not None else build_dataset(model.recipe).preview_prompts()
    )
    prompts = list(prompts[:COUNT])
    if not prompts:
        raise LimnerError("its recipe has no preview prompts; name some as 'prompts'.")
    images = model.paint_images(prompts, sampling=Sampling(**model.recipe.sampling.model_dump() | options))
    return PaintedRow(run.variant, run.seed, prompts, Pictures.of(images, prompts).images)


def _file_name(run: RunResult, taken: Collection[str]) -> str:
    """A name that every file system allows, and that no other run of the comparison has."""
    stem = file_name(run.variant)
    names = (f"{stem}{number}-{run.seed}.png" for number in ("", *map("-{}".format, range(2, 10_000))))
    return next(name for name in names if name not in taken)
