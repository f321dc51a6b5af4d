"""Finds the image files that a listing names, even if a name is spelled a little differently on disk."""

import os
import stat
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from limner import LimnerError, visible_files

NOT_IMAGES = (".txt", ".caption", ".json", ".jsonl", ".csv", ".tsv", ".npy", ".npz")
"""Endings of files beside an image that have its name."""


@dataclass(frozen=True)
class Found:
    """An image file: its name in the listing, its path, its size in bytes (-1 if it is missing), and the time of its
    last change in nanoseconds. `place` is its path in the folder, if it differs from the name.
    """

    name: str
    path: Path
    bytes: int
    changed: int
    place: str = ""
    is_file: bool = True  # and not a folder, a pipe or a device

    @property
    def fingerprint(self) -> list[str | int]:
        """What identifies this state of the file."""
        return [self.place or self.name, self.bytes, self.changed]


def find(folder: Path, names: Iterable[str], root: Path | None = None) -> list[Found]:
    """The files with these names in a folder.

    If there is no file with a name, the search ignores upper and lower case, the composition of accents (macOS writes
    them differently), the direction of slashes, and a missing ending.

    Raises:
        LimnerError: if a name leads outside of the folder and of `root`, or if a folder may not be read.
    """
    borders = Borders([folder, root or folder], "put a copy there, or name its folder with data.images")
    by_normalized: dict[str, Path] | None = None
    found = []
    for name in names:
        path = folder / name
        borders.check(path, name)
        state = _state(path)
        if state is None:
            if by_normalized is None:
                by_normalized = _by_normalized(folder)
            path = by_normalized.get(_normalized(name), path)
            borders.check(path, name)
            state = _state(path)
        if state is None:
            found.append(Found(name, path, -1, 0))
            continue
        place = "" if path == folder / name else os.path.relpath(path, folder)
        found.append(Found(name, path, state.st_size, state.st_mtime_ns, place, stat.S_ISREG(state.st_mode)))
    return found


def _state(path: Path) -> os.stat_result | None:
    """The state of a file, None if there is no such file.

    Raises:
        LimnerError: if its folder may not be read.
    """
    try:
        return path.stat()
    except PermissionError as error:
        raise LimnerError(f"{path} cannot be read: {error.strerror}; allow it, or leave the image out.") from None
    except (OSError, ValueError):  # a name can be too long, or have letters that no name can have
        return None


class Borders:
    """The folders of which files are read. A folder from elsewhere could name, or link to, any file of this machine."""

    def __init__(self, folders: Iterable[Path], remedy: str = "put a copy there"):
        self.folders = [Path(os.path.realpath(folder)) for folder in folders]
        self.remedy = remedy
        self.known: dict[Path, bool] = {}

    def check(self, path: Path, name: str) -> None:
        """Raises a `LimnerError` if a path leads outside, also through a link."""
        parent = path.parent
        if parent not in self.known:
            self.known[parent] = self._holds(parent)
        if not self.known[parent] or ((path.name == ".." or _is_link(path)) and not self._holds(path)):
            raise LimnerError(
                f"The file '{name:.200}' is outside of {self.folders[-1]}, and only files within are read; "
                f"{self.remedy}."
            )

    def _holds(self, path: Path) -> bool:
        try:
            real = Path(os.path.realpath(path))
        except (OSError, ValueError):  # no such file can be
            return True
        return any(real.is_relative_to(folder) for folder in self.folders)


def _is_link(path: Path) -> bool:
    try:
        return path.is_symlink()
    except (OSError, ValueError):
        return False


def _normalized(name: str) -> str:
    return unicodedata.normalize("NFC", name.replace("\\", "/")).casefold()


def _by_normalized(folder: Path) -> dict[str, Path]:
    """The files of a folder by their normalized names, with and without ending, where these are unique."""
    whole: dict[str, list[Path]] = {}
    stems: dict[str, list[Path]] = {}
    for path in visible_files(folder, deep=True):
        name = _normalized(path.relative_to(folder).as_posix())
        whole.setdefault(name, []).append(path)
        if path.suffix.lower() not in NOT_IMAGES:
            stems.setdefault(name.removesuffix(path.suffix.lower()), []).append(path)
    return {name: paths[0] for name, paths in {**stems, **whole}.items() if len(paths) == 1}
