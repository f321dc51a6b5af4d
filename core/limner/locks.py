"""One process at a time in a folder: the lock that trainings and comparisons hold while they write."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from limner.errors import LimnerError

LOCK_FILE = ".lock"
"""The file that names the holder of a folder: its process, its machine, and by its date, since when."""


@contextmanager
def claim(folder: Path) -> Iterator[None]:
    """Hold a folder for the duration of a `with` block; nobody else can claim it meanwhile.

    The folder is created if needed, and removed again if it stays empty. The lock of a process that was killed is taken
    over.

    Raises:
        LimnerError: if the folder is held already, or nothing can be written into it.
    """
    from filelock import SoftFileLock, Timeout  # here, because the command line answers sooner without it

    created = [path for path in (folder, *folder.parents) if not path.exists()]
    lock = SoftFileLock(folder / LOCK_FILE, timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise LimnerError(
            f"{folder} is in use by {_holder(folder / LOCK_FILE)}; wait until it ends, or name another folder."
        ) from None
    except OSError as error:
        _remove_empty(created)
        raise LimnerError(f"{folder} cannot be written to: {error.strerror}; name another folder.") from None
    try:
        yield
    finally:
        lock.release()
        _remove_empty(created)


def _holder(file: Path) -> str:
    """The process that holds a lock, in words."""
    try:
        process, machine, *_ = file.read_text(encoding="utf-8").split()
        since = datetime.fromtimestamp(file.stat().st_mtime)
    except (OSError, ValueError):
        return f"another process, according to {file}"
    return f"process {process} on {machine} since {since:%Y-%m-%d %H:%M}"


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        with suppress(OSError):  # it is in use
            folder.rmdir()
