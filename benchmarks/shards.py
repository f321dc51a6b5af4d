"""How fast shards are written, read and decoded, and how much memory that takes.

    python benchmarks/shards.py                     # 20,000 drawn scenes of 64 pixels in 20 shards
    python benchmarks/shards.py --images 2000       # fewer

Prints one line per measurement. Writing and reading are done by processes of their own, so that the memory of one does
not count for the other. Before anything is read, the shards are removed from the memory that the system keeps of files.
"""

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

import torch
from limner import Recipe, Tokenizer, host
from limner.data.export import write_shards
from limner.data.streamed_batches import StreamedBatches
from limner.recipes.build import build_dataset
from limner_shards.dataset import Shards

SHARDS = 20
BATCH = 64


@contextmanager
def timed(what: str, count: int, unit: str) -> Iterator[None]:
    """Print how many units a second this context processes."""
    start = time.perf_counter()
    yield
    seconds = time.perf_counter() - start
    print(f"{what:42} {seconds:7.1f} s {count / seconds:9,.0f} {unit}/s", flush=True)


def memory() -> float:
    """The most memory that this process had so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def write(folder: Path, images: int) -> None:
    """Draw scenes and write them as shards."""
    dataset = build_dataset(Recipe.read(host(), "scenes-64", [f"data.count={images}"]))
    with timed("drawing", images, "images"):
        data = dataset.load()
    with timed("writing", images, "images"):
        write_shards(data, folder, SHARDS)


def read(folder: Path, images: int) -> None:
    """Read shards: their bytes, their captions, their images, and batches of these."""
    files = sorted(folder.glob("*.tar"))
    size = sum(path.stat().st_size for path in files)
    for path in files:
        forget(path)
    with timed(f"disk, {size / 1e6:.0f} MB", round(size / 1e6), "MB"):
        for path in files:
            path.read_bytes()
    shards = Shards(64, root=str(folder))
    before = memory()
    with timed("captions, the first time", images, "images"):
        _ = shards.shards
    with timed("captions, kept", images, "images"):
        _ = Shards(64, root=str(folder)).shards
    print(f"{'memory of the captions':42} {memory() - before:7.1f} MB")
    stream = shards.stream()
    before = memory()
    with timed("reading and decoding", images, "images"):
        count = sum(image is not None for image in stream.epoch(torch.Generator().manual_seed(0)))
    assert count == images
    print(f"{'memory of the stream':42} {memory() - before:7.1f} MB")
    words = Tokenizer.learn(stream.captions, Recipe.read(host(), "scenes-64").text)
    batches = StreamedBatches(stream, words, BATCH, seed=0)
    with timed(f"batches of {BATCH}", images // BATCH * BATCH, "images"):
        for _ in islice(batches, images // BATCH):
            pass
    start = time.perf_counter()
    next(stream.epoch(torch.Generator().manual_seed(0), images // 2))
    print(f"{'resuming in the middle of an epoch':42} {time.perf_counter() - start:7.1f} s")


def forget(path: Path) -> None:
    """Remove a file from the memory that the system keeps of files, where that is possible."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def main() -> None:
    """Write shards into a temporary folder, and read them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=20_000, help="how many scenes are drawn")
    parser.add_argument("--folder", help="where the temporary folder is made: on the disk to be measured")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for measure in (write, read):
            process = get_context("spawn").Process(target=measure, args=(Path(folder) / "shards", options.images))
            process.start()
            process.join()
            if process.exitcode:
                raise SystemExit(process.exitcode)


if __name__ == "__main__":
    main()
