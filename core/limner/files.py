"""Folders and files that are written: never over something that is there, and never half."""

from pathlib import Path

from limner.errors import LimnerError


def free_folder(folder: Path) -> Path:
    """A folder that may be made, or is there and empty."""
    parent = next(parent for parent in folder.absolute().parents if parent.exists())
    if not parent.is_dir():
        raise LimnerError(f"{folder} cannot be made, because {parent} is no folder; name another one.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise LimnerError(f"{folder} is there already and is not an empty folder; name another one.")
    return folder


def replace_file(path: Path, content: bytes) -> None:
    """Write a file so that it is never seen half written."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_bytes(content)
    partial.replace(path)
