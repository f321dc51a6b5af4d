"""From a recipe to what it names: networks, data set, metrics. Everything was found and checked with the recipe."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from torch import nn

from limner.errors import LimnerError, nearest
from limner.interfaces import Dataset, Discriminator, Generator, Loss, Metric, TextEncoder
from limner.meta import without_memory
from limner.plugins import PluginHost
from limner.recipes.options import resolve_component
from limner.recipes.scorers import losses_that, pick_scorer
from limner.step import ConditionalDiscriminator, ConditionalGenerator
from limner.types import Sizes

if TYPE_CHECKING:
    from limner.recipes.schema import Recipe

MOST_WEIGHTS = 10**10
"""The weights of the largest model that is trained: with gradients and averages, some 160 GB."""


class Networks(nn.Module):
    """Everything that has weights: generator and discriminator, which share the encoder, and the losses' modules.

    A generator that is trained alone has no discriminator (None).
    """

    def __init__(
        self,
        encoder: TextEncoder,
        generator: Generator,
        discriminator: Discriminator | None,
        losses: nn.ModuleDict,
        sizes: Sizes,
    ):
        super().__init__()
        self.conditional_generator = ConditionalGenerator(encoder, generator)
        self.conditional_discriminator = ConditionalDiscriminator(encoder, discriminator) if discriminator else None
        self.losses, self.sizes = losses, sizes

    def named_losses(self) -> dict[str, Loss]:
        """The losses by name."""
        return cast(dict[str, Loss], dict(self.losses.items()))


def build_networks(recipe: "Recipe", vocabulary: int, kept: Path | None = None) -> Networks:
    """The networks of a recipe, with fresh weights.

    Each part gets the sizes that the earlier ones set, in the order encoder, generator, discriminator, losses.

    Args:
        recipe: a recipe that was checked.
        vocabulary: the number of token ids.
        kept: the folder in which a run keeps the pretrained model of its encoder; by default it is found by its name.

    Raises:
        LimnerError: for parts that do not fit together, or a loss that needs a discriminator where there is none.
    """
    sizes = Sizes(image=recipe.image_size, vocabulary=vocabulary, length=recipe.text.length)
    resolved = recipe.resolved("encoder")
    if kept and resolved.component.pretrained:
        resolved = replace(resolved, options=resolved.options | {resolved.component.pretrained: str(kept)})
    encoder: TextEncoder = resolved.build(sizes)
    sizes = sizes.knowing(text=encoder.width)
    generator: Generator = recipe.resolved("generator").build(sizes)
    sizes = sizes.knowing(noise=generator.noise_width, resolutions=tuple(generator.resolutions))
    discriminator: Discriminator | None = (
        recipe.resolved("discriminator").build(sizes) if recipe.discriminator else None
    )
    if discriminator:
        sizes = sizes.knowing(features=discriminator.feature_channels, feature_size=discriminator.feature_size)
    else:
        _refuse_adversarial(recipe)
    losses = nn.ModuleDict({name: recipe.resolved(f"losses.{name}").build(sizes) for name in recipe.losses})
    return Networks(encoder, generator, discriminator, losses, sizes)


def _refuse_adversarial(recipe: "Recipe") -> None:
    """Refuse losses that need a discriminator."""
    for name in recipe.losses:
        if recipe.resolved(f"losses.{name}").component.needs_discriminator:
            raise LimnerError(
                f"losses.{name}: this loss needs a discriminator, and the recipe has none; add [discriminator], or "
                "leave the loss out."
            )


def is_own(module: object) -> bool:
    """Whether it is a module of a component, and not one of torch's."""
    return isinstance(module, nn.Module) and not type(module).__module__.startswith("torch.")


def own_modules(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The modules within a network that are not torch's, with their places."""
    return ((place, module) for place, module in network.named_modules() if is_own(module))


def parts_of(model: Any) -> nn.ModuleDict:
    """The parts of `Networks` or of a `Model` by the names that recipes use: encoder, generator, losses.cycle, ..."""
    painting, judging = model.conditional_generator, model.conditional_discriminator
    parts = {"encoder": painting.encoder, "generator": painting.generator}
    if judging:  # None in a model that was kept for painting only, or whose generator is trained alone
        parts["discriminator"] = judging.discriminator
    return nn.ModuleDict(parts | {"losses": model.losses})


def parts_named(model: Any, names: Sequence[str], place: str) -> list[nn.Module]:
    """Parts of a model by name, such as "encoder" or "generator.stages.0"; `place` is where the recipe names them.

    Raises:
        LimnerError: for a part that the model does not have.
    """
    whole = parts_of(model)
    parts = dict(whole.named_modules())
    example = next((name for name in parts if name.startswith("losses.")), "losses")
    for name in names:
        if not name or name not in parts:
            raise LimnerError(
                f"{place}: this model has no part '{name}'{nearest(name, parts)}; "
                f"there is {', '.join(whole)}, and what is within, such as {example}."
            )
    return [parts[name] for name in names]


def pretrained_model(recipe: "Recipe") -> str | None:
    """The pretrained model of the recipe's encoder, by hub name or folder; None if it has none.

    Raises:
        LimnerError: if the recipe names another tokenizer than that of this model.
    """
    resolved = recipe.resolved("encoder")
    if resolved.component.pretrained is None:
        return None
    model = resolved.options[resolved.component.pretrained]
    if recipe.text.tokenizer not in (None, model):
        raise LimnerError(
            f"text.tokenizer: the encoder '{recipe.encoder.name}' needs the tokenizer of its model '{model}', "
            f"so '{recipe.text.tokenizer}' cannot be used; leave text.tokenizer out."
        )
    return model


def build_dataset(recipe: "Recipe") -> Dataset:
    """The data set of a recipe. Nothing is read yet."""
    return recipe.resolved("data").build(recipe.image_size)


def suggested_prompts(recipe: "Recipe") -> list[str]:
    """Prompts to try with a trained model: the recipe's, or else those of the data, if it names some without images."""
    prompts = list(recipe.prompts or [])
    try:
        dataset = None if prompts else build_dataset(recipe)
        if dataset and type(dataset).preview_prompts is not Dataset.preview_prompts:
            prompts = dataset.preview_prompts()
    except LimnerError:  # the data may be elsewhere
        pass
    return prompts


def build_trackers(recipe: "Recipe") -> list[object]:
    """The trackers of a recipe, by which nothing is recorded yet.

    Raises:
        LimnerError: if one of them needs a package that is not installed.
    """
    places = [f"training.trackers.{number}" for number in range(len(recipe.training.trackers))]
    return [recipe.resolved(place).build(recipe) for place in places]


def build_metrics(host: PluginHost, recipe: "Recipe", dataset: Dataset) -> dict[str, Metric]:
    """The metrics that a recipe names, or else those of its data set.

    Raises:
        LimnerError: if there is none, or one cannot measure this data.
    """
    names = list(dataset.metrics) if recipe.metrics is None else list(recipe.metrics)
    if not names:
        raise LimnerError(
            f"The data set '{recipe.data.name}' has no metric of its own, because it does not know what its images "
            f"show; name one in [metrics] of the recipe, there is {', '.join(host.components('metric'))}."
        )
    return {name: build_metric(host, recipe, name, dataset) for name in names}


def build_metric(host: PluginHost, recipe: "Recipe", name: str, dataset: Dataset) -> Metric:
    """One metric: with the options of the recipe if the recipe names it, otherwise with its defaults.

    Raises:
        LimnerError: if there is no such metric, or it cannot measure this data.
    """
    if name in (recipe.metrics or {}):
        return recipe.resolved(f"metrics.{name}").build(dataset)
    return resolve_component(host, "metric", name, {}, f"metrics.{name}").build(dataset)


def dry_run(host: PluginHost, recipe: "Recipe") -> None:
    """Build everything without memory or weights, so that sizes that do not fit fail before any work starts.

    Raises:
        LimnerError: for parts that do not fit together.
    """
    pretrained_model(recipe)
    build_trackers(recipe)
    with without_memory():
        networks = build_networks(recipe, recipe.text.vocabulary)
        parts_named(networks, recipe.training.freeze, "training.freeze")
        parts_named(networks, recipe.training.load_parts, "training.load_parts")
    if (weights := sum(weight.numel() for weight in networks.parameters())) > MOST_WEIGHTS:
        raise LimnerError(f"This model would have {weights / 1e9:.0f} billion weights; choose smaller sizes.")
    if recipe.sampling.candidates > 1:
        pick_scorer(host, networks.named_losses(), recipe.sampling.by, "sampling.by")
    if not any(_trains_generator(type(loss)) for loss in networks.named_losses().values()):
        raise LimnerError(
            f"losses: none has a term for the generator; add one of {losses_that(host, _trains_generator)}."
        )


def _trains_generator(loss: type[Loss]) -> bool:
    return loss.generator is not Loss.generator
