"""What a tracker records of a training, and when."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

import torch
from accelerate.tracking import GeneralTracker
from jaxtyping import Float
from limner import LimnerError, Model, Pictures, Recipe, Report, Run, hookimpl
from PIL import Image
from torch import Tensor


class Recording(ABC):
    """Records losses, speed, gradient norms, previews, the recipe and the scores, through a tracker of accelerate.

    A subclass opens the log of its tracker. A log has an id, which is kept in the run folder, so that a resumed
    training, and scores that are measured after it, continue the same log.
    """

    name: ClassVar[str]
    """The name in recipes."""
    package: ClassVar[str]
    """What pip installs."""
    module: ClassVar[str]
    """What Python imports."""

    def __init__(self, recipe: Recipe, every: int, project: str | None):
        """
        Args:
            recipe: of the training.
            every: losses, speed and gradient norms are recorded once in so many steps.
            project: the name under which the tracker files the training; by default that of the run.

        Raises:
            LimnerError: if the package of the tracker is not installed.
        """
        if find_spec(self.module) is None:
            raise LimnerError(f"the tracker '{self.name}' is not installed; pip install {self.package}.")
        self.recipe, self.every, self.project = recipe, every, project
        self.run_name, self.folder, self.log_id = "", None, None
        self.step, self.images, self.seconds = 0, 0, 0.0
        self.losses: list[Mapping[str, float]] = []  # since the last ones that were recorded
        self.log: GeneralTracker | None = None

    # --- of each tracker -------------------------------------------------------------------------------------------

    @abstractmethod
    def open(self) -> GeneralTracker:
        """Open the log `self.log_id`, or a new one if this is None; then set it. Returns the tracker of accelerate."""

    @abstractmethod
    def show(self, log: GeneralTracker, picture: Image.Image) -> None:
        """Record a picture of the previews at `self.step`."""

    def record_scores(self, log: GeneralTracker, scores: dict[str, float]) -> None:
        """Record scores of the trained model."""
        log.log(scores, step=self.step)

    # --- hooks -----------------------------------------------------------------------------------------------------

    @hookimpl
    def limner_training_started(self, run: Run) -> None:
        self.project, self.run_name, self.folder = self.project or run.project, run.name, run.folder
        self.step, self.images, self.seconds = run.step, run.images, run.seconds
        kept = run.folder / "trackers" / f"{self.name}.txt" if run.folder else None
        self.log_id = kept.read_text(encoding="utf-8") if kept and kept.is_file() else None
        is_new = self.log_id is None
        try:
            self.log = self.open()
            if is_new:
                self.log.store_init_configuration(parameters_of(self.recipe))
        except Exception as error:  # every package has exceptions of its own
            said = " ".join(str(error).split()) or type(error).__name__
            raise LimnerError(
                f"The tracker '{self.name}' could not start: {said} Correct this, or leave it out of training.trackers."
            ) from None
        if kept and is_new and self.log_id:
            kept.parent.mkdir(exist_ok=True)
            kept.write_text(self.log_id, encoding="utf-8")

    @hookimpl
    def limner_step_finished(self, run: Run, losses: Mapping[str, float]) -> None:
        self.step = run.step
        self.losses.append(losses)  # read together, because a GPU has to be waited for
        if run.step % self.every == 0:
            self._record_losses(run)

    @hookimpl
    def limner_samples_drawn(self, run: Run, images: Float[Tensor, "N 3 H W"], prompts: list[str]) -> None:
        if self.log:
            self.show(self.log, Pictures.of(images, prompts).grid())

    @hookimpl
    def limner_training_finished(self, run: Run) -> None:
        if self.losses:
            self._record_losses(run)
        self._close()

    @hookimpl
    def limner_training_failed(self, run: Run) -> None:
        self._close()

    @hookimpl
    def limner_model_evaluated(self, model: Model, report: Report) -> None:
        self.log = self.open()
        self.record_scores(self.log, {f"scores/{name}": value for name, value in report.scores.items()})
        self._close()

    def _record_losses(self, run: Run) -> None:
        if self.log is None:
            return
        values: dict[str, list[float]] = {}
        for name, value in chain.from_iterable(step.items() for step in self.losses):
            values.setdefault(f"losses/{name}", []).append(value)
        means = {name: sum(of) / len(of) for name, of in values.items()}
        norms = {f"gradient norms/{name}": norm_of(player.gradients) for name, player in run.players.items()}
        duration = run.seconds - self.seconds
        speed = {"images per second": (run.images - self.images) / duration} if duration > 0 else {}
        self.log.log(means | norms | speed, step=run.step)
        self.images, self.seconds = run.images, run.seconds
        self.losses.clear()

    def _close(self) -> None:
        log, self.log = self.log, None
        if log:
            log.finish()


def norm_of(gradients: list[Tensor]) -> float:
    """The norm of all gradients of a player together, after they were clipped; 0 if it had none in this step."""
    return float(torch.stack([gradient.norm() for gradient in gradients]).norm()) if gradients else 0.0


def parameters_of(recipe: Recipe) -> dict[str, Any]:
    """The values of a recipe by their keys, such as "training.steps"; lists are written as JSON."""
    found: dict[str, Any] = {}

    def walk(table: Mapping[str, Any], before: str) -> None:
        for key, value in table.items():
            if isinstance(value, Mapping):
                walk(value, f"{before}{key}.")
            else:
                found[before + key] = value if isinstance(value, str | int | float | bool) else json.dumps(value)

    table = recipe.table()
    walk(table | {"training": {key: value for key, value in table["training"].items() if key != "trackers"}}, "")
    return found


def free_place(folder: Path) -> Path:
    """This folder, or the first of NAME-2, NAME-3, ... that does not exist."""
    number, place = 1, folder
    while place.exists():
        number += 1
        place = folder.with_name(f"{folder.name}-{number}")
    return place
