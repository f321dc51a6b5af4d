"""Writing captioned images as a folder in the COCO captions layout."""

import json
from collections.abc import Sequence
from pathlib import Path

from einops import rearrange
from PIL import Image
from tqdm import tqdm

from limner.build import build_dataset
from limner.errors import LimnerError
from limner.plugins import host
from limner.recipe import Recipe


def export(recipe: str | Path, out: Path, overrides: Sequence[str] = ()) -> int:
    """Write the data of a recipe to `out`: captions.json and images/. Returns the number of images."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise LimnerError(f"{out} is there already and is not an empty folder; name another one.")
    data = build_dataset(host(), Recipe.read(host(), recipe, overrides)).load()
    for number, pixels in zip(data.image_ids, tqdm(data.pixels, desc="writing", unit=" images")):
        path = out / "images" / data.coco.imgs[number]["file_name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rearrange(pixels, "c h w -> h w c").numpy()).save(path)
    (out / "captions.json").write_text(json.dumps(data.coco.dataset, ensure_ascii=False), encoding="utf-8")
    return len(data)
