"""Finding the image files that a listing names, also where the name is spelled a little differently on the disk."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Found:
    """An image file as it was found: what the listing calls it, where it lies, its bytes (-1: it is missing), and the
    time of its last change in nanoseconds.
    """

    name: str
    path: Path
    bytes: int
    changed: int

    @property
    def fingerprint(self) -> list[str | int]:
        """What tells this state of the file from any other."""
        return [self.name, self.bytes, self.changed]


def find(folder: Path, names: Iterable[str]) -> list[Found]:
    """The files of these names in a folder.

    A name that is not there is looked for again by how it reads: whether letters are large or small, how accents are
    composed (macOS writes them otherwise), and which way slashes lean makes no difference then.
    """
    by_reading: dict[str, Path] | None = None
    found = []
    for name in names:
        path = folder / name
        try:
            state = path.stat()
        except (OSError, ValueError):
            if by_reading is None:
                by_reading = _by_reading(folder)
            path = by_reading.get(_reading(name), path)
            try:
                state = path.stat()
            except (OSError, ValueError):
                found.append(Found(name, path, -1, 0))
                continue
        found.append(Found(name, path, state.st_size, state.st_mtime_ns))
    return found


def _reading(name: str) -> str:
    return unicodedata.normalize("NFC", name.replace("\\", "/")).casefold()


def _by_reading(folder: Path) -> dict[str, Path]:
    """The files of a folder by how their names read; of several that read alike, none."""
    files: dict[str, Path] = {}
    alike = set()
    for path in folder.rglob("*"):
        reading = _reading(path.relative_to(folder).as_posix())
        if reading in files:
            alike.add(reading)
        files[reading] = path
    return {reading: path for reading, path in files.items() if reading not in alike}
