"""What is kept of a training on its way: weights that are known to be good, previews, the run folder, snapshots."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, NoReturn

import torch
from accelerate import PartialState

from limner.errors import DivergedError
from limner.plugins import PluginHost
from limner.training.state import random_states, save_state, state_of

if TYPE_CHECKING:
    from limner.training.run import Run


def checkpoint(plugins: PluginHost, run: "Run", last: bool = False) -> None:
    """Do what is due: check, remember and save the weights and the state; then paint the previews. `last`: both are."""
    settings, is_main = run.recipe.training, PartialState().is_main_process
    if last or run.progress >= run.saved + settings.checkpoint_every:
        run.saved = run.progress
        keep_good_weights(run)
        save_run(plugins, run)
    if last or run.progress >= run.previewed + settings.preview_every:
        run.previewed = run.progress
        if is_main:
            paint_previews(plugins, run)


def keep_good_weights(run: "Run") -> None:
    """Remember the weights, in case a later step makes them useless.

    Raises:
        DivergedError: if they are not finite.
    """
    weights = run.model.state_dict()
    finite = [value.isfinite().all() for value in weights.values()]
    finite = torch.stack([each.to(finite[0].device) for each in finite]).tolist()  # one question to the device
    if bad := [name for name, fine in zip(weights, finite) if not fine]:
        stop(
            run,
            f"the weights '{bad[0]}' were no longer finite" if run.good else f"the weights '{bad[0]}' are not finite",
        )
    run.good = {name: value.clone() for name, value in weights.items()}


def paint_previews(plugins: PluginHost, run: "Run") -> None:
    """Paint the preview prompts."""
    if run.prompts:
        images = run.model.paint_images(run.prompts)
        plugins.call("limner_samples_drawn", run=run, images=images, prompts=run.prompts)


def save_run(plugins: PluginHost, run: "Run") -> None:
    """Write the model and the state of its training into the run folder."""
    if run.folder is None:
        return
    random = random_states(run)  # of all processes
    if PartialState().is_main_process:
        run.model.save(run.folder)
        save_state(run.folder, state_of(run, random))
        plugins.call("limner_checkpoint_saved", run=run, folder=run.folder)


def keep_snapshots(run: "Run") -> None:
    """Keep the model as it is now, in a folder within the run folder, at the parts of the budget in the recipe."""
    for part in sorted(set(run.recipe.training.snapshots) - run.snapshots.keys()):
        if part > run.progress:
            break
        folder = run.folder / "snapshots" / str(part) if run.folder else None
        run.snapshots[part] = folder
        if folder and PartialState().is_main_process:
            run.model.save(folder)


def stop_unless_finite(run: "Run", losses: Mapping[str, float]) -> None:
    """Stop if a loss is not finite.

    Raises:
        DivergedError: naming the loss.
    """
    if bad := [name for name, value in losses.items() if not math.isfinite(value)]:
        stop(run, f"the loss '{bad[0]}' was {losses[bad[0]]}")


def stop(run: "Run", cause: str) -> NoReturn:
    """Stop the training. The model gets back the last good weights."""
    if not run.good:
        source = run.recipe.training.start_from
        advice = f"; start from another run than {source}" if source else "; check how the components initialize them"
        raise DivergedError(f"Before the first step {cause}{advice}.")
    run.model.load_state_dict(run.good)
    kept = f"; the weights in {run.folder} are those before it went wrong" if run.folder else ""
    raise DivergedError(
        f"At step {run.step} {cause}, and training stopped{kept}. "
        "Smaller training.generator_lr and training.discriminator_lr, or a heavier gradient penalty, may help."
    )
