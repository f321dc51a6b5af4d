"""The names of the files in a run folder, and how the small ones are read. It needs neither torch nor any plugin."""

import json
import math
from collections.abc import Collection
from pathlib import Path
from typing import Any

from limner.errors import LimnerError
from limner.shell import shell_quote

RECIPE_FILE, WEIGHTS_FILE, HISTORY_FILE = "recipe.toml", "weights.safetensors", "history.json"
SCORES_FILE, STATE_FILE = "scores.json", "state.safetensors"
TOKENIZER_FOLDER, ENCODER_FOLDER, PICTURES_FOLDER = "tokenizer", "encoder", "pictures"
LONGEST_HEADER = 100_000_000
"""Bytes of the longest header that a safetensors file may have."""

History = list[dict[str, int | float]]


def no_run_folder(folder: Path, known: Collection[str]) -> LimnerError:
    """The error for a folder that is not there; `known` are the names of the models that come along."""
    made = f"'limner train RECIPE --out {shell_quote(str(folder))}' makes one"
    along = f", and the models that come along are {', '.join(known)}" if known else ""
    return LimnerError(f"There is no run folder {folder}; {made}{along}.")


def read_history(folder: Path) -> History:
    """The losses of a run, averaged over every ten steps; none for a run that kept none.

    Raises:
        LimnerError: if the file is damaged.
    """
    file = folder / HISTORY_FILE
    try:
        history = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else []
        if not isinstance(history, list):
            raise ValueError("it should be a list")
        for number, row in enumerate(history, 1):
            if not isinstance(row, dict) or type(row.get("step")) is not int:
                raise ValueError(f"row {number} should be a table with a 'step'")
            if odd := [key for key, value in row.items() if type(value) not in (int, float)]:
                raise ValueError(f"'{odd[0]}' in row {number} should be a number")
    except (OSError, ValueError, RecursionError) as error:
        raise LimnerError(f"{file} is damaged: {error}.") from None
    return history


def read_scores(folder: Path) -> dict[str, float]:
    """The scores that `limner evaluate` kept; none for a run that was not evaluated.

    Raises:
        LimnerError: if the file is damaged.
    """
    file = folder / SCORES_FILE
    try:
        scores = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        if not isinstance(scores, dict):
            raise ValueError("it should be a table")
        if odd := [name for name, value in scores.items() if type(value) not in (int, float)]:
            raise ValueError(f"'{odd[0]}' should be a number")
    except (OSError, ValueError, RecursionError) as error:
        raise LimnerError(f"{file} is damaged: {error}; remove it, or evaluate the run again.") from None
    return scores


def read_progress(folder: Path) -> tuple[int, float, dict[str, str]]:
    """Steps, seconds and surroundings (versions, device, threads) of the state to resume from, without its tensors.

    All are empty for a run without a state. A state with another format counts as none: `limner train --resume` says
    what is wrong with it.
    """
    try:
        with (folder / STATE_FILE).open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length)) if length <= LONGEST_HEADER else {}
        state = dict(json.loads(header["__metadata__"]["state"])["table"])
        surroundings = dict(state["surroundings"]["table"])
        step, seconds = int(state["step"]), float(state["seconds"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return 0, 0.0, {}
    return step, seconds if math.isfinite(seconds) else 0.0, {str(name): str(it) for name, it in surroundings.items()}


def weights_are_whole(folder: Path) -> bool:
    """Whether a run folder has the file of its weights, and its size is the one that its header says."""
    try:
        with (folder / WEIGHTS_FILE).open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header: dict[str, Any] = json.loads(file.read(length)) if length <= LONGEST_HEADER else {}
        ends = [item["data_offsets"][1] for name, item in header.items() if name != "__metadata__"]
        return (folder / WEIGHTS_FILE).stat().st_size == 8 + length + max(ends)
    except (OSError, ValueError, KeyError, TypeError, IndexError, RecursionError):
        return False
