"""Safe writing: never into a folder in use, and never half a file. And the files of a folder that belong to it."""

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from limner.errors import LimnerError, is_unicode
from limner.locks import LOCK_FILE

PAUSES = (0.05, 0.2, 0.5, 1.0, 2.0) if os.name == "nt" else ()
"""Seconds to wait, again and again, until a file can be replaced: Windows refuses that while a program reads it."""
OF_SYSTEMS = {".DS_Store", "Thumbs.db", "desktop.ini"}
LEFT_OVER = re.compile(
    r"\..*|.*~|~\$.*|#.*#|.*\.(swp|swo|bak|orig|tmp|temp|part|partial|crdownload)"
    r"|(eh)?thumbs\.db|desktop\.ini|icon\r|__macosx|@eadir|\$recycle\.bin|system volume information",
    re.IGNORECASE | re.DOTALL,
)
"""Names of what systems and editors leave in folders: hidden files, backups, locks, previews, and settings."""


def visible_files(folder: Path, deep: bool = False) -> list[Path]:
    """The regular files of a folder in order, without what systems and editors leave there.

    `deep` adds those of the folders in it, but follows no link to a folder.

    Raises:
        LimnerError: if a folder cannot be listed.
    """

    def refuse(error: OSError) -> None:
        raise LimnerError(f"{error.filename} cannot be listed: {error.strerror}; allow it, or name another folder.")

    found = []
    for parent, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if deep and not LEFT_OVER.fullmatch(name)]
        found += [path for name in files if not LEFT_OVER.fullmatch(name) and (path := Path(parent, name)).is_file()]
    return sorted(found)


def free_folder(folder: Path) -> Path:
    """Return a folder that does not exist yet, or is empty but for hidden files of the system. It is not created.

    Raises:
        LimnerError: if it cannot be created, or is in use.
    """
    if not is_unicode(str(folder)) or "\0" in str(folder):
        raise LimnerError(f"{folder} cannot be the name of a folder, because it is not valid text; name another one.")
    with writing(folder):
        parent = next(parent for parent in folder.absolute().parents if parent.exists())
        if not parent.is_dir():
            raise LimnerError(f"{folder} cannot be created, because {parent} is not a folder; name another one.")
        if folder.exists() and (
            not folder.is_dir() or any(path.name not in {LOCK_FILE, *OF_SYSTEMS} for path in folder.iterdir())
        ):
            raise LimnerError(f"{folder} is there already and is not an empty folder; name another one.")
        if not os.access(folder if folder.exists() else parent, os.W_OK):
            raise LimnerError(f"{folder} is read-only; name another one.")
    return folder


def replace_file(path: Path, content: bytes) -> None:
    """Write a file in one step: it has either its old or its new content, even if the program is killed.

    Raises:
        LimnerError: if it cannot be written.
    """
    with replacing(path) as partial:
        partial.write_bytes(content)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file to write into during this context; at its end, it takes the place of `path` in one step.

    Raises:
        LimnerError: if it cannot be written. What was at `path` is then still there.
    """
    partial = path.with_name(f"{path.name}.partial")
    with writing(path, partial):
        partial.unlink(missing_ok=True)  # it may be a link, and what it points to stays as it is
        yield partial
        for pause in PAUSES:
            with suppress(PermissionError):
                partial.replace(path)
                return
            time.sleep(pause)
        partial.replace(path)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """While this context lasts, a missing permission or a name that is too long is one sentence.

    Raises:
        LimnerError: naming `path`.
    """
    try:
        yield
    except OSError as error:
        raise LimnerError(f"{path} cannot be read: {error.strerror or error}; check its name and permission.") from None


@contextmanager
def writing(path: Path, partial: Path | None = None) -> Iterator[None]:
    """While this context lasts, a full disk, a missing permission or a name that is too long is one sentence.

    `partial` is a file that is removed if writing fails.

    Raises:
        LimnerError: naming `path`.
    """
    try:
        yield
    except Exception as error:
        if not isinstance(error, OSError | UnicodeError) and "(os error " not in str(error):  # the words of Rust
            raise
        if partial is not None:
            with suppress(OSError):  # it is the name that is wrong
                partial.unlink(missing_ok=True)
        cause = getattr(error, "strerror", None) or error
        raise LimnerError(f"{path} cannot be written: {cause}; make room or name another place.") from None
