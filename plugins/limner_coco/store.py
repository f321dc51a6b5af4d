"""A store of decoded images on disk, so that no later epoch, training or process decodes an image again.

The store of a folder is two files that only grow. `*.pixels` holds the squares, one after the other. `*.index` holds
a line with what decides all of them (the decoder, their size, the folder of the images), and one line of JSON per image
file, in the order of the listing: its path in that folder, size in bytes, time of the last change, and why the file
cannot be used. A line is written after its pixels, so interrupted work resumes after the last line. The store is valid
as long as the listing starts with the same files; from the first new or changed file on, it is made again.

A folder from elsewhere may bring a `.limner` of its own. Nothing in it is followed that is a link.
"""

import errno
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import torch
from einops import rearrange
from jaxtyping import UInt8
from limner import DECODER_VERSION, LimnerError, decode_images
from torch import Tensor
from tqdm import tqdm

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

    def __init__(self, folder: Path, name: str, size: int, images: str = ""):
        """`name`: of the listing, unique in the folder; `size`: of the squares, in pixels; `images`: their folder."""
        self.pixels, self.index = (folder / f"{name}-{size}px.{ending}" for ending in ("pixels", "index"))
        self.size = size
        self.bytes_each = 3 * size * size
        self.header = {"preparation": DECODER_VERSION, "size": size, "images": images}

    def prepare(self, files: Sequence[Found]) -> Prepared:
        """The squares of these files. Those that are not in the store are made and added, with a progress bar.

        Raises:
            LimnerError: if the store cannot be written, or the disk is too small for it.
        """
        try:
            self.index.parent.mkdir(parents=True, exist_ok=True)
            with _locked(self.index.with_suffix(".lock")):
                for path in (self.pixels, self.index):
                    with suppress(FileNotFoundError):
                        _open(path, "rb").close()
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
            except (ValueError, RecursionError):
                entry = None
            if number == 0:
                if entry != self.header:
                    return [], 0
            else:
                if not isinstance(entry, list) or len(entry) != 4 or not isinstance(entry[3], str | None):
                    break
                if entry[3] is None and rows == 0:
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
        with _open(new_pixels, "xb") as new:
            left = sum(problem is None for *_, problem in kept) * self.bytes_each
            if left:
                with _open(self.pixels, "rb") as old:
                    while left:
                        left -= new.write(old.read(min(left, 1 << 24)))
        with _open(new_index, "xb") as new:
            new.write(index)
        new_pixels.replace(self.pixels)
        new_index.replace(self.index)
        return len(index)

    def _add(self, files: Sequence[Found], start: int, length: int, rows: int) -> list[str | None]:
        """Adds the files from `start` on, in chunks, after `length` bytes of the index and `rows` rows of pixels."""
        problems: list[str | None] = []
        few = len(files) - start < 500
        with (
            _open(self.pixels, "r+b") as pixels,
            _open(self.index, "r+b") as index,
            tqdm(total=len(files), initial=start, desc="preparing", unit=" images", disable=few) as bar,
        ):
            index.truncate(length)
            index.seek(length)
            pixels.truncate(rows * self.bytes_each)
            pixels.seek(rows * self.bytes_each)
            for first in range(start, len(files), CHUNK):
                chunk = files[first : first + CHUNK]
                made = decode_images([found.path for found in chunk], self.size)
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
        if default.is_symlink():
            raise LimnerError(
                f"{default} is a link, and no link is followed; remove it, or name a folder with data.cache."
            )
        with suppress(OSError):
            default.mkdir(exist_ok=True)
            if os.access(default, os.W_OK):
                return default, ""
    elsewhere = at_home(given or "~/.cache/limner", "data.cache")
    resolved = root.resolve()
    key = hashlib.sha256(os.fsencode(resolved)).hexdigest()[:8]
    return elsewhere, f"{resolved.name.encode(errors='replace').decode()[:40]}-{key}-"


def at_home(path: str, option: str) -> Path:
    """The path of an option, in which `~` stands for a home folder.

    Raises:
        LimnerError: if there is no such home.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise LimnerError(
            f"{option}: {path} is in the home folder of a user who does not exist; write it out."
        ) from None


def _open(path: Path, mode: str) -> BinaryIO:
    """Opens a file of the store. One of the name `*.new` is made, in place of a left-over one.

    Raises:
        LimnerError: if it is a link, has a second name, or is not a file.
    """

    refusal = LimnerError(f"{path} is a link or not a file, and is neither read nor written; remove it.")

    def opener(name: str, flags: int) -> int:
        number = os.open(name, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0), 0o666)
        state = os.fstat(number)
        if not stat.S_ISREG(state.st_mode) or state.st_nlink > 1:
            os.close(number)
            raise refusal
        return number

    if path.is_symlink():
        raise refusal
    if mode == "xb":
        path.unlink(missing_ok=True)
    return cast(BinaryIO, open(path, mode, opener=opener))  # Path.open takes no opener


def _line(entry: object) -> bytes:
    return json.dumps(entry, separators=(",", ":")).encode() + b"\n"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """A context for one process at a time; if a process dies, its lock is released."""
    with _open(path, "a+b") as file:
        try:
            import fcntl
        except ImportError:  # Windows
            import msvcrt

            file.seek(0)
            taken = False
            while not taken:
                try:
                    msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)  # pyright: ignore[reportAttributeAccessIssue]
                    taken = True
                except OSError as error:
                    if error.errno != errno.EDEADLK:  # which says that another process had it for ten seconds
                        raise
        else:
            with suppress(OSError):  # some network disks have no locks
                fcntl.flock(file, fcntl.LOCK_EX)
        yield
