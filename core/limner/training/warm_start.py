"""Beginning a training with what another run has learned, wherever the two models have the same parts."""

from collections.abc import Collection, Iterable, Sequence

import torch
from torch import Tensor, nn

from limner.data.tokenizer import Tokenizer
from limner.errors import LimnerError
from limner.models.model import Model
from limner.plugins import PluginHost
from limner.recipes.build import Networks, parts_named, parts_of, pretrained_model
from limner.recipes.schema import Recipe


def started_from(plugins: PluginHost, recipe: Recipe) -> Model | None:
    """The model that a recipe starts from, if it names one.

    Raises:
        LimnerError: when its run folder is not there, half written or damaged, its captions are of another length, or
            the recipe's encoder reads with another tokenizer.
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
            f"and this recipe says {recipe.text.length}; set text.length={earlier.tokenizer.length}."
        )
    model = pretrained_model(plugins, recipe)
    own = earlier.tokenizer if model is None else Tokenizer.learn([], recipe.text, model)
    if own.inner.get_vocab() != earlier.tokenizer.inner.get_vocab():
        raise LimnerError(
            f"training.start_from: {recipe.training.start_from} reads with another tokenizer than that of '{model}', "
            "on which this recipe's encoder builds; begin with a run whose encoder builds on it too, or from nothing."
        )
    return earlier


@torch.no_grad()
def begin_with(earlier: Model, networks: Networks, folder: str, only: Sequence[str] = ()) -> str:
    """Copy the averaged weights of an earlier model into parts of the same class and place; the others stay as new.

    Args:
        earlier: the model to take from.
        networks: those that take.
        folder: where the earlier model lies, for what is told.
        only: names of parts; whatever is not within them is not taken. Empty for all.

    Returns:
        A sentence that names what was taken, what is new, and what was left.

    Raises:
        LimnerError: when a weight has another shape there, or there is nothing to take.
    """
    mine, theirs = parts_of(networks), parts_of(earlier)
    own, others = weights_of(mine), weights_of(theirs)
    alike = same_parts(mine, theirs)
    if only:
        wanted = {module for part in parts_named(networks, only, "training.load_parts") for module in part.modules()}
        alike = {place for place, module in mine.named_modules() if place in alike and module in wanted}
    taken = [name for name in own if name.rpartition(".")[0] in alike and name in others]
    for name in taken:
        if own[name].shape != others[name].shape:
            shapes = [" x ".join(map(str, weights[name].shape)) for weights in (others, own)]
            raise LimnerError(
                f"training.start_from: '{name}' is {shapes[0]} in {folder} and {shapes[1]} here; "
                f"give this part the options that it has in {folder}/recipe.toml, or name in training.load_parts what "
                'is to be taken, such as ["encoder", "generator"].'
            )
        own[name].copy_(others[name])
    if not taken:
        raise LimnerError(f"training.start_from: {folder} has no part that this model has; nothing could be taken.")
    new, left = (summed_up(weights.keys() - set(taken), weights) for weights in (own, others))
    told = [f"Taken from {folder}: {', '.join(summed_up(set(taken), own))}"]
    told += [f"new: {', '.join(new)}"] if new else []
    told += [f"left there: {', '.join(left)}"] if left else []
    return "; ".join(told) + "."


def weights_of(parts: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name."""
    return dict(parts.named_parameters()) | dict(parts.named_buffers())


def same_parts(mine: nn.Module, theirs: nn.Module) -> set[str]:
    """The places where both have a module of the same class, within modules of the same class."""
    known, alike = dict(theirs.named_modules()), set()
    for place, module in mine.named_modules():  # the outer ones come first
        if type(module) is type(known.get(place)) and (not place or place.rpartition(".")[0] in alike):
            alike.add(place)
    return alike


def summed_up(chosen: Collection[str], everything: Iterable[str]) -> list[str]:
    """The largest parts of which all weights are chosen: ["encoder", "generator.stages.0"]."""
    parts: dict[str, None] = {}
    rest = [name for name in everything if name not in chosen]
    for name in everything:
        if name in chosen:
            pieces = name.split(".")
            prefixes = (".".join(pieces[:depth]) for depth in range(1, len(pieces) + 1))
            whole = next(p for p in prefixes if not any(f"{other}.".startswith(f"{p}.") for other in rest))
            parts[whole] = None
    return list(parts)
