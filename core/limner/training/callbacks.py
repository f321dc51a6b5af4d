"""Callbacks of a training: history, pictures, progress. They use the hooks that any plugin can use."""

import sys
import time
import warnings
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from limner.errors import LimnerError
from limner.hooks import hookimpl
from limner.models.pictures import Pictures
from limner.shell import resume_command

if TYPE_CHECKING:
    from limner.training.run import Run


class History:
    """Keeps the losses, averaged over every ten steps, in `model.history`, and the preview pictures in `model.film`."""

    every = 10

    @hookimpl
    def limner_step_finished(self, run: "Run", losses: Mapping[str, float]) -> None:
        run.recent.append(losses)  # read together, because a GPU has to be waited for
        if run.step % self.every == 0:
            values: dict[str, list[float]] = {}
            for name, value in chain.from_iterable(step.items() for step in run.recent):
                values.setdefault(name, []).append(value)
            row = {"step": run.step, "seconds": round(run.seconds, 3), "images": run.images}
            run.model.history.append(row | {name: sum(of) / len(of) for name, of in values.items()})
            run.recent.clear()

    @hookimpl
    def limner_samples_drawn(self, run: "Run", images: Float[Tensor, "N 3 H W"], prompts: list[str]) -> None:
        when = f"{run.seconds:.0f} s" if run.recipe.training.seconds else f"step {run.step}"
        run.model.film.append((when, Pictures.of(images, prompts)))


class SavedPictures:
    """Writes the preview pictures into the run folder, and at the end a film strip of the whole training."""

    def __init__(self, folder: Path):
        self.folder, self.failed = folder / "pictures", False

    @hookimpl(trylast=True)
    def limner_samples_drawn(self, run: "Run", images: Float[Tensor, "N 3 H W"], prompts: list[str]) -> None:
        self._save(Pictures.of(images, prompts), f"step_{run.step:06d}.png")

    @hookimpl
    def limner_training_finished(self, run: "Run") -> None:
        if run.model.film:
            self._save(run.model.film[-1][1], "samples.png")
            self._save(run.model.film_strip(), "film.png")

    def _save(self, pictures: Pictures, name: str) -> None:
        """Write a picture. The first one that cannot be written is told, and training continues."""
        try:
            pictures.save(self.folder / name)
        except LimnerError as error:
            if not self.failed:
                warnings.warn(f"Training continues without this picture: {error}", stacklevel=2)
            self.failed = True


class StopNote:
    """Says how to resume a training that was stopped before its end."""

    def __init__(self) -> None:
        self.stopped = False

    @hookimpl
    def limner_training_finished(self, run: "Run") -> None:
        self.stopped = run.interrupted
        if run.interrupted and run.folder and run.progress < 1:
            resume = resume_command(run.folder)
            warnings.warn(f"Stopped after {run.step} steps; `{resume}` continues.", stacklevel=2)


class ProgressBar:
    """A bar over the budget, with the losses of the players and images per second."""

    def __init__(self) -> None:
        self.bar: Any = None
        self.described = 0.0

    @hookimpl
    def limner_training_started(self, run: "Run") -> None:
        training = run.recipe.training
        total, unit = (training.steps, " steps") if training.steps else (training.seconds, " s")
        used = run.step if training.steps else run.seconds
        form = "{l_bar}{bar}| {n:.0f}/{total:.0f}{unit} [{elapsed}<{remaining}]{postfix}"
        self.bar = tqdm(
            initial=used, total=total, unit=unit, desc="training", bar_format=form, file=sys.stderr, mininterval=0.5
        )

    @hookimpl
    def limner_step_finished(self, run: "Run", losses: Mapping[str, float]) -> None:
        used = run.step if run.recipe.training.steps else run.seconds
        if time.monotonic() - self.described > self.bar.mininterval or run.progress == 1:
            self.described = time.monotonic()
            self.bar.set_postfix_str(describe(run, losses), refresh=False)
        self.bar.update(min(used, self.bar.total) - self.bar.n)

    @hookimpl
    def limner_training_finished(self, run: "Run") -> None:
        self.bar.close()


class LivePictures:
    """In a notebook: a line of progress and the preview pictures, both updated during training."""

    def __init__(self) -> None:
        self.line: Any = None
        self.pictures: Any = None
        self.shown = 0.0

    @hookimpl
    def limner_training_started(self, run: "Run") -> None:
        from IPython.display import Markdown, display

        self.line = display(Markdown("training"), display_id=True)

    @hookimpl
    def limner_step_finished(self, run: "Run", losses: Mapping[str, float]) -> None:
        if time.monotonic() - self.shown > 1:
            self._show(run, describe(run, losses))

    @hookimpl
    def limner_samples_drawn(self, run: "Run", images: Float[Tensor, "N 3 H W"], prompts: list[str]) -> None:
        from IPython.display import display

        pictures = Pictures.of(images, prompts)
        if self.pictures is None:
            self.pictures = display(pictures, display_id=True)
        else:
            self.pictures.update(pictures)

    @hookimpl
    def limner_training_finished(self, run: "Run") -> None:
        self._show(run, "interrupted" if run.interrupted else "finished")

    def _show(self, run: "Run", text: str) -> None:
        from IPython.display import Markdown

        self.shown = time.monotonic()
        bar = "█" * round(24 * run.progress) + "░" * round(24 * (1 - run.progress))
        left = run.seconds * (1 - run.progress) / run.progress if run.progress else 0.0
        about = f", about {left:.0f} s left" if left >= 1 else ""
        self.line.update(Markdown(f"`{bar}` {run.progress:.0%}, step {run.step}, {run.seconds:.0f} s{about}: {text}"))


def describe(run: "Run", losses: Mapping[str, float]) -> str:
    """The losses of the players and the speed, in a few words."""
    speed = run.images / run.seconds if run.seconds else 0.0
    told = [f"{side[0].upper()} {losses[side]:.2f}" for side in ("discriminator", "generator") if side in losses]
    return f"{', '.join(told)}, {speed:.0f} images/s"


def in_notebook() -> bool:
    """Whether this runs in the kernel of a notebook, which can show pictures."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return type(shell).__name__ == "ZMQInteractiveShell"


def default_callbacks(folder: Path | None, quiet: bool = False) -> list[object]:
    """Live pictures in a notebook, a progress bar elsewhere, and pictures in the run folder if there is one."""
    shown: list[object] = [] if quiet else [LivePictures() if in_notebook() else ProgressBar()]
    return shown + ([SavedPictures(folder)] if folder else [])
