"""Starting a training from the weights of another run, where the two models have the same parts."""

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from limner.errors import LimnerError
from limner.recipes.build import Networks, parts_named, parts_of

if TYPE_CHECKING:
    from limner.models.model import Model


@torch.no_grad()
def copy_weights(earlier: "Model", networks: Networks, folder: str, only: Sequence[str] = ()) -> str:
    """Copy the averaged weights of an earlier model into parts of the same class and place. Other parts stay new.

    Args:
        earlier: the model to copy from.
        networks: the networks to copy to.
        folder: the folder of the earlier model, for the messages.
        only: the names of the parts to copy; empty for all.

    Returns:
        A sentence that names what was copied, what is new, and what was left.

    Raises:
        LimnerError: if a weight has another shape, or there is nothing to copy.
    """
    mine, theirs = parts_of(networks), parts_of(earlier)
    own, others = weights_of(mine), weights_of(theirs)
    alike = same_parts(mine, theirs)
    if only:
        wanted = {module for part in parts_named(networks, only, "training.load_parts") for module in part.modules()}
        alike = {place for place, module in mine.named_modules() if place in alike and module in wanted}
    copied = [name for name in own if name.rpartition(".")[0] in alike and name in others]
    for name in copied:
        if own[name].shape != others[name].shape:
            shapes = [" x ".join(map(str, weights[name].shape)) for weights in (others, own)]
            raise LimnerError(
                f"training.start_from: '{name}' is {shapes[0]} in {folder} and {shapes[1]} here; "
                f"give this part the options that it has in {folder}/recipe.toml, or name in training.load_parts what "
                'to load, such as ["encoder", "generator"].'
            )
        own[name].copy_(others[name])
    if not copied:
        raise LimnerError(f"training.start_from: {folder} has no part of this model, so there is nothing to load.")
    new, left = (summed_up(weights.keys() - set(copied), weights) for weights in (own, others))
    told = [f"Loaded from {folder}: {', '.join(summed_up(set(copied), own))}"]
    told += [f"new: {', '.join(new)}"] if new else []
    told += [f"left there: {', '.join(left)}"] if left else []
    return "; ".join(told) + "."


def weights_of(parts: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name."""
    return dict(parts.named_parameters()) | dict(parts.named_buffers())


def same_parts(mine: nn.Module, theirs: nn.Module) -> set[str]:
    """The names at which both have a module of the same class, within modules of the same class."""
    known, alike = dict(theirs.named_modules()), set()
    for place, module in mine.named_modules():  # the outer ones come first
        if type(module) is type(known.get(place)) and (not place or place.rpartition(".")[0] in alike):
            alike.add(place)
    return alike


def summed_up(chosen: Collection[str], everything: Iterable[str]) -> list[str]:
    """The largest parts of which all weights are chosen, such as ["encoder", "generator.stages.0"]."""
    parts: dict[str, None] = {}
    rest = [name for name in everything if name not in chosen]
    for name in everything:
        if name in chosen:
            pieces = name.split(".")
            prefixes = (".".join(pieces[:depth]) for depth in range(1, len(pieces) + 1))
            whole = next(p for p in prefixes if not any(f"{other}.".startswith(f"{p}.") for other in rest))
            parts[whole] = None
    return list(parts)
