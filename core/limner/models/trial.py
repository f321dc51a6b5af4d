"""Measuring before training: whether the metrics of a recipe can measure what it will train."""

from collections.abc import Sequence
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor

from limner.errors import LimnerError
from limner.interfaces import Loss
from limner.meta import without_memory
from limner.models.painter import TrainedPainter, measure
from limner.plugins import PluginHost
from limner.recipes.build import build_networks
from limner.recipes.schema import Recipe
from limner.recipes.scorers import can_caption, losses_that, pick_scorer
from limner.types import Scores


class StandIn(TrainedPainter):
    """Does what a recipe's model will be able to do, without any weights: it paints plain images of random colors."""

    def __init__(self, plugins: PluginHost, recipe: Recipe):
        self.plugins, self.recipe = plugins, recipe
        with without_memory():
            networks = build_networks(recipe, recipe.text.vocabulary)
        self.generator, self.losses = networks.conditional_generator.generator, networks.named_losses()

    @property
    def resolutions(self) -> tuple[int, ...]:
        return tuple(self.generator.resolutions)

    def unknown_words(self, prompt: str) -> list[str]:
        return []

    def sample(
        self,
        prompts: Sequence[str],
        seed: int,
        size: int | None = None,
        truncation: float | None = None,
        draws: Sequence[int] | None = None,
    ) -> Float[Tensor, "N 3 H W"]:
        size = self.resolutions[-1] if size is None else self.checked_size(size)
        colors = torch.rand(len(prompts), 3, 1, 1, generator=torch.Generator().manual_seed(seed))
        return colors.mul(2).sub(1).repeat(1, 1, size, size)

    def score(
        self, images: Float[Tensor, "N 3 H W"], captions: Sequence[str], by: str | None = None
    ) -> Float[Tensor, " N"]:
        pick_scorer(self.plugins, self.losses, by)
        return torch.zeros(len(images))

    def caption(self, images: Float[Tensor, "N 3 H W"]) -> list[str]:
        """An empty caption for each image, if the model will have a captioner."""
        if not any(can_caption(type(cast(Loss, loss))) for loss in self.losses.values()):
            names = losses_that(self.plugins, can_caption)
            raise LimnerError(f"This model will have no captioner; add one to the recipe, with the loss {names}.")
        return [""] * len(images)


def try_metrics(plugins: PluginHost, recipe: Recipe) -> Scores:
    """Measure a stand-in for the model of a recipe. Returns scores without meaning, under the names of the real ones.

    The scores are empty if a metric needs more of a model than a stand-in has.

    Raises:
        LimnerError: if there is no metric, or one of them cannot measure this data or this model.
    """
    try:
        return measure(plugins, recipe, StandIn(plugins, recipe)).scores
    except LimnerError:
        raise
    except Exception:  # a metric may look into the model, which is not there
        return {}


class OnlyPaints:
    """Paints what a stand-in paints, and can do nothing else: neither match images with captions, nor caption them."""

    def __init__(self, stand_in: StandIn):
        self.paint_images = stand_in.paint_images


def try_metric_of_images(plugins: PluginHost, recipe: Recipe, name: str) -> None:
    """Try whether a metric needs no more of a model than that it paints.

    Raises:
        LimnerError: if it needs more, or cannot measure this data.
    """
    try:
        measure(plugins, recipe, OnlyPaints(StandIn(plugins, recipe)), [name])
    except LimnerError:
        raise
    except Exception:  # a metric may look into the model, which is not there
        pass
