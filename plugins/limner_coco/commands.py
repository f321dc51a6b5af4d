"""`limner data coco` and `limner data folder`: they check data, and download what is missing."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from limner import LimnerError, shell_quote

coco = typer.Typer(add_completion=False)
folder = typer.Typer(add_completion=False)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Thorough = Annotated[bool, typer.Option(help="Decode every image as well; for MS-COCO this takes some minutes.")]

FEW = 500
"""Up to so many images, coco-small shows each 128 times in its 2,000 steps; `emoji` shows its 1,644 images 68 times."""


@coco.command(
    "coco",
    epilog="Examples: `limner data coco --root coco`, `limner data coco --root coco --split val2017 --download`",
)
def check_coco(
    root: Annotated[Path, typer.Option(help="The folder of MS-COCO.")] = Path("coco"),
    splits: Annotated[
        list[str] | None, typer.Option("--split", help="train2017 or val2017; by default both. Can be repeated.")
    ] = None,
    download: Annotated[
        bool,
        typer.Option(help="Download what is missing: captions 0.3 GB, val2017 0.8 GB, train2017 19.3 GB."),
    ] = False,
    source: Annotated[
        str | None, typer.Option(metavar="URL", help="Where to download from, instead of the site of MS-COCO.")
    ] = None,
    remove: Annotated[bool, typer.Option("--remove-archives", help="Remove each archive after unpacking it.")] = False,
    thorough: Thorough = False,
    as_json: AsJson = False,
) -> None:
    """Check the folder of MS-COCO: splits, numbers of images and captions, and what is missing or broken.

    With --download, what is missing is downloaded from the site of MS-COCO and unpacked. If the command is stopped, run
    it again to resume. The exit status is 0 if nothing is missing.
    """
    from .checking import check
    from .published import SOURCE, SPLITS

    wanted = list(dict.fromkeys(splits or SPLITS))
    for split in wanted:
        if split not in SPLITS:
            raise LimnerError(f"--split {split}: MS-COCO has captions for {' and '.join(SPLITS)}.")
    if download:
        try:
            _fetch_missing(root, wanted, source or SOURCE, remove, thorough)
        except OSError as error:
            raise LimnerError(f"--root: nothing can be written in {root}: {error.strerror or error}.") from None
    healths = [check(split, root, split, thorough=thorough) for split in wanted]
    if as_json:
        print(json.dumps([health.table() for health in healths], indent=1))
        sys.exit(not all(health.complete for health in healths))
    print("\n".join(line for health in healths for line in health.sentences()))
    if all(health.complete for health in healths):
        settings = {"data.root": str(root)} | ({} if "train2017" in wanted else {"data.split": wanted[0]})
        changes = [
            f"--set {shell_quote(f'{key}={json.dumps(value, ensure_ascii=False)}')}" for key, value in settings.items()
        ]
        print("To train on it: limner train coco", *changes)
        return
    if incomplete := [health.name for health in healths if health.lacks_files and not download]:
        options = [f"--split {split}" for split in incomplete] + ["--download"] + ["--thorough"] * thorough
        print(f"To download what is missing: limner data coco --root {shell_quote(str(root))}", *options)
    sys.exit(1)


def _fetch_missing(root: Path, splits: list[str], source: str, remove: bool, thorough: bool) -> None:
    """Downloads and unpacks what these splits lack; the captions first, as they say which images there should be."""
    from .checking import check
    from .files import is_json
    from .published import ANNOTATIONS, SPLITS, obtain

    if root.exists() and not root.is_dir():
        raise LimnerError(f"--root: {root} is a file; name a folder.")
    root.mkdir(parents=True, exist_ok=True)
    if not all(is_json(root / "annotations" / f"captions_{split}.json") for split in splits):
        obtain(ANNOTATIONS, root, source)
    for split in splits:
        if check(split, root, split, thorough=thorough).lacks_files:
            obtain(SPLITS[split], root, source)
        if remove:  # right away: the next archive may need the space
            (root / SPLITS[split].name).unlink(missing_ok=True)
    if remove:
        (root / ANNOTATIONS.name).unlink(missing_ok=True)


@folder.command("folder", epilog="Example: `limner data folder --root photos --thorough`")
def check_folder(
    root: Annotated[Path, typer.Option(help="The folder.")] = Path(),
    captions: Annotated[
        str | None, typer.Option(help="The file of captions in it, if it is not found automatically.")
    ] = None,
    images: Annotated[
        str | None, typer.Option(help="The folder of images in it, if it is not found automatically.")
    ] = None,
    thorough: Thorough = False,
    as_json: AsJson = False,
) -> None:
    """Check a folder of your own: how many images and captions it has, and what is missing or broken.

    It can hold captions.json in the COCO layout and a folder images; or a table (CSV, TSV, JSON Lines) with the columns
    file_name and caption; or images, each with a .txt file of the same name, one caption per line; or a published set
    such as Flickr8k, Flickr30k, Karpathy's splits, TextCaps, VizWiz, nocaps, CUB or Oxford-102.
    """
    from .checking import check

    health = check(str(root), root, "train2017", captions, images, thorough)
    if as_json:
        print(json.dumps(health.table(), indent=1))
        sys.exit(not health.complete)
    print("\n".join(health.sentences()))
    if not health.complete:
        sys.exit(1)
    given = {"name": "folder", "root": str(root), "captions": captions, "images": images}
    options = ", ".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in given.items() if value)
    if health.images <= FEW:
        print("For so few images, there is the recipe coco-small in place of coco: the model remembers them.")
    print(f"To train on it: limner train coco --set {shell_quote(f'data={{{options}}}')}")
