"""A store of decoded images on disk, so that no later epoch, training or process decodes an image again.

The store of a folder is two files that only grow. `*.pixels` holds the squares, one after the other. `*.index` holds
one line of JSON per image file, in the order of the listing: name, size in bytes, time of the last change, and why the
file cannot be used. A line is written after its pixels, so interrupted work resumes after the last line. The store is
valid as long as the listing starts with the same files; from the first new or changed file on, it is made again.
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

from .decoding import PREPARATION, safe_decoding, try_decode
from .finding import Found

CHUNK = 256  # images prepared at a time; an interruption loses at most so many


@dataclass(frozen=True)
class Prepared:
    """Prepared images. `pixels` are those of the usable files, in order. `problems` has None for each usable file, and
    the reason why it cannot be used for each other file.
    """

    pixels: UInt8[Tensor, "N 3 S S"]
    problems: list[str | None]


class PixelStore:
    """The store of one listing at one image size, in a folder."""

    def __init__(self, folder: Path, name: str, size: int):
        """`name`: of the listing, unique in the folder; `size`: of the squares, in pixels."""
        self.pixels, self.index = (folder / f"{name}-{size}px.{ending}" for ending in ("pixels", "index"))
        self.size = size
        self.bytes_each = 3 * size * size
        self.header = {"preparation": PREPARATION, "size": size}

    def prepare(self, files: Sequence[Found]) -> Prepared:
        """The squares of these files. Those that are not in the store are made and added, with a progress bar.

        Raises:
            LimnerError: if the store cannot be written, or the disk is too small for it.
        """
        try:
            self.index.parent.mkdir(parents=True, exist_ok=True)
            with _locked(self.index.with_suffix(".lock")):
                problems = self._update(files)
        except OSError as error:
            raise LimnerError(
                f"The prepared images cannot be stored in {self.index.parent}: {error.strerror or error}; "
                "name another folder with data.cache."
            ) from None
        rows = problems.count(None)
        return Prepared(self._mapped(rows), problems)

    def _mapped(self, rows: int) -> UInt8[Tensor, "N 3 S S"]:
        """The first rows, mapped into memory: they are read on access, and changes to them stay in memory."""
        if not rows:
            return torch.empty(0, 3, self.size, self.size, dtype=torch.uint8)
        flat = torch.from_file(str(self.pixels), shared=False, size=rows * self.bytes_each, dtype=torch.uint8)
        return rearrange(flat, "(n c h w) -> n c h w", c=3, h=self.size, w=self.size)

    def _update(self, files: Sequence[Found]) -> list[str | None]:
        """Makes what the store lacks; returns the problem of each file."""
        stored, length = self._read()
        same = 0
        while same < min(len(stored), len(files)) and stored[same][:3] == files[same].fingerprint:
            same += 1
        problems = [problem for *_, problem in stored[:same]]
        if same == len(files):
            return problems
        if same < len(stored):
            length = self._rewrite(stored[:same])
        elif not length:
            length = self._rewrite([])
        self._require_space((len(files) - same) * self.bytes_each)
        return problems + self._add(files, same, length, problems.count(None))

    def _read(self) -> tuple[list[list[Any]], int]:
        """The lines of the index that are complete and have their pixels, and their length in bytes."""
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

    def _rewrite(self, kept: list[list[Any]]) -> int:
        """Writes new files with the entries that are kept, and returns the length of the index. A training that has the
        old files mapped keeps them.
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
        """Adds the files from `start` on, in chunks, after `length` bytes of the index and `rows` rows of pixels."""
        problems: list[str | None] = []
        make = partial(try_decode, size=self.size)
        few = len(files) - start < 500
        with (
            self.pixels.open("r+b") as pixels,
            self.index.open("r+b") as index,
            safe_decoding(),
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
                of_chunk = [image if isinstance(image, str) else None for image in made]
                index.write(b"".join(_line([*f.fingerprint, p]) for f, p in zip(chunk, of_chunk)))
                index.flush()
                problems += of_chunk
                bar.update(len(chunk))
        return problems

    def _require_space(self, needed: int) -> None:
        free = shutil.disk_usage(self.index.parent).free
        if needed > free:
            raise LimnerError(
                f"The prepared images need {needed / 1e6:.0f} MB in {self.index.parent}, where {free / 1e6:.0f} MB are "
                "free; name a folder on another disk with data.cache, or use fewer images with data.limit."
            )


def store_folder(root: Path, given: str | None) -> tuple[Path, str]:
    """The folder of the stores of a root, and the prefix of their names: the given folder, or else `.limner` in the
    root, or, if that is not writable, `.cache/limner` in the home folder.
    """
    if given is None and root.stat().st_mode & 0o222:  # os.access is always true for an administrator
        default = root / ".limner"
        with suppress(OSError):
            default.mkdir(exist_ok=True)
            if os.access(default, os.W_OK):
                return default, ""
    elsewhere = Path(given).expanduser() if given else Path.home() / ".cache" / "limner"
    resolved = str(root.resolve())
    return elsewhere, f"{root.resolve().name}-{hashlib.sha256(resolved.encode()).hexdigest()[:8]}-"


def _line(entry: object) -> bytes:
    return json.dumps(entry, separators=(",", ":")).encode() + b"\n"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """A context for one process at a time; if a process dies, its lock is released."""
    with path.open("a+b") as file:
        try:
            import fcntl
        except ImportError:  # Windows
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)  # pyright: ignore[reportAttributeAccessIssue]
        else:
            with suppress(OSError):  # some network disks have no locks
                fcntl.flock(file, fcntl.LOCK_EX)
        yield
