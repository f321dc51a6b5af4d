"""Writing captioned images as a folder in the COCO captions layout."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from einops import rearrange
from PIL import Image
from tqdm import tqdm

from limner.errors import LimnerError
from limner.files import free_folder, writing
from limner.plugins import host
from limner.recipes.build import build_dataset
from limner.recipes.schema import Recipe


def export(recipe: str | Path, out: Path, overrides: Sequence[str] = ()) -> int:
    """Write the data of a recipe to `out`: captions.json and images/ as PNG files. Returns the number of images.

    Raises:
        LimnerError: if `out` is in use or cannot be written, or two images would have one name.
    """
    free_folder(out)
    data = build_dataset(Recipe.read(host(), recipe, overrides)).load()
    entries = [data.coco.imgs[number] for number in data.image_ids]
    names = [name if name.endswith(".png") else f"{name}.png" for name in (entry["file_name"] for entry in entries)]
    if strays := [name for name in names if Path(name).is_absolute() or ".." in Path(name).parts]:
        raise LimnerError(f"The image {strays[0]} would be written outside {out}; give it a plain file_name.")
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise LimnerError(f"Two images would be written as {twice[0]}; give them different names.")
    with writing(out):
        for name, pixels in zip(names, tqdm(data.pixels, desc="writing", unit=" images")):
            path = out / "images" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rearrange(pixels, "c h w -> h w c").numpy()).save(path)
        images = [{**entry, "file_name": name} for entry, name in zip(entries, names)]
        annotations = [annotation for of_image in data.annotations for annotation in of_image]
        table = {**data.coco.dataset, "images": images, "annotations": annotations}
        text = json.dumps(table, ensure_ascii=False)
        # A file name of this machine may be no text. Python's escape of its letters is also that of JSON.
        (out / "captions.json").write_text(text, encoding="utf-8", errors="backslashreplace")
    return len(data)
