"""`limner data shards`: it checks shards, and keeps their captions beside them."""

import json
import sys
from collections import Counter
from typing import Annotated

import typer
from limner import shell_quote

shards = typer.Typer(add_completion=False)


@shards.command("shards", epilog="Example: `limner data shards --root photo-shards --thorough`")
def check_shards(
    root: Annotated[str, typer.Option(help="The folder of the shards, or a pattern: data/{000..019}.tar.")] = ".",
    thorough: Annotated[bool, typer.Option(help="Decode every image as well.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check tar files in the layout of WebDataset: how many images and captions they have, and what is broken.

    Missing, truncated and empty shards are named. The captions are kept beside the shards, so that trainings need not
    look for them. The exit status is 0 if nothing is missing or broken.
    """
    from limner import decode_images
    from tqdm import tqdm

    from .listing import find_shards, first_few, read_shards
    from .tars import Sample, read_samples

    found = read_shards(find_shards(root))
    notes = [f"{shard.path}: {problem}" for shard in found for problem in shard.problems]
    captions = [of_image for shard in found for of_image in shard.captions]
    if thorough:
        for shard in tqdm(found, desc="decoding", unit=" shards"):
            for sample in read_samples(shard.path):
                if isinstance(sample, Sample) and isinstance(why := decode_images([sample.image], 64)[0], str):
                    notes.append(f"{shard.path}: {sample.name} cannot be decoded ({why})")
    if as_json:
        total = {"shards": len(found), "bytes": sum(shard.size for shard in found), "images": len(captions)}
        total |= {"captions": sum(map(len, captions))}
        print(json.dumps({**total, "notes": notes, "complete": not notes}, indent=1))
        sys.exit(bool(notes))
    counts = Counter(map(len, captions))
    each = f"{min(counts)} to {max(counts)}" if len(counts) > 1 else f"{min(counts)}"
    size = sum(shard.size for shard in found)
    print(
        f"{len(found)} shards of {size / 1e6:.1f} MB: {len(captions)} images, {sum(map(len, captions))} captions "
        f"({each} per image)."
    )
    if notes:
        print(f"{len(notes)} keys cannot be used: {first_few(notes)}")
        sys.exit(1)
    given = f"data={{name={json.dumps('shards')}, root={json.dumps(root, ensure_ascii=False)}}}"
    print(f"To train on them: limner train coco --set {shell_quote(given)}")
