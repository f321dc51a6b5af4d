"""The training loop: batch, forward, losses, gradients, optimizer step, moving average, callbacks."""

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from accelerate import PartialState
from accelerate.utils import broadcast
from jaxtyping import Float
from torch import Tensor

from limner.files import free_folder
from limner.locks import claim
from limner.models.model import Model
from limner.plugins import PluginHost, host
from limner.recipes.build import build_trackers, dry_run
from limner.recipes.schema import Recipe
from limner.step import Step
from limner.training.callbacks import History, StopNote, default_callbacks
from limner.training.capture import CapturedStep
from limner.training.checkpoints import checkpoint, keep_good_weights, keep_snapshots, stop_unless_finite
from limner.training.optimizers import Player
from limner.training.processes import join_processes, on_main_process, together
from limner.training.run import Run, new_step, set_up
from limner.training.signals import StopSignals
from limner.training.state import restore, surroundings_of
from limner.training.threads import PlayerThreads
from limner.types import Batch

CHECK_EVERY = 16
"""Steps from one look at the losses on a GPU to the next, which waits for the GPU."""


def train(
    recipe: str | Path | Mapping[str, Any] | Recipe,
    out: str | Path | None = None,
    overrides: Sequence[str] = (),
    *,
    quiet: bool = False,
    callbacks: Sequence[object] | None = None,
    plugins: PluginHost | None = None,
) -> Model:
    """Train a model from nothing by a recipe.

    Args:
        recipe: a recipe's name, a TOML file, a dict, or a `Recipe`.
        out: a new or empty folder. Recipe, weights, tokenizer, history and pictures are written there during training.
        overrides: changes to the recipe, such as `["training.steps=500"]`.
        quiet: show no progress bar and no live pictures. The run folder still gets its pictures.
        callbacks: objects with training hooks (`limner_step_finished`, ...), in place of the usual bar and pictures.
        plugins: the plugin host; by default everything that is installed.

    Returns:
        The trained model, with the averaged weights and its `history`. After Ctrl-C, SIGTERM or SIGHUP, the model as
        far as it is trained; `limner.resume` continues the training.

    Raises:
        LimnerError: if the recipe or the data are wrong, or `out` is in use, before any work starts; if another
            process that trains the same model ends.
        DivergedError: if a loss or a weight is no longer finite.
    """
    plugins = plugins or host()
    checked = Recipe.read(plugins, recipe.table() if isinstance(recipe, Recipe) else recipe, overrides)
    dry_run(plugins, checked)
    folder = None if out is None else Path(out)
    join_processes()
    with ExitStack() as stack:
        if folder:
            on_main_process(lambda: claim_free(folder, stack))
        return run_training(plugins, set_up(plugins, checked, folder), callbacks, quiet)


def claim_free(folder: Path, stack: ExitStack) -> None:
    """Hold a folder that is new or empty.

    Raises:
        LimnerError: if it is in use.
    """
    free_folder(folder)
    stack.enter_context(claim(folder))
    free_folder(folder)  # another training may have been there in between


def run_training(
    plugins: PluginHost,
    run: Run,
    callbacks: Sequence[object] | None,
    quiet: bool,
    state: Mapping[str, Any] | None = None,
) -> Model:
    """Train with callbacks, from the start or from a state. Returns the model."""
    shown = callbacks if callbacks is not None else [*default_callbacks(run.folder, quiet), StopNote()]
    with ExitStack() as stack:
        if PartialState().is_main_process:
            run.model.trackers = build_trackers(run.recipe)
            for callback in (History(), *run.model.trackers, *shown):
                plugins.register(callback)
                stack.callback(plugins.unregister, callback)
        try:
            fit(plugins, run, state)
        except BaseException:
            plugins.call("limner_training_failed", run=run)
            raise
    return run.model


def fit(plugins: PluginHost, run: Run, state: Mapping[str, Any] | None = None) -> None:
    """The loop, from the start or from a state. It ends when the budget is used, or after a signal to stop. Either way
    the weights are saved.
    """
    run.players = players_of(run)
    run.surroundings = surroundings_of(run)
    if state:
        restore(run, state)
        keep_good_weights(run)
    with StopSignals() as signals, together(run.folder):
        with PlayerThreads(run.batches.device, len(run.players)) as threads:
            compute = partial(compute_step, run, run.players, threads)
            make_step = CapturedStep(run, compute, [player.optimizer for player in run.players.values()])
            plugins.call("limner_training_started", run=run)
            checkpoint(plugins, run)
            if run.progress < 1:  # a resumed training may have ended before it was measured
                make_steps(plugins, run, make_step, signals)
        checkpoint(plugins, run, last=True)
        plugins.call("limner_training_finished", run=run)
        PartialState().wait_for_everyone()  # the run folder is complete


def players_of(run: Run) -> dict[str, Player]:
    """The players by name. The generator and the discriminator are opponents; the encoder and the losses are on the
    discriminator's side. Without a discriminator, one player has everything.
    """
    settings, networks = run.recipe.training, run.networks
    optimizer = run.recipe.resolved("training.optimizer") if settings.optimizer else None
    own = run.recipe.resolved("training.generator_optimizer") if settings.generator_optimizer else optimizer
    if networks.conditional_discriminator is None:
        return {"generator": Player(list(networks.parameters()), own)}
    judging = [*networks.conditional_discriminator.parameters(), *networks.losses.parameters()]
    painting = Player(list(networks.conditional_generator.generator.parameters()), own)
    return {"generator": painting, "discriminator": Player(judging, optimizer)}


def make_steps(plugins: PluginHost, run: Run, make_step: CapturedStep, signals: StopSignals) -> None:
    """Make steps until the budget is used, a signal arrives, or a callback raises KeyboardInterrupt."""
    settings, on_gpu = run.recipe.training, run.batches.device.type == "cuda"
    rates = {"generator": settings.generator_lr, "discriminator": settings.discriminator_lr}
    start = time.perf_counter() - run.seconds
    for batch in run.batches:
        for name, player in run.players.items():
            player.set_lr(rates[name] * run.lr_decay)
        losses = make_step(batch, run.draw_noise(len(batch)))

        run.step += 1
        run.images += len(batch)
        run.seconds, run.interrupted = _same_everywhere(time.perf_counter() - start, signals.received)
        if not on_gpu or run.step % CHECK_EVERY == 0:
            stop_unless_finite(run, losses)
        try:
            plugins.call("limner_step_finished", run=run, losses=losses)
        except KeyboardInterrupt:
            if signals.received:  # the second Ctrl-C
                raise
            run.interrupted = True
        keep_snapshots(run)
        if run.interrupted or run.progress >= 1:
            return
        checkpoint(plugins, run)


def compute_step(
    run: Run, players: Mapping[str, Player], threads: PlayerThreads, batch: Batch, noise: Float[Tensor, "B Z"]
) -> tuple[tuple[str, ...], Float[Tensor, " L"]]:
    """Make one step: forward, losses, gradients, new weights. Returns the losses, by name, as they are on the device.

    No value decides which operations follow, so that the step can be captured (see `CapturedStep`).
    """
    device, bfloat16 = run.batches.device, run.precision == "bfloat16"
    autocast = partial(torch.autocast, device.type, torch.bfloat16, enabled=bfloat16, cache_enabled=False)
    step = new_step(run, batch, noise)
    with autocast():
        _ = step.text  # both threads read it
    if "discriminator" in players:
        threads.run([autocast()(step.compute_generated), autocast()(step.compute_real)])

    # One graph holds both players. Each takes the gradient of its own loss, by its own weights.
    found = threads.run(
        [partial(compute_gradients, run, step, player, side, autocast()) for side, player in players.items()]
    )
    del step  # free the graph before the weights change
    for player in players.values():
        player.average_gradients()
    threads.run([player.step for player in players.values()])
    run.average.update()
    losses = {name: value for of_player in reversed(found) for name, value in of_player.items()}
    return tuple(losses), torch.stack(list(losses.values()))


def compute_gradients(
    run: Run, step: Step, player: Player, side: str, autocast: torch.autocast
) -> dict[str, Float[Tensor, ""]]:
    """Compute a player's gradients. Returns its loss terms by name, and their weighted sum under the name `side`."""
    with autocast:
        loss, terms = losses_of_step(run, step, side)
    player.compute_gradients(loss)
    return {name: value.detach().float() for name, value in (terms | {side: loss}).items()}


def losses_of_step(run: Run, step: Step, side: str) -> tuple[Tensor, dict[str, Tensor]]:
    """What the "discriminator" or the "generator" minimizes in this step, and its terms by name."""
    total, terms = step.noise.new_zeros(()), {}
    for name, loss in run.networks.named_losses().items():
        weight = run.recipe.losses[name].weight
        value = getattr(loss, side)(step) if weight and run.step % loss.every == 0 else None  # weight 0 costs nothing
        if value is not None:
            terms[f"{name}/{side}"] = value
            total = total + weight * loss.every * value  # a lazy loss also counts for the steps it skipped
    return total, terms


def _same_everywhere(seconds: float, stop: bool) -> tuple[float, bool]:
    """The main process's clock, and whether it was told to stop, so that all processes stop at the same step."""
    state = PartialState()
    if state.num_processes == 1:
        return seconds, stop
    told = cast(Tensor, broadcast(torch.tensor([seconds, stop], device=state.device))).tolist()
    return told[0], bool(told[1])
