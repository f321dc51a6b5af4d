"""The training loop: at each step both players are judged, each moves, and an average of the painter is kept."""

import math
import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, cast

import torch
from accelerate import PartialState
from accelerate.utils import broadcast
from jaxtyping import Float
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from limner.data.batches import Batches
from limner.data.tokenizer import Tokenizer
from limner.errors import DivergedError
from limner.files import free_folder
from limner.models.model import Model
from limner.plugins import PluginHost, host
from limner.recipes.build import Networks, build_dataset, build_networks, dry_run, parts_named, pretrained_model
from limner.recipes.schema import Recipe, Training
from limner.step import ConditionalGenerator, Step
from limner.training.callbacks import History, default_callbacks
from limner.training.optimizers import Player, PlayerThreads
from limner.training.warm_start import begin_with, started_from
from limner.types import Batch


@dataclass
class Run:
    """A training under way: its parts, and how far it has come. Hooks of training are handed this."""

    recipe: Recipe
    model: Model
    networks: Networks
    average: AveragedModel
    batches: Batches
    folder: Path | None
    prompts: list[str]
    step: int = 0  # steps made
    seconds: float = 0.0  # since the first step began
    images: int = 0  # real images seen, by all processes together
    interrupted: bool = False
    snapshots: list[Path | None] = field(default_factory=list)  # the folders of those that are kept so far
    good: dict[str, Tensor] = field(default_factory=dict)  # the last weights known to be finite

    @property
    def progress(self) -> float:
        """The part of the budget that is used up, from 0 to 1."""
        training = self.recipe.training
        used = self.step / training.steps if training.steps else self.seconds / (training.seconds or math.inf)
        return min(1.0, used)


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
        out: an empty or new folder: recipe, weights, tokenizer, history and pictures are written there on the way.
        overrides: changes to the recipe, such as `["training.steps=500"]`.
        quiet: show neither a progress bar nor live pictures; the run folder gets its pictures all the same.
        callbacks: objects with hooks of training (`limner_step_finished`, ...) in place of the usual bar and pictures.
        plugins: the plugin host; by default all that is installed.

    Returns:
        The trained model, with the averaged weights and its `history`. Interrupted (Ctrl-C), it returns what
        it has learned so far.

    Raises:
        LimnerError: where the recipe or the data are wrong, before any work.
        DivergedError: when a loss or a weight stops being finite.
    """
    plugins = plugins or host()
    source = recipe.table() if isinstance(recipe, Recipe) else recipe
    checked = Recipe.read(plugins, source, overrides)
    dry_run(plugins, checked)
    folder = None if out is None else free_folder(Path(out))
    run = set_up(plugins, checked, folder)
    shown = callbacks if callbacks is not None else default_callbacks(folder, quiet)
    with ExitStack() as stack:
        if PartialState().is_main_process:
            for callback in (History(run), *shown):
                plugins.register(callback)
                stack.callback(plugins.unregister, callback)
        play(plugins, run)
    return run.model


def set_up(plugins: PluginHost, recipe: Recipe, folder: Path | None = None) -> Run:
    """Read the data, learn the tokenizer, and build the networks from the recipe's seed."""
    dataset = build_dataset(plugins, recipe)
    data = dataset.load()
    captions = [a["caption"] for annotations in data.annotations for a in annotations]
    state, settings = PartialState(), recipe.training
    earlier = started_from(plugins, recipe)
    if earlier:
        tokenizer = earlier.tokenizer.with_words(captions)
    else:
        tokenizer = Tokenizer.learn(captions, recipe.text, pretrained_model(plugins, recipe))
    batches = Batches(
        data, tokenizer, settings.batch_size, settings.seed, state.device, state.process_index, state.num_processes
    )
    torch.manual_seed(settings.seed)
    networks = build_networks(plugins, recipe, tokenizer.vocabulary).to(state.device)
    if earlier:
        warnings.warn(begin_with(earlier, networks, str(settings.start_from), settings.load_parts), stacklevel=3)
    for part in parts_named(networks, settings.freeze, "training.freeze"):
        part.requires_grad_(False)
    average = AveragedModel(
        networks.conditional_generator, multi_avg_fn=get_ema_multi_avg_fn(settings.ema_decay)
    ).eval()
    model = Model(
        plugins,
        recipe,
        tokenizer,
        cast(ConditionalGenerator, average.module),
        networks.conditional_discriminator,
        networks.losses,
    )
    prompts = recipe.prompts if recipe.prompts is not None else dataset.preview_prompts()
    return Run(recipe, model, networks, average, batches, folder, prompts)


def play(plugins: PluginHost, run: Run) -> None:
    """The loop. It ends when the budget is used up, or after Ctrl-C; either way the weights are saved."""
    settings, networks, state = run.recipe.training, run.networks, PartialState()
    device = run.batches.device
    bfloat16 = precision_of(settings, device) == "bfloat16"
    autocast = partial(torch.autocast, device.type, torch.bfloat16, enabled=bfloat16, cache_enabled=False)
    judge = Player([*networks.conditional_discriminator.parameters(), *networks.losses.parameters()], settings.betas)
    painter = Player(list(networks.conditional_generator.generator.parameters()), settings.betas)
    noise_source = torch.Generator().manual_seed(settings.seed)
    plugins.call("limner_training_started", run=run)
    previewed = draw_samples(plugins, run)
    start = time.perf_counter()
    with PlayerThreads(device) as threads:
        try:
            for batch in run.batches:
                noise = draw_noise(run, len(batch), noise_source)
                step = new_step(run, batch, noise)
                with autocast():
                    _ = step.text  # both hands need it
                threads.run_both(autocast()(step.paint), autocast()(step.look))

                # One graph holds both players; each goes along the gradient of its own loss by its own weights.
                slower = min(1.0, (1 - run.progress) / settings.decay) if settings.decay else 1.0
                painted, judged = threads.run_both(
                    partial(compute_gradients, run, step, painter, "generator", autocast()),
                    partial(compute_gradients, run, step, judge, "discriminator", autocast()),
                )
                del step  # and its graph, before the next one is made
                parts = judged | painted
                losses = dict(zip(parts, torch.stack(list(parts.values())).tolist()))
                stop_unless_finite(run, losses)
                painter.step(settings.generator_lr * slower)
                judge.step(settings.discriminator_lr * slower)
                run.average.update_parameters(networks.conditional_generator)

                run.step += 1
                run.images += len(batch) * state.num_processes
                run.seconds = _same_everywhere(time.perf_counter() - start)
                plugins.call("limner_step_finished", run=run, losses=losses)
                if run.progress >= 1:
                    break
                if run.progress >= previewed + settings.preview_every:
                    previewed = draw_samples(plugins, run)
                keep_snapshots(run)
        except KeyboardInterrupt:
            run.interrupted = True
    draw_samples(plugins, run)
    plugins.call("limner_training_finished", run=run)


def new_step(run: Run, batch: Batch, noise: Tensor) -> Step:
    """The step that the losses read; real images are differentiable where a loss that is due asks for it."""
    networks, weighed = run.networks, run.recipe.losses
    losses = [loss for name, loss in networks.named_losses().items() if weighed[name].weight]
    differentiate = any(loss.differentiates_images for loss in losses if run.step % loss.every == 0)
    distracted = any(loss.reads_distractors for loss in losses)
    return Step(
        networks.conditional_generator, networks.conditional_discriminator, batch, noise, differentiate, distracted
    )


def compute_gradients(
    run: Run, step: Step, player: Player, name: str, autocast: torch.autocast
) -> dict[str, Float[Tensor, ""]]:
    """Find the gradients by which a player will move; returns what its losses were, each by name and their sum."""
    with autocast:
        loss, parts = losses_of_step(run, step, name)
    player.compute_gradients(loss)
    return {part: value.detach().float() for part, value in (parts | {name: loss}).items()}


def losses_of_step(run: Run, step: Step, player: str) -> tuple[Tensor, dict[str, Tensor]]:
    """What the "discriminator" or the "generator" minimises at this step, and every part of it by name."""
    total, parts = step.noise.new_zeros(()), {}
    for name, loss in run.networks.named_losses().items():
        weight = run.recipe.losses[name].weight
        lazy = loss.every if player == "discriminator" else 1  # a lazy loss counts for the steps it skipped
        value = getattr(loss, player)(step) if weight and run.step % lazy == 0 else None  # at weight 0 it costs nothing
        if value is not None:
            parts[f"{name}/{player}"] = value
            total = total + weight * lazy * value
    return total, parts


def draw_noise(run: Run, rows: int, source: torch.Generator) -> Tensor:
    """z ~ N(0, I) for this process's rows: every process draws the whole batch's noise and keeps its own."""
    state = PartialState()
    whole = torch.randn(rows * state.num_processes, run.networks.sizes.noise, generator=source)
    return whole[state.process_index :: state.num_processes].to(state.device)


def draw_samples(plugins: PluginHost, run: Run) -> float:
    """Paint the preview prompts, save the weights, remember them as good; returns the progress made so far."""
    weights = run.model.state_dict()
    if bad := [name for name, value in weights.items() if not value.isfinite().all()]:
        stop(run, f"the weights '{bad[0]}' were no longer finite")
    run.good = {name: value.clone() for name, value in weights.items()}
    if PartialState().is_main_process:
        if run.prompts:
            plugins.call(
                "limner_samples_drawn", run=run, images=run.model.paint_images(run.prompts), prompts=run.prompts
            )
        if run.folder is not None:
            run.model.save(run.folder)
            plugins.call("limner_checkpoint_saved", run=run, folder=run.folder)
    return run.progress


def keep_snapshots(run: Run) -> None:
    """Keep the model as it is now, a run folder of its own within the run's, at the parts of the budget asked for."""
    kept = len(run.snapshots)
    due = [part for part in sorted(set(run.recipe.training.snapshots))[kept:] if part <= run.progress]
    for part in due:
        folder = run.folder / "snapshots" / f"{part:g}" if run.folder else None
        run.snapshots.append(folder)
        if folder and PartialState().is_main_process:
            run.model.save(folder)


def stop_unless_finite(run: Run, losses: Mapping[str, float]) -> None:
    """Stop when a loss is not finite."""
    if bad := [name for name, value in losses.items() if not math.isfinite(value)]:
        stop(run, f"the loss '{bad[0]}' was {losses[bad[0]]}")


def stop(run: Run, cause: str) -> NoReturn:
    """Stop with a plain sentence; the model goes back to the last good weights."""
    run.model.load_state_dict(run.good)
    kept = f"; the weights in {run.folder} are those before it went wrong" if run.folder else ""
    raise DivergedError(
        f"At step {run.step} {cause}, and training stopped{kept}. "
        "A smaller training.generator_lr and training.discriminator_lr, or a heavier gradient penalty, may help."
    )


def precision_of(settings: Training, device: torch.device) -> str:
    """The precision that a training computes in: what the recipe says, "auto" being the fastest that there is."""
    if settings.precision != "auto":
        return settings.precision
    return "bfloat16" if fast_bfloat16(device) else "float32"


def fast_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 is faster than float32 there: on GPUs and CPUs that compute in it."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and any(torch.cpu.get_capabilities().get(unit) for unit in ("amx_bf16", "avx512_bf16"))


def _same_everywhere(seconds: float) -> float:
    """The main process's clock, so that all processes stop at the same step."""
    state = PartialState()
    if state.num_processes == 1:
        return seconds
    return float(cast(Tensor, broadcast(torch.tensor(seconds, device=state.device))))
