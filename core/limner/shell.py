"""Commands in hints, written so that they can be pasted into a shell of this system."""

import os
import re
import shlex
from collections.abc import Iterable
from pathlib import Path


def shell_join(words: Iterable[str]) -> str:
    """A command, each of its arguments as `shell_quote` writes it."""
    return " ".join(map(shell_quote, words))


def shell_quote(word: str) -> str:
    """One argument of a command: as it is, or in quotes if the shell would read it otherwise.

    On Windows the quotes are double ones, which Command Prompt and PowerShell both understand; inside of them a
    backslash escapes a quotation mark, as in the argument rules of Microsoft's C runtime.
    """
    if os.name != "nt":
        return shlex.quote(word)
    if re.fullmatch(r"[\w@%+=:./\\-]+", word):
        return word
    escaped = re.sub(r'(\\*)"', r'\1\1\\"', word)
    return '"' + re.sub(r"(\\+)$", r"\1\1", escaped) + '"'


def resume_command(folder: Path) -> str:
    """The command that resumes a training, with as many processes as train it now if all are on this machine."""
    words = ["limner", "train", "--resume", str(folder)]
    here, everywhere = (int(os.environ.get(name, 1)) for name in ("LOCAL_WORLD_SIZE", "WORLD_SIZE"))
    return shell_join(words + (["--processes", str(here)] if 1 < here == everywhere else []))
