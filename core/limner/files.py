"""Safe writing: never into a folder in use, and never half a file."""

from pathlib import Path

from limner.errors import LimnerError
from limner.locks import LOCK_FILE


def free_folder(folder: Path) -> Path:
    """Return a folder that does not exist yet, or is empty. It is not created.

    Raises:
        LimnerError: if it cannot be created, or is in use.
    """
    parent = next(parent for parent in folder.absolute().parents if parent.exists())
    if not parent.is_dir():
        raise LimnerError(f"{folder} cannot be created, because {parent} is not a folder; name another one.")
    if folder.exists() and (not folder.is_dir() or any(path.name != LOCK_FILE for path in folder.iterdir())):
        raise LimnerError(f"{folder} is there already and is not an empty folder; name another one.")
    return folder


def replace_file(path: Path, content: bytes) -> None:
    """Write a file in one step: it has either its old or its new content, even if the program is killed."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_bytes(content)
    partial.replace(path)
