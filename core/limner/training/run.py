"""A training under way, and how it is set up from a recipe."""

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch
from accelerate import PartialState
from jaxtyping import Float
from torch import Tensor

from limner.data.batches import Batches, send
from limner.data.streamed_batches import StreamedBatches, some_captions
from limner.data.tokenizer import Tokenizer
from limner.errors import LimnerError
from limner.models.model import Model
from limner.models.run_folder import ENCODER_FOLDER, SavedRun
from limner.plugins import PluginHost
from limner.recipes.build import Networks, build_dataset, build_networks, parts_named, pretrained_model
from limner.recipes.schema import Recipe
from limner.shared_rows import AllRows, SharedRows
from limner.step import ConditionalGenerator, Step
from limner.training.averaging import WeightAverage
from limner.training.optimizers import Player
from limner.training.precision import precision_of
from limner.training.warm_start import copy_weights
from limner.types import Batch, ImageStream

MOST_TO_FIT = 4096  # captions, from all over the data


@dataclass
class Run:
    """A training under way: its parts, and how far it has come. Training hooks receive it."""

    recipe: Recipe
    model: Model  # what is trained: its generator and encoder have the averaged weights
    networks: Networks
    average: WeightAverage[ConditionalGenerator]  # of the weights that paint
    batches: Batches | StreamedBatches
    noise_source: torch.Generator
    folder: Path | None
    prompts: list[str]
    project: str = "limner"  # what trackers file it under,
    name: str = ""  # and its name there
    step: int = 0  # steps made
    seconds: float = 0.0  # since the first step began
    images: int = 0  # real images seen, by all processes together
    interrupted: bool = False
    saved: float = -math.inf  # the progress at which the run folder was last written,
    previewed: float = -math.inf  # and that at which the previews were last painted
    players: dict[str, Player] = field(default_factory=dict)  # by name: generator, discriminator
    surroundings: dict[str, str] = field(default_factory=dict)  # versions, threads, ...: what decides about bits
    recent: list[Mapping[str, float]] = field(default_factory=list)  # losses that are not yet in the history
    snapshots: dict[float, Path | None] = field(default_factory=dict)  # the folders of the snapshots so far
    good: dict[str, Tensor] = field(default_factory=dict)  # the last weights that were checked to be finite

    @property
    def progress(self) -> float:
        """The part of the budget that is used, from 0 to 1."""
        training = self.recipe.training
        used = self.step / training.steps if training.steps else self.seconds / (training.seconds or math.inf)
        return min(1.0, used)

    @property
    def budget(self) -> str:
        """The budget in words, such as "500 steps"."""
        training = self.recipe.training
        return f"{training.steps} steps" if training.steps else f"{training.seconds:g} seconds"

    @property
    def lr_decay(self) -> float:
        """The factor of the learning rates: 1, then falling linearly to 0 over the last part of the budget."""
        decay = self.recipe.training.decay
        return min(1.0, (1 - self.progress) / decay) if decay else 1.0

    @cached_property
    def precision(self) -> str:
        """What the training computes in: "float32" or "bfloat16"."""
        return precision_of(self.recipe.training, self.batches.device)

    def draw_noise(self, rows: int) -> Float[Tensor, "{rows} Z"]:
        """z ~ N(0, I)."""
        return send(torch.randn(rows, self.networks.sizes.noise, generator=self.noise_source), self.batches.device)


def set_up(plugins: PluginHost, recipe: Recipe, folder: Path | None = None, earlier: SavedRun | None = None) -> Run:
    """Read the data, learn the tokenizer, and build the networks from the recipe's seed.

    `earlier` is the run that is resumed: it has a tokenizer already, and its weights are restored later.
    """
    dataset = build_dataset(recipe)
    state, settings = PartialState(), recipe.training
    data = dataset.stream(state.process_index, state.num_processes) or dataset.load()
    captions = some_captions(data) if isinstance(data, ImageStream) else data.captions
    started_from = None if earlier else earlier_model(plugins, recipe)
    if earlier:
        tokenizer = earlier.tokenizer
    elif started_from:
        tokenizer = started_from.tokenizer.with_words(captions)
    else:
        tokenizer = Tokenizer.learn(captions, recipe.text, pretrained_model(recipe))
    if isinstance(data, ImageStream):
        batches = StreamedBatches(data, tokenizer, settings.batch_size, settings.seed, state.device, rows_of_process())
    else:
        batches = Batches(data, tokenizer, settings.batch_size, settings.seed, state.device)
    check_share(batches.batch_size, batches.images, state.num_processes)
    if state.is_main_process and batches.truncated:
        warnings.warn(
            f"{batches.truncated} of {batches.captions} captions are longer than text.length = {tokenizer.length} "
            f"tokens and are cut; set text.length to at least {batches.longest}.",
            stacklevel=3,
        )
    torch.manual_seed(settings.seed)
    kept = earlier.folder / ENCODER_FOLDER if earlier else None
    networks = build_networks(recipe, tokenizer.vocabulary, kept).to(state.device)
    if not earlier:
        some = tokenizer(captions[:: 1 + (len(captions) - 1) // MOST_TO_FIT])
        networks.conditional_generator.encoder.fit(some.to(batches.device))
    if started_from:
        told = copy_weights(started_from, networks, str(settings.start_from), settings.load_parts)
        warnings.warn(told, stacklevel=3)
    for part in parts_named(networks, settings.freeze, "training.freeze"):
        part.requires_grad_(False)
    average = WeightAverage(networks.conditional_generator, settings.ema_decay)
    model = Model(plugins, recipe, tokenizer, average.average, networks.conditional_discriminator, networks.losses)
    prompts = recipe.prompts if recipe.prompts is not None else dataset.preview_prompts()
    noise_source = torch.Generator().manual_seed(settings.seed)
    name = folder.name if folder else recipe.title or recipe.data.name
    return Run(recipe, model, networks, average, batches, noise_source, folder, prompts, name=name)


def check_share(batch_size: int, images: int, processes: int) -> None:
    """Check that the images of a batch can be divided among the processes.

    Raises:
        LimnerError: if they cannot.
    """
    if images < processes:
        raise LimnerError(
            f"{processes} processes cannot share {images} training image{'s' if images > 1 else ''}; "
            "start fewer processes, or add images."
        )
    if batch_size % processes:
        fitting = max(2, processes, batch_size - batch_size % processes)
        raise LimnerError(
            f"A batch of {batch_size} images cannot be divided equally among {processes} processes; "
            f"set training.batch_size to a multiple of {processes}, such as {fitting}."
        )


def earlier_model(plugins: PluginHost, recipe: Recipe) -> Model | None:
    """The model that a recipe starts from; None if it names none.

    Raises:
        LimnerError: if its run folder is missing, half written or damaged, if its captions have another length, or if
            the recipe's encoder has another tokenizer.
    """
    if recipe.training.start_from is None:
        return None
    try:
        earlier = Model.load(recipe.training.start_from, plugins)
    except LimnerError as error:
        raise LimnerError(f"training.start_from: {error}") from None
    if earlier.tokenizer.length != recipe.text.length:
        raise LimnerError(
            f"training.start_from: {recipe.training.start_from} reads captions of {earlier.tokenizer.length} tokens, "
            f"and this recipe of {recipe.text.length}; set text.length={earlier.tokenizer.length}."
        )
    model = pretrained_model(recipe)
    own = earlier.tokenizer if model is None else Tokenizer.learn([], recipe.text, model)
    if own.inner.get_vocab() != earlier.tokenizer.inner.get_vocab():
        raise LimnerError(
            f"training.start_from: {recipe.training.start_from} has another tokenizer than '{model}', "
            "the pretrained model of this recipe's encoder; start from a run with the same pretrained model."
        )
    return earlier


def new_step(run: Run, batch: Batch, noise: Float[Tensor, "B Z"]) -> Step:
    """The step that the losses read. Its real images are differentiable if a loss that is due needs that."""
    networks, parts = run.networks, run.recipe.losses
    losses = [loss for name, loss in networks.named_losses().items() if parts[name].weight]
    differentiate = any(loss.differentiates_images for loss in losses if run.step % loss.every == 0)
    reads_distractors = any(loss.reads_distractors for loss in losses)
    generator, discriminator = networks.conditional_generator, networks.conditional_discriminator
    return Step(generator, discriminator, batch, noise, differentiate, reads_distractors, rows_of_process())


def rows_of_process() -> AllRows:
    """The rows of a batch that this process computes."""
    state = PartialState()
    return SharedRows(state.process_index, state.num_processes) if state.num_processes > 1 else AllRows()
