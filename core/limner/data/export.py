"""Writing captioned images as a folder in the COCO captions layout, or as shards in that of WebDataset."""

import json
from collections import Counter
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from einops import rearrange
from PIL import Image
from tqdm import tqdm
from webdataset.writer import TarWriter

from limner.data.captions import storable
from limner.errors import LimnerError
from limner.files import free_folder, writing
from limner.plugins import host
from limner.recipes.build import build_dataset
from limner.recipes.schema import Recipe
from limner.types import CaptionedImages


def export(recipe: str | Path, out: Path, overrides: Sequence[str] = (), shards: int | None = None) -> int:
    """Write the data of a recipe to `out`: captions.json and images/ as PNG files, or that many shards. Returns the
    number of images.

    Raises:
        LimnerError: if `out` is in use or cannot be written, if two images would have one name, if there are more
            shards than images, or if the data is streamed, so that memory has only some of it.
    """
    free_folder(out)
    dataset = build_dataset(Recipe.read(host(), recipe, overrides))
    if dataset.stream() is not None:
        raise LimnerError("This data is streamed from shards, which are files already; copy these.")
    data = dataset.load()
    if shards:
        write_shards(data, out, shards)
    else:
        write_folder(data, out)
    return len(data)


def write_folder(data: CaptionedImages, out: Path) -> None:
    """Write captions.json and images/."""
    entries = [data.coco.imgs[number] for number in data.image_ids]
    names = [name if name.endswith(".png") else f"{name}.png" for name in (entry["file_name"] for entry in entries)]
    if strays := [name for name in names if Path(name).anchor or ".." in Path(name).parts]:
        raise LimnerError(f"The image {strays[0]} would be written outside {out}; give it a plain file_name.")
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise LimnerError(f"Two images would be written as {twice[0]}; give them different names.")
    with writing(out):
        for name, pixels in zip(names, tqdm(data.pixels, desc="writing", unit=" images")):
            path = out / "images" / name
            if path.exists():  # as x.png after X.png on a disk that ignores case, or after ./x.png
                raise LimnerError(
                    f"{name} and the name of another image are one file on this disk; rename one of them."
                )
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rearrange(pixels, "c h w -> h w c").numpy()).save(path)
        images = [{**entry, "file_name": name} for entry, name in zip(entries, names)]
        annotations = [annotation for of_image in data.annotations for annotation in of_image]
        table = {**data.coco.dataset, "images": images, "annotations": annotations}
        text = json.dumps(table, ensure_ascii=False)
        # A file name of this machine may be no text. Python's escape of its letters is also that of JSON.
        (out / "captions.json").write_text(text, encoding="utf-8", errors="backslashreplace")


def write_shards(data: CaptionedImages, out: Path, shards: int) -> None:
    """Write tar files of nearly equal size, shard-000000.tar and so on.

    An image is N.png, its captions are the lines of N.txt, and all that the data knows of it is in N.json.
    """
    if shards > len(data):
        raise LimnerError(f"--shards {shards}: there are only {len(data)} images; write fewer shards.")
    with writing(out), tqdm(total=len(data), desc="writing", unit=" images") as bar:
        out.mkdir(parents=True, exist_ok=True)
        for number in range(shards):
            rows = range(number * len(data) // shards, (number + 1) * len(data) // shards)
            path = out / f"shard-{number:06d}.tar"
            with path.open("wb") as file, TarWriter(file, encoder=False, mtime=0) as tar:
                for row in rows:
                    tar.write(sample_of(data, row))
                    bar.update()


def sample_of(data: CaptionedImages, row: int) -> dict[str, Any]:
    """An image as a sample of WebDataset: the contents of its files by their endings."""
    image = BytesIO()
    Image.fromarray(rearrange(data.pixels[row], "c h w -> h w c").numpy()).save(image, "png")
    entry: dict[str, Any] = {**data.coco.imgs[data.image_ids[row]]}
    annotations = data.annotations[row]
    kept = {key: value for key, value in entry.items() if key != "id"}
    kept["annotations"] = [{k: v for k, v in a.items() if k not in ("id", "image_id")} for a in annotations]
    return {
        "__key__": f"{row:08d}",
        "png": image.getvalue(),
        "txt": storable("\n".join(a["caption"] for a in annotations)).encode(),
        "json": json.dumps(kept, ensure_ascii=False).encode(errors="replace"),  # a file name may be no text
    }
