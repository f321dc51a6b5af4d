"""What a run folder holds, at a glance. It needs neither torch nor the plugins of the run."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from limner.errors import LimnerError
from limner.files import reading
from limner.models.run_files import (
    RECIPE_FILE,
    SCORES_FILE,
    STATE_FILE,
    TOKENIZER_FOLDER,
    WEIGHTS_FILE,
    History,
    no_run_folder,
    read_history,
    read_progress,
    read_scores,
    weights_are_whole,
)
from limner.plugins import PluginHost
from limner.recipes.limits import read_toml

STEP_PICTURE = re.compile(r"step_(\d{6,12})\.png")
MOST_FOLDERS = 10_000
"""Folders that a search looks into at most."""


@dataclass(frozen=True)
class RunSummary:
    """What a run folder holds: its recipe, how far its training came, its losses and its scores."""

    folder: Path
    recipe: dict[str, Any]
    step: int  # steps made, as far as they are recorded
    seconds: float  # of training
    history: History
    scores: dict[str, float]
    surroundings: dict[str, str]  # the machine and the versions of its training; empty if it kept no state
    can_paint: bool
    can_resume: bool

    @property
    def training(self) -> dict[str, Any]:
        """The training table of the recipe."""
        return _table(self.recipe, "training")

    @property
    def is_finished(self) -> bool:
        """Whether the budget of the recipe is used up."""
        steps, seconds = self.training.get("steps"), self.training.get("seconds")
        if isinstance(steps, int):
            return self.step >= steps
        return isinstance(seconds, int | float) and self.seconds >= seconds

    @property
    def progress(self) -> str:
        """Steps and seconds in words, such as "2,400 of 2,400" or "310 in 58 of 60 s"."""
        steps, seconds = self.training.get("steps"), self.training.get("seconds")
        if isinstance(steps, int):
            return f"{self.step:,} of {steps:,}"
        budget = f" of {seconds:g} s" if isinstance(seconds, int | float) else " s"
        return f"{self.step:,} in {self.seconds:.0f}{budget}"

    @property
    def images_per_second(self) -> float | None:
        """Real images that training saw in a second, on average; None if that was not recorded."""
        images, seconds = (self.history[-1].get(key) for key in ("images", "seconds")) if self.history else (None, None)
        return images / seconds if images and seconds else None

    def next_commands(self, place: str) -> dict[str, str]:
        """What one can do next with the run, each with its command line; `place` is the run as a shell reads it."""
        commands = {}
        if self.can_resume and not self.is_finished:
            commands["to resume it"] = f"limner train --resume {place}"
        elif self.can_resume and isinstance(steps := self.training.get("steps"), int):
            commands["to train it further"] = f"limner train --resume {place} --set training.steps={2 * steps}"
        if self.can_paint:
            commands["to paint"] = f'limner paint {place} "{self.example_prompt()}"'
            if not self.scores:
                commands["to evaluate it"] = f"limner evaluate {place}"
        return commands

    def example_prompt(self) -> str:
        """A prompt of the recipe, or dots if it names none."""
        prompts = self.recipe.get("prompts")
        first = prompts[0] if isinstance(prompts, list) and prompts else "..."
        return first if isinstance(first, str) and not set(first) & set('"$`\\!') else "..."

    @property
    def date(self) -> datetime:
        """When its recipe or its scores were last written."""
        files = [self.folder / name for name in (RECIPE_FILE, WEIGHTS_FILE, SCORES_FILE)]
        return datetime.fromtimestamp(max(file.stat().st_mtime for file in files if file.exists()))

    @property
    def bytes(self) -> int:
        """The size of all its files."""
        return size_of(self.folder)


def read_summary(folder: Path) -> RunSummary:
    """Read what a run folder holds, which may be the run of a training that was stopped or killed.

    Raises:
        LimnerError: if it is not a run folder, or its recipe, its history or its scores are damaged.
    """
    with reading(folder):
        if not (folder / RECIPE_FILE).is_file():
            raise LimnerError(f"{folder} is not a run folder: it has no {RECIPE_FILE}.")
        recipe = read_toml(folder / RECIPE_FILE)
        history, scores = read_history(folder), read_scores(folder)
        step, seconds, surroundings = read_progress(folder)
        steps = [step, *(int(row["step"]) for row in history[-1:]), *_steps_of_pictures(folder)]
        has_tokenizer = (folder / TOKENIZER_FOLDER).is_dir()
        can_resume = has_tokenizer and bool(surroundings) and (folder / STATE_FILE).is_file()
    seconds = max([seconds, *(float(row.get("seconds", 0)) for row in history[-1:])])
    can_paint = has_tokenizer and weights_are_whole(folder)
    return RunSummary(folder, recipe, max(steps), seconds, history, scores, surroundings, can_paint, can_resume)


def run_path(run: Path, plugins: PluginHost) -> Path:
    """The folder of a run: that of this name, or else that of a trained model that a plugin brings.

    Raises:
        LimnerError: if there is none.
    """
    known = plugins.components("model")
    with reading(run):
        is_there = run.exists()
    if str(run) in known and not is_there:
        return plugins.model_path(str(run))
    if not is_there or not run.is_dir():
        raise no_run_folder(run, known)
    return run


def _steps_of_pictures(folder: Path) -> list[int]:
    return [step for step, _ in step_pictures(folder)]


def step_pictures(folder: Path) -> list[tuple[int, Path]]:
    """The preview pictures of a run, each with its step, in order."""
    try:
        files = [(STEP_PICTURE.fullmatch(path.name), path) for path in (folder / "pictures").iterdir()]
    except OSError:
        return []
    return sorted((int(match[1]), path) for match, path in files if match)


def key_figures(scores: Mapping[str, Any], most: int = 3) -> dict[str, Any]:
    """The first score of each group, such as "trained/exact" and "held out/exact"; at most so many."""
    first = {name.rpartition("/")[0] or name: name for name in reversed(list(scores))}
    chosen = [name for name in scores if name in first.values()][:most]
    return {name: scores[name] for name in chosen}


def size_of(folder: Path) -> int:
    """The bytes of all files in a folder and the folders in it; links are not followed."""
    total = 0
    for parent, _, files in os.walk(folder):
        for name in files:
            try:
                total += (Path(parent) / name).lstat().st_size
            except OSError:  # it is gone
                continue
    return total


def find_folders(folder: Path, holding: tuple[str, ...], depth: int = 8) -> Iterator[Path]:
    """The folders below one that hold a file of one of these names, in order. No folder within these is searched.

    Hidden folders are left out, and links are not followed. It looks at no more than `MOST_FOLDERS` folders.
    """
    waiting, looked = [(folder, 0)], 0
    while waiting and looked < MOST_FOLDERS:
        parent, level = waiting.pop()
        looked += 1
        try:
            names = sorted(os.scandir(parent), key=lambda entry: entry.name, reverse=True)
            children = [Path(parent, e.name) for e in names if e.is_dir(follow_symlinks=False) and e.name[0] != "."]
        except OSError:  # it may not be read
            continue
        if level and any(entry.name in holding for entry in names):
            yield parent
        elif level < depth:
            waiting += [(child, level + 1) for child in children]


def _table(recipe: dict[str, Any], key: str) -> dict[str, Any]:
    table = recipe.get(key)
    return table if isinstance(table, dict) else {}
