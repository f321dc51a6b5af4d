"""`limner data coco` and `limner data folder`: what is there, what is missing, and how to get it."""

import json
import sys
from pathlib import Path
from shlex import quote
from typing import Annotated

import typer
from limner.errors import LimnerError

coco = typer.Typer(add_completion=False)
folder = typer.Typer(add_completion=False)

Thorough = Annotated[bool, typer.Option(help="Decode every image, too; of MS-COCO that takes some minutes.")]


@coco.command(
    "coco",
    epilog="Examples: `limner data coco --root coco`, `limner data coco --root coco --split val2017 --download`",
)
def check_coco(
    root: Annotated[Path, typer.Option(help="MS-COCO's folder.")] = Path("coco"),
    splits: Annotated[
        list[str] | None, typer.Option("--split", help="train2017 or val2017; by default both. May be given often.")
    ] = None,
    download: Annotated[
        bool, typer.Option(help="Fetch what is missing: 0.3 GB of captions, 0.8 GB of val2017, 19.3 GB of train2017.")
    ] = False,
    source: Annotated[
        str | None, typer.Option(metavar="URL", help="Where to fetch from, in place of MS-COCO's site.")
    ] = None,
    remove: Annotated[bool, typer.Option("--remove-archives", help="Remove each archive once it is unpacked.")] = False,
    thorough: Thorough = False,
) -> None:
    """Check MS-COCO's folder: which splits are there, with how many images and captions, and what is missing or broken.

    With --download, what is missing is fetched from MS-COCO's site and unpacked. Stopped and given again, it goes on
    where it was. The status is 0 when nothing is missing.
    """
    from .checking import check
    from .layouts import is_json
    from .published import ANNOTATIONS, SOURCE, SPLITS, obtain

    wanted = list(dict.fromkeys(splits or SPLITS))
    for split in wanted:
        if split not in SPLITS:
            raise LimnerError(f"--split {split}: MS-COCO has captions for {' and '.join(SPLITS)}.")
    if download:
        if root.exists() and not root.is_dir():
            raise LimnerError(f"--root: {root} is a file; name a folder.")
        root.mkdir(parents=True, exist_ok=True)
        if not all(is_json(root / "annotations" / f"captions_{split}.json") for split in wanted):
            obtain(ANNOTATIONS, root, source or SOURCE)
        for split in wanted:
            if not check(split, root, split, thorough=thorough).whole:
                obtain(SPLITS[split], root, source or SOURCE)
        if remove:
            for archive in (ANNOTATIONS, *(SPLITS[split] for split in wanted)):
                (root / archive.name).unlink(missing_ok=True)
    healths = [check(split, root, split, thorough=thorough) for split in wanted]
    print("\n".join(line for health in healths for line in health.sentences()))
    if all(health.whole for health in healths):
        other = "" if "train2017" in wanted else f" --set data.split={wanted[0]}"
        print(f"To train on it: limner train coco --set {quote(f'data.root={root}')}{other}")
        return
    if not download:
        chosen = "".join(f" --split {health.name}" for health in healths if not health.whole)
        more = " --thorough" if thorough else ""
        print(f"To fetch what is missing: limner data coco --root {quote(str(root))}{chosen} --download{more}")
    sys.exit(1)


@folder.command("folder", epilog="Example: `limner data folder --root photos --thorough`")
def check_folder(
    root: Annotated[Path, typer.Option(help="The folder.")] = Path(),
    captions: Annotated[
        str | None, typer.Option(help="The file of captions within it, where it is not to be guessed.")
    ] = None,
    images: Annotated[str | None, typer.Option(help="The folder of images within it, likewise.")] = None,
    thorough: Thorough = False,
) -> None:
    """Check a folder of one's own: how many images and captions it has, and what is missing or broken.

    It is a captions.json in the COCO layout beside images/; or a table (CSV, TSV, JSON Lines) with the columns
    file_name and caption; or images with a .txt of the same name beside each, one caption a line.
    """
    from .checking import check

    health = check(str(root), root, "train2017", captions, images, thorough)
    print("\n".join(health.sentences()))
    if not health.whole:
        sys.exit(1)
    given = {"name": "folder", "root": str(root), "captions": captions, "images": images}
    options = ", ".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in given.items() if value)
    print(f"To train on it: limner train coco --set {quote(f'data={{{options}}}')}")
