"""The trackers: how the log of each is opened, and how it is shown a picture."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import uuid4

import numpy as np
from accelerate.tracking import (
    AimTracker,
    CometMLTracker,
    GeneralTracker,
    MLflowTracker,
    TensorBoardTracker,
    WandBTracker,
)
from limner import Recipe
from PIL import Image
from pydantic import Field

from .recording import Recording, free_place

Every = Annotated[int, Field(ge=1)]


class TensorBoard(Recording):
    """Records the training for TensorBoard, in files beside the run. `tensorboard --logdir runs` shows them.

    The log is the folder `tensorboard` in the run folder. Without a run folder, or with the option `folder`, it is
    FOLDER/PROJECT/RUN.
    """

    name, package, module = "tensorboard", "tensorboard", "tensorboard"

    def __init__(self, recipe: Recipe, *, every: Every = 10, project: str | None = None, folder: str | None = None):
        """
        Args:
            recipe: of the training.
            every: losses, speed and gradient norms are recorded once in so many steps.
            project: the folder of related runs; by default the name of the comparison, or "limner".
            folder: where to write the logs of all projects.
        """
        super().__init__(recipe, every, project)
        self.place = folder

    def open(self) -> GeneralTracker:
        purge = {"purge_step": self.step + 1} if self.log_id else {}  # what a killed training recorded after its state
        if self.folder and self.place is None:
            log, self.log_id = self.folder / "tensorboard", "tensorboard"
        else:
            named = Path(self.place or "tensorboard") / file_name(self.project or "") / file_name(self.run_name)
            log = Path(self.log_id) if self.log_id else free_place(named.absolute())
            self.log_id = str(log)
        tracker = TensorBoardTracker(log.name, log.parent, **purge)
        tracker.start()
        return tracker

    def show(self, log: GeneralTracker, picture: Image.Image) -> None:
        log.log_images({"previews": np.asarray(picture)[None]}, step=self.step, dataformats="NHWC")  # pyright: ignore[reportAttributeAccessIssue]


class WeightsAndBiases(Recording):
    """Records the training with Weights & Biases. `wandb login` is needed once, unless `mode` is "offline"."""

    name, package, module = "wandb", "wandb", "wandb"

    def __init__(
        self,
        recipe: Recipe,
        *,
        every: Every = 10,
        project: str | None = None,
        entity: str | None = None,
        mode: Literal["online", "offline"] | None = None,
    ):
        """
        Args:
            recipe: of the training.
            every: losses, speed and gradient norms are recorded once in so many steps.
            project: of Weights & Biases; by default the name of the comparison, or "limner".
            entity: the user or team to whom the project belongs.
            mode: "offline" keeps everything in the folder `wandb`, for `wandb sync`; by default as the variable
                WANDB_MODE says.
        """
        super().__init__(recipe, every, project)
        self.options: dict[str, Any] = {"entity": entity, "mode": mode}

    def open(self) -> GeneralTracker:
        self.log_id = self.log_id or uuid4().hex[:8]
        place = {"dir": str(self.folder)} if self.folder else {}
        given = {key: value for key, value in self.options.items() if value is not None} | place
        tracker = WandBTracker(
            file_name(self.project or ""),
            name=self.run_name,
            id=self.log_id,
            resume="allow",
            reinit="finish_previous",
            **given,
        )
        tracker.start()
        return tracker

    def show(self, log: GeneralTracker, picture: Image.Image) -> None:
        log.log_images({"previews": [picture]}, step=self.step)  # pyright: ignore[reportAttributeAccessIssue]

    def record_scores(self, log: GeneralTracker, scores: dict[str, float]) -> None:
        log.tracker.summary.update(scores)  # pyright: ignore[reportAttributeAccessIssue]


class MLflow(Recording):
    """Records the training with MLflow, under an experiment of the project's name."""

    name, package, module = "mlflow", "mlflow", "mlflow"

    def __init__(self, recipe: Recipe, *, every: Every = 10, project: str | None = None, uri: str | None = None):
        """
        Args:
            recipe: of the training.
            every: losses, speed and gradient norms are recorded once in so many steps.
            project: the experiment of MLflow; by default the name of the comparison, or "limner".
            uri: the address of the tracking server, or of a data base; by default as the variable MLFLOW_TRACKING_URI
                says.
        """
        super().__init__(recipe, every, project)
        self.uri = uri

    def open(self) -> GeneralTracker:
        import mlflow

        if self.uri:
            mlflow.set_tracking_uri(self.uri)
        tracker = MLflowTracker(file_name(self.project or ""), run_id=self.log_id, run_name=self.run_name)
        tracker.start()
        self.log_id = tracker.tracker.info.run_id
        return _MLflowNames(tracker)

    def show(self, log: GeneralTracker, picture: Image.Image) -> None:
        import mlflow

        mlflow.log_image(picture, key="previews", step=self.step)


class _MLflowNames(GeneralTracker):
    """A tracker of MLflow that gets only names that MLflow allows."""

    name, requires_logging_directory = "mlflow", False

    def __init__(self, tracker: MLflowTracker):
        super().__init__(_blank=True)
        self.inner = tracker

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        self.inner.store_init_configuration({mlflow_name(name): value for name, value in values.items()})

    def log(self, values: dict[str, Any], step: int | None = None, **options: Any) -> None:
        self.inner.log({mlflow_name(name): value for name, value in values.items()}, step, **options)

    def finish(self) -> None:
        self.inner.finish()


class Aim(Recording):
    """Records the training with Aim, in a repository on this machine. `aim up` shows it."""

    name, package, module = "aim", "aim", "aim"

    def __init__(self, recipe: Recipe, *, every: Every = 10, project: str | None = None, repository: str = "."):
        """
        Args:
            recipe: of the training.
            every: losses, speed and gradient norms are recorded once in so many steps.
            project: the experiment of Aim; by default the name of the comparison, or "limner".
            repository: the folder of Aim's repository.
        """
        super().__init__(recipe, every, project)
        self.repository = repository

    def open(self) -> GeneralTracker:
        options = {"run_hash": self.log_id} if self.log_id else {}
        tracker = AimTracker(self.run_name, self.repository, experiment=self.project, **options)
        tracker.start()
        self.log_id = tracker.tracker.hash
        return tracker

    def show(self, log: GeneralTracker, picture: Image.Image) -> None:
        log.log_images({"previews": picture}, step=self.step)  # pyright: ignore[reportAttributeAccessIssue]


class Comet(Recording):
    """Records the training with Comet. Its key is in Comet's own configuration."""

    name, package, module = "comet", "comet_ml", "comet_ml"

    def __init__(
        self,
        recipe: Recipe,
        *,
        every: Every = 10,
        project: str | None = None,
        workspace: str | None = None,
        online: bool = True,
    ):
        """
        Args:
            recipe: of the training.
            every: losses, speed and gradient norms are recorded once in so many steps.
            project: of Comet; by default the name of the comparison, or "limner".
            workspace: the workspace to which the project belongs.
            online: whether to send everything at once; otherwise it is kept, for `comet upload`.
        """
        super().__init__(recipe, every, project)
        self.workspace, self.online = workspace, online

    def open(self) -> GeneralTracker:
        self.log_id = self.log_id or uuid4().hex
        tracker = CometMLTracker(
            file_name(self.project or ""), workspace=self.workspace, online=self.online, experiment_key=self.log_id
        )
        tracker.start()
        tracker.tracker.set_name(self.run_name)
        return tracker

    def show(self, log: GeneralTracker, picture: Image.Image) -> None:
        log.tracker.log_image(picture, name="previews", step=self.step)  # pyright: ignore[reportAttributeAccessIssue]


def file_name(text: str) -> str:
    """A text as the name of a file or a project: other signs than letters, digits, "-", "_", "=", "." become "-"."""
    return re.sub(r"[^\w=.-]+", "-", text).strip("-.") or "limner"


def mlflow_name(text: str) -> str:
    """A text as a name in MLflow, which allows letters, digits, and "_", "-", ".", " ", ":", "/" only."""
    return re.sub(r"[^\w./: -]", "_", text)
