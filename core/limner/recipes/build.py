"""From a recipe to the networks that it names."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from torch import nn

from limner.errors import LimnerError, nearest
from limner.interfaces import Dataset, Discriminator, Generator, Loss, Metric, TextEncoder
from limner.kinds import kind_of
from limner.models.scoring import scorer
from limner.plugins import PluginHost
from limner.recipes.options import check_options
from limner.recipes.schema import Part, Recipe
from limner.step import ConditionalDiscriminator, ConditionalGenerator
from limner.types import Sizes

PartT = TypeVar("PartT", bound=nn.Module)


class Networks(nn.Module):
    """All that has weights: the painting and the judging half, which share the encoder, and the losses' own modules."""

    def __init__(
        self, painting: ConditionalGenerator, judging: ConditionalDiscriminator, losses: nn.ModuleDict, sizes: Sizes
    ):
        super().__init__()
        self.conditional_generator, self.conditional_discriminator, self.losses, self.sizes = (
            painting,
            judging,
            losses,
            sizes,
        )

    def named_losses(self) -> dict[str, Loss]:
        """The losses by name; all that a `ModuleDict` says of them is that they are modules."""
        return cast(dict[str, Loss], dict(self.losses.items()))


def build_networks(host: PluginHost, recipe: Recipe, vocabulary: int, kept: Path | None = None) -> Networks:
    """The networks of a recipe with fresh weights; `vocabulary` is the number of token ids.

    Each part is told what the earlier ones decided: encoder, generator, discriminator, losses. `kept` is the folder in
    which a run keeps the pretrained model that its encoder builds on; without it, the model is found by its name.
    """
    sizes = Sizes(image=recipe.image_size, vocabulary=vocabulary, length=recipe.text.length)
    option = host.load("encoder", recipe.encoder.name, "encoder").pretrained
    found = {option: str(kept)} if kept and option else {}
    encoder = build_part(host, TextEncoder, recipe.encoder.model_copy(update=found), "encoder", sizes)
    sizes = sizes.knowing(text=encoder.width)
    generator = build_part(host, Generator, recipe.generator, "generator", sizes)
    sizes = sizes.knowing(noise=generator.noise_width, resolutions=tuple(generator.resolutions))
    discriminator = build_part(host, Discriminator, recipe.discriminator, "discriminator", sizes)
    sizes = sizes.knowing(features=discriminator.feature_channels, feature_size=discriminator.feature_size)
    losses = nn.ModuleDict(
        {name: build_part(host, Loss, part, f"losses.{name}", sizes) for name, part in recipe.losses.items()}
    )
    return Networks(
        ConditionalGenerator(encoder, generator), ConditionalDiscriminator(encoder, discriminator), losses, sizes
    )


def parts_of(model: Any) -> nn.ModuleDict:
    """The parts of `Networks` or of a `Model` by the names that recipes use: encoder, generator, losses.cycle, ..."""
    return nn.ModuleDict(
        {
            "encoder": model.conditional_generator.encoder,
            "generator": model.conditional_generator.generator,
            "discriminator": model.conditional_discriminator.discriminator,
            "losses": model.losses,
        }
    )


def parts_named(model: Any, names: Sequence[str], place: str) -> list[nn.Module]:
    """Parts of a model by name, such as "encoder" or "generator.stages.0"; `place` is where the recipe names them.

    Raises:
        LimnerError: for a part that the model does not have.
    """
    parts = dict(parts_of(model).named_modules())
    for name in names:
        if not name or name not in parts:
            raise LimnerError(
                f"{place}: this model has no part '{name}'{nearest(name, parts)}; "
                "there is encoder, generator, discriminator, losses, and what is within, such as losses.hinge."
            )
    return [parts[name] for name in names]


def pretrained_model(host: PluginHost, recipe: Recipe) -> str | None:
    """The pretrained model that the recipe's encoder builds on, by hub name or folder; None where it builds on none.

    Raises:
        LimnerError: where the recipe names a tokenizer that is not this model's own.
    """
    option = host.load("encoder", recipe.encoder.name, "encoder").pretrained
    if option is None:
        return None
    model = check_options(host, "encoder", recipe.encoder.name, recipe.encoder.options, "encoder")[option]
    if recipe.text.tokenizer not in (None, model):
        raise LimnerError(
            f"text.tokenizer: the encoder '{recipe.encoder.name}' reads with the tokenizer of its model '{model}' and "
            f"with no other, so '{recipe.text.tokenizer}' cannot be used; leave text.tokenizer out."
        )
    return model


def build_part(host: PluginHost, interface: type[PartT], part: Part, place: str, known: object) -> PartT:
    """One component with its options; what it refuses is told with its place in the recipe."""
    kind = kind_of(interface)
    options = check_options(host, kind, part.name, part.options, place)
    try:
        return host.load(kind, part.name, place)(known, **options)
    except LimnerError as error:
        raise LimnerError(f"{place}: {error}") from None


def build_dataset(host: PluginHost, recipe: Recipe) -> Dataset:
    """The data set that a recipe names; nothing is read yet."""
    options = check_options(host, "dataset", recipe.data.name, recipe.data.options, "data")
    return host.load("dataset", recipe.data.name, "data")(recipe.image_size, **options)


def build_metrics(host: PluginHost, recipe: Recipe, dataset: Dataset) -> dict[str, Metric]:
    """The metrics that a recipe names, or else those that its data set is measured by.

    Raises:
        LimnerError: where there is none, or one cannot measure this data.
    """
    parts = recipe.metrics if recipe.metrics is not None else {name: Part(name=name) for name in dataset.metrics}
    if not parts:
        raise LimnerError(
            f"The data set '{recipe.data.name}' has no metric of its own, for nobody knows for certain what its images "
            f"show; name one in [metrics] of the recipe, there is {', '.join(host.components('metric'))}."
        )
    metrics = {}
    for name, part in parts.items():
        options = check_options(host, "metric", part.name, part.options, f"metrics.{name}")
        metrics[name] = host.load("metric", part.name, f"metrics.{name}")(dataset, **options)
    return metrics


def dry_run(host: PluginHost, recipe: Recipe) -> None:
    """Build everything without memory or weights, so that sizes that do not fit fail before any work starts."""
    pretrained_model(host, recipe)
    with torch.device("meta"):
        networks = build_networks(host, recipe, recipe.text.vocabulary)
        parts_named(networks, recipe.training.freeze, "training.freeze")
        parts_named(networks, recipe.training.load_parts, "training.load_parts")
    if recipe.sampling.candidates > 1:
        scorer(networks.named_losses(), recipe.sampling.by, "sampling.by")
    if all(type(loss).generator is Loss.generator for loss in networks.named_losses().values()):
        raise LimnerError(
            "losses: none of them says what the generator should want; add one that does, such as 'hinge'."
        )
