"""Finds the image files that a listing names, even if a name is spelled a little differently on disk."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Found:
    """An image file: its name in the listing, its path, its size in bytes (-1 if it is missing), and the time of its
    last change in nanoseconds.
    """

    name: str
    path: Path
    bytes: int
    changed: int

    @property
    def fingerprint(self) -> list[str | int]:
        """What identifies this state of the file."""
        return [self.name, self.bytes, self.changed]


def find(folder: Path, names: Iterable[str]) -> list[Found]:
    """The files with these names in a folder.

    If there is no file with a name, the search ignores upper and lower case, the composition of accents (macOS writes
    them differently), and the direction of slashes.
    """
    by_normalized: dict[str, Path] | None = None
    found = []
    for name in names:
        path = folder / name
        try:
            state = path.stat()
        except (OSError, ValueError):
            if by_normalized is None:
                by_normalized = _by_normalized(folder)
            path = by_normalized.get(_normalized(name), path)
            try:
                state = path.stat()
            except (OSError, ValueError):
                found.append(Found(name, path, -1, 0))
                continue
        found.append(Found(name, path, state.st_size, state.st_mtime_ns))
    return found


def _normalized(name: str) -> str:
    return unicodedata.normalize("NFC", name.replace("\\", "/")).casefold()


def _by_normalized(folder: Path) -> dict[str, Path]:
    """The files of a folder by their normalized names, without those whose normalized name is not unique."""
    files: dict[str, Path] = {}
    ambiguous = set()
    for path in folder.rglob("*"):
        name = _normalized(path.relative_to(folder).as_posix())
        if name in files:
            ambiguous.add(name)
        files[name] = path
    return {name: path for name, path in files.items() if name not in ambiguous}
