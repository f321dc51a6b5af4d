"""Pixels that were made once and lie in a file, so that no later epoch, training or process decodes an image again.

The store of a folder is two files that only grow: `*.pixels` has the squares, one after the other; `*.index` a line of
JSON for each image file that was looked at, in the order of the listing: name, bytes, time of its last change, and why
it cannot be used. A line is written after its pixels, so that whatever stops the work, the next one goes on behind the
last line. What is stored holds as far as the listing begins with the very same files; behind the first that is new or
was changed, the rest is made anew.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from jaxtyping import UInt8
from limner import LimnerError
from torch import Tensor
from tqdm import tqdm

from .decoding import PREPARATION, decode_or_say, within_reason
from .finding import Found

CHUNK = 256  # images that are made at a time; at most so many are lost where the work is stopped


@dataclass(frozen=True)
class Prepared:
    """Images that were made squares: `pixels` of those that can be used, in their order; `problems` has None for each
    of these, and says of every other one why not.
    """

    pixels: UInt8[Tensor, "N 3 S S"]
    problems: list[str | None]


class PixelStore:
    """The store of one listing at one image size, in a folder."""

    def __init__(self, folder: Path, name: str, size: int):
        """`name` tells apart the listings that have their stores in one folder; `size`: of the squares, in pixels."""
        self.pixels, self.index = (folder / f"{name}-{size}px.{ending}" for ending in ("pixels", "index"))
        self.size = size
        self.bytes_each = 3 * size * size
        self.header = {"preparation": PREPARATION, "size": size}

    def prepare(self, files: Sequence[Found]) -> Prepared:
        """The squares of these files; those that are not in the store are made and added, which a progress bar shows.

        Raises:
            LimnerError: where the store cannot be written, or the disk is too small for it.
        """
        try:
            self.index.parent.mkdir(parents=True, exist_ok=True)
            with _locked(self.index.with_suffix(".lock")):
                problems = self._brought_up_to(files)
        except OSError as error:
            raise LimnerError(
                f"The prepared images cannot be stored in {self.index.parent}: {error.strerror or error}; "
                "name another folder by data.cache."
            ) from None
        rows = problems.count(None)
        return Prepared(self._mapped(rows), problems)

    def _mapped(self, rows: int) -> UInt8[Tensor, "N 3 S S"]:
        """The first rows, mapped into memory: read when touched, and what is written to them stays in memory."""
        if not rows:
            return torch.empty(0, 3, self.size, self.size, dtype=torch.uint8)
        flat = torch.from_file(str(self.pixels), shared=False, size=rows * self.bytes_each, dtype=torch.uint8)
        return rearrange(flat, "(n c h w) -> n c h w", c=3, h=self.size, w=self.size)

    def _brought_up_to(self, files: Sequence[Found]) -> list[str | None]:
        """Make what the store has not; returns what is wrong with each of the files."""
        stored, length = self._read()
        same = 0
        while same < min(len(stored), len(files)) and stored[same][:3] == files[same].fingerprint:
            same += 1
        problems = [problem for *_, problem in stored[:same]]
        if same == len(files):
            return problems
        if same < len(stored):
            length = self._start_anew(stored[:same])
        elif not length:
            length = self._start_anew([])
        self._require_space((len(files) - same) * self.bytes_each)
        return problems + self._add(files, same, length, problems.count(None))

    def _read(self) -> tuple[list[list[Any]], int]:
        """The lines of the index that are whole and have their pixels, and the length in bytes up to there."""
        try:
            lines = self.index.read_bytes().splitlines(keepends=True)
            rows = self.pixels.stat().st_size // self.bytes_each
        except FileNotFoundError:
            return [], 0
        stored, length = [], 0
        for number, line in enumerate(lines):
            try:
                entry = json.loads(line) if line.endswith(b"\n") else None
            except ValueError:
                entry = None
            if number == 0:
                if entry != self.header:
                    return [], 0
            else:
                if not isinstance(entry, list) or len(entry) != 4 or (entry[3] is None and rows == 0):
                    break
                rows -= entry[3] is None
                stored.append(entry)
            length += len(line)
        return stored, length

    def _start_anew(self, kept: list[list[Any]]) -> int:
        """New files with what is kept of the old ones, which a training may have mapped and keeps then; returns the
        length of the index.
        """
        new_pixels, new_index = (path.with_name(f"{path.name}.new") for path in (self.pixels, self.index))
        index = b"".join(_line(entry) for entry in (self.header, *kept))
        with new_pixels.open("wb") as new:
            left = sum(problem is None for *_, problem in kept) * self.bytes_each
            if left:
                with self.pixels.open("rb") as old:
                    while left:
                        left -= new.write(old.read(min(left, 1 << 24)))
        new_index.write_bytes(index)
        new_pixels.replace(self.pixels)
        new_index.replace(self.index)
        return len(index)

    def _add(self, files: Sequence[Found], start: int, length: int, rows: int) -> list[str | None]:
        """Make the files from `start` on, chunk by chunk: behind so many bytes of the index and rows of pixels."""
        problems: list[str | None] = []
        make = partial(decode_or_say, size=self.size)
        few = len(files) - start < 500
        with (
            self.pixels.open("r+b") as pixels,
            self.index.open("r+b") as index,
            within_reason(),
            ThreadPoolExecutor() as pool,
            tqdm(total=len(files), initial=start, desc="preparing", unit=" images", disable=few) as bar,
        ):
            index.truncate(length)
            index.seek(length)
            pixels.truncate(rows * self.bytes_each)
            pixels.seek(rows * self.bytes_each)
            for first in range(start, len(files), CHUNK):
                chunk = files[first : first + CHUNK]
                made = list(pool.map(make, [found.path for found in chunk]))
                pixels.write(b"".join(image.tobytes() for image in made if not isinstance(image, str)))
                pixels.flush()
                os.fsync(pixels.fileno())
                found_wrong = [image if isinstance(image, str) else None for image in made]
                index.write(b"".join(_line([*f.fingerprint, p]) for f, p in zip(chunk, found_wrong)))
                index.flush()
                problems += found_wrong
                bar.update(len(chunk))
        return problems

    def _require_space(self, needed: int) -> None:
        free = shutil.disk_usage(self.index.parent).free
        if needed > free:
            raise LimnerError(
                f"The prepared images need {needed / 1e6:.0f} MB in {self.index.parent}, where {free / 1e6:.0f} MB are "
                "free; name a folder on another disk by data.cache, or take fewer images by data.limit."
            )


def store_folder(root: Path, given: str | None) -> tuple[Path, str]:
    """The folder of the stores of a root, and what their names begin with: the one that is given, else `.limner` in
    the root itself, else, where nobody is meant to write there, `.cache/limner` in the user's own folder.
    """
    if given is None and root.stat().st_mode & 0o222:  # an administrator could write all the same
        beside = root / ".limner"
        with suppress(OSError):
            beside.mkdir(exist_ok=True)
            if os.access(beside, os.W_OK):
                return beside, ""
    elsewhere = Path(given).expanduser() if given else Path.home() / ".cache" / "limner"
    resolved = str(root.resolve())
    return elsewhere, f"{root.resolve().name}-{hashlib.sha256(resolved.encode()).hexdigest()[:8]}-"


def _line(entry: object) -> bytes:
    return json.dumps(entry, separators=(",", ":")).encode() + b"\n"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Only one process at a time is in here; the lock of one that dies is free again."""
    with path.open("a+b") as file:
        try:
            import fcntl
        except ImportError:  # Windows
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)  # pyright: ignore[reportAttributeAccessIssue]
        else:
            with suppress(OSError):  # some network disks know no locks
                fcntl.flock(file, fcntl.LOCK_EX)
        yield
