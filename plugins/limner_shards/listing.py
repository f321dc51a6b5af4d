"""The shards of a folder or a pattern, each with its captions, which are kept in a small file beside it.

Reading the captions of a shard passes over its images, so it is done only once: `.limner/NAME.captions` in the folder
of the shards holds them, as long as the size and the time of the shard stay the same. If that folder cannot be written,
the captions are read at every start.
"""

import math
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from braceexpand import braceexpand
from limner import LimnerError, visible_files
from pydantic import BaseModel, ValidationError
from tqdm import tqdm

from .tars import Sample, scan_samples

ENDINGS = (".tar", ".tar.gz", ".tgz")
RANGE = re.compile(r"\{(\d{1,12})\.\.(\d{1,12})")
MOST = 100_000  # shards
ESCAPES = os.name != "nt"
"""Whether a backslash in a pattern makes the next sign an ordinary one. On Windows, it separates folders."""
FEW = 16  # shards whose captions are read without a progress bar
VERSION = 1
"""The version of `scan_samples`. Raise it when what it finds changes, so that kept captions expire."""


@dataclass(frozen=True)
class Shard:
    """A tar file: the captions of each usable image, in order; and the problems of the others, in a few words."""

    path: Path
    captions: list[list[str]]
    problems: list[str]
    size: int  # in bytes


class Kept(BaseModel):
    """What the file beside a shard holds."""

    version: int
    size: int  # of the shard, in bytes
    changed: int  # the time of its last change, in nanoseconds
    captions: list[list[str]]
    problems: list[str]


def find_shards(root: str) -> list[Path]:
    """The tar files of a folder in order of their names, or those of a pattern such as "data/{000..019}.tar".

    Raises:
        LimnerError: if there are none, or some are missing.
    """
    ranges = (abs(int(last) - int(first)) + 1 for first, last in RANGE.findall(root))
    if math.prod(ranges) > MOST:  # braceexpand makes all of them at once
        raise LimnerError(f"data.root: {root} stands for more than {MOST} shards; check the pattern.")
    try:
        paths = [Path(name).expanduser() for name in braceexpand(root, ESCAPES)]
    except ValueError:
        raise LimnerError(
            f"data.root: the braces of {root} are not closed; a pattern looks like data/shard-{{000000..000019}}.tar."
        ) from None
    except RuntimeError:
        raise LimnerError(f"data.root: {root} is in the home folder of a user who does not exist.") from None
    if len(paths) == 1 and paths[0].is_dir():
        found = [path for path in visible_files(paths[0]) if path.name.lower().endswith(ENDINGS)]
        if not found:
            raise LimnerError(
                f"data.root: {root} has no shards, which are files such as shard-000000.tar; "
                f"write some with `limner export-data RECIPE --out {root} --shards 8`."
            )
        return found
    if missing := [path for path in paths if not path.is_file()]:
        raise LimnerError(
            f"data.root: {len(missing)} of {len(paths)} shards are missing, the first is {missing[0]}; "
            "check the name, or copy them there."
        )
    return paths


def read_shards(paths: Sequence[Path]) -> list[Shard]:
    """The shards with their captions, from the files beside them or, with a progress bar, from the shards.

    Raises:
        LimnerError: if a shard cannot be read, is damaged, or holds no captioned image.
    """
    bar = tqdm(paths, desc="reading captions", unit=" shards", disable=len(paths) < FEW, delay=1)
    return [_read_shard(path) for path in bar]


def _read_shard(path: Path) -> Shard:
    kept_in = path.parent / ".limner" / f"{path.name}.captions"
    try:
        state = path.stat()
        if not kept_in.parent.is_symlink() and not kept_in.is_symlink():
            kept = Kept.model_validate_json(kept_in.read_bytes())
            if (kept.version, kept.size, kept.changed) == (VERSION, state.st_size, state.st_mtime_ns):
                return Shard(path, kept.captions, kept.problems, kept.size)
    except (OSError, ValidationError):
        pass
    samples = list(scan_samples(path))
    problems = [sample for sample in samples if isinstance(sample, str)]
    captions = [[a["caption"] for a in sample.annotations] for sample in samples if isinstance(sample, Sample)]
    if not captions:
        raise LimnerError(
            f"{path} holds no captioned image{f': {problems[0]}' if problems else ''}; expected images such as 1.jpg, "
            "each followed by its captions, 1.txt or 1.json."
        )
    state = path.stat()
    kept = Kept(version=VERSION, size=state.st_size, changed=state.st_mtime_ns, captions=captions, problems=problems)
    _keep(kept_in, kept.model_dump_json().encode())
    return Shard(path, captions, problems, kept.size)


def _keep(path: Path, content: bytes) -> None:
    """Write a file beside a shard in one step, if that is possible."""
    with suppress(OSError):
        path.parent.mkdir(exist_ok=True)
        if path.parent.is_symlink():
            return
        partial = path.with_name(f"{path.name}.{os.getpid()}")
        with partial.open("xb") as file:  # no link is followed
            file.write(content)
        partial.replace(path)


def first_few(texts: Sequence[str]) -> str:
    """The first few of many texts, for a message."""
    return "; ".join(texts[:3]) + ("; ..." if len(texts) > 3 else "")
