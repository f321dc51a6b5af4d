"""What a trained model and an ensemble have in common: painting, choosing the best images, and being measured."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from limner.data.batches import to_float
from limner.errors import LimnerError, is_unicode, quoted
from limner.interfaces import Dataset, Metric
from limner.models.full_report import FullReport, Measured
from limner.models.painting_cost import IMAGES, describe_device, device_of, measure_painting
from limner.models.pictures import Pictures
from limner.models.report import Report
from limner.models.sampling import most_different
from limner.plugins import PluginHost
from limner.recipes.build import build_dataset, build_metric, build_metrics
from limner.recipes.schema import Recipe, Sampling
from limner.types import Painter, Scores

if TYPE_CHECKING:
    from limner.models.model import Model


class TrainedPainter(ABC):
    """Paints prompts: n images of each, the best of many, or truncated; and is measured by the metrics of its data."""

    plugins: PluginHost
    recipe: Recipe

    @property
    def models(self) -> "Sequence[Model]":
        """The trained models that paint; none for a stand-in."""
        return ()

    @property
    @abstractmethod
    def resolutions(self) -> tuple[int, ...]:
        """Height and width of the images it can paint, lowest first."""

    @abstractmethod
    def unknown_words(self, prompt: str) -> list[str]:
        """The words of a prompt that were not in the training captions.

        Raises:
            LimnerError: for a prompt that cannot be painted.
        """

    @abstractmethod
    def sample(
        self,
        prompts: Sequence[str],
        seed: int,
        size: int | None = None,
        truncation: float | None = None,
        draws: Sequence[int] | None = None,
    ) -> Float[Tensor, "N 3 H W"]:
        """One image in [-1, 1] per prompt.

        `draws[i]` says which draw of the seed is the noise of image i. By default every image has its own: 0, 1, 2, ...
        """

    @abstractmethod
    def score(
        self, images: Float[Tensor, "N 3 H W"], captions: Sequence[str], by: str | None = None
    ) -> Float[Tensor, " N"]:
        """How well image i, in [-1, 1], fits caption i; higher is better.

        `by`: "matching" (a contrast of images and captions), "caption" (the captioner's log likelihood), or the name
        of a loss that scores images; by default the first loss that can.

        Raises:
            LimnerError: if there is no such loss.
        """

    def paint(
        self,
        prompt: str | Sequence[str],
        n: int = 1,
        seed: int = 0,
        size: int | None = None,
        *,
        truncation: float | None = None,
        best_of: int | None = None,
        by: str | None = None,
    ) -> Pictures:
        """Paint a prompt, or several: `n` images of each. They show themselves in a notebook.

        The same seed gives the same images. Image k of every prompt has the same noise, to compare prompts.
        A word that was not in the training captions triggers a warning.

        Args:
            prompt: what to paint.
            n: images of each prompt.
            seed: of the noise.
            size: the resolution, for a generator of several stages; by default the highest.
            truncation: keep the noise within ± this number; a smaller one makes the images more alike.
            best_of: paint this many of each prompt, and keep the best `n`, best first.
            by: what the best are: those that fit the prompt best by "matching" (the default) or by the captioner
                ("caption"), or those that differ most from each other ("diversity").

        Raises:
            LimnerError: for an empty or too long prompt, one without a known word, or an option out of range.
        """
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        if not prompts:
            raise LimnerError("There is no prompt; say what to paint.")
        if n < 1:
            raise LimnerError(f"n: expected how many pictures to paint, at least 1, got {n}.")
        if not 0 <= seed < 2**63:
            raise LimnerError(f"seed: expected a number from 0 to 2^63 - 1, got {seed}.")
        if by is not None and best_of is None:
            raise LimnerError(f"by: '{by}' chooses the best of several images; say of how many with best_of.")
        if truncation is not None and not truncation > 0:
            raise LimnerError(f"truncation: expected how far the noise may reach, above 0, got {truncation}.")
        for text in prompts:
            check_text(text)
            if unknown := self.unknown_words(text):
                words = ", ".join(f"'{word}'" for word in unknown)
                warnings.warn(f"Training never showed the model: {words}.", stacklevel=2)
        repeated = [text for text in prompts for _ in range(n)]
        draws = list(range(n)) * len(prompts)  # image k of every prompt has the same noise
        usual = self.recipe.sampling
        if best_of is None:
            sampling = usual if truncation is None else usual.model_copy(update={"truncation": truncation})
            images = self.paint_images(repeated, seed, size, sampling, draws)
        elif best_of < n:
            raise LimnerError(f"best_of: {best_of} images are fewer than the {n} to keep; ask for more.")
        else:
            self.refuse_to_choose(size)
            texts, draws = [text for text in prompts for _ in range(best_of)], list(range(best_of)) * len(prompts)
            every = self.sample(texts, seed, None, truncation or usual.truncation, draws)
            groups = rearrange(every, "(p b) c h w -> p b c h w", b=best_of)
            images = torch.cat(
                [group[self.chosen(group, text, n, by or "matching")] for group, text in zip(groups, prompts)]
            )
        return Pictures.of(images, repeated, columns=n if len(prompts) > 1 < n else None)

    def chosen(self, images: Float[Tensor, "N 3 H W"], prompt: str, count: int, by: str) -> Tensor:
        """The rows of the images of one prompt to keep, best first."""
        if by == "diversity":
            return most_different(images, count)
        return self.score(images, [prompt] * len(images), by).argsort(descending=True, stable=True)[:count]

    def paint_images(
        self,
        prompts: Sequence[str],
        seed: int = 0,
        size: int | None = None,
        sampling: Sampling | None = None,
        draws: Sequence[int] | None = None,
    ) -> Float[Tensor, "N 3 H W"]:
        """An image in [-1, 1] per prompt, sampled as the recipe (or `sampling`) says. Metrics measure these images.

        Every image has its own noise, unless `draws` says which draw of the seed each has.
        """
        how = sampling or self.recipe.sampling
        if how.candidates == 1:
            return self.sample(prompts, seed, size, how.truncation, draws)
        self.refuse_to_choose(size)
        draws = range(len(prompts)) if draws is None else draws
        texts = [text for text in prompts for _ in range(how.candidates)]
        candidates = [draw * how.candidates + number for draw in draws for number in range(how.candidates)]
        images = self.sample(texts, seed, None, how.truncation, candidates)
        scores = rearrange(self.score(images, texts, how.by), "(n k) -> n k", k=how.candidates)
        return images[torch.arange(len(prompts)) * how.candidates + scores.argmax(1)]

    def refuse_to_choose(self, size: int | None) -> None:
        """Refuse an earlier stage's resolution, at which the model cannot score images."""
        full = self.resolutions[-1]
        if size is not None and size != full:
            raise LimnerError(f"size: the best of several can be chosen at {full} pixels only, not at {size}.")

    def checked_size(self, size: int) -> int:
        """A resolution that can be painted; any other raises a `LimnerError`."""
        if size not in self.resolutions:
            painted = ", ".join(map(str, self.resolutions))
            raise LimnerError(f"size: this model paints no images of {size} pixels; it paints {painted}.")
        return size

    def evaluate(
        self,
        size: int | None = None,
        sampling: Sampling | None = None,
        metrics: Sequence[str] | None = None,
    ) -> Report:
        """Measure the images.

        Args:
            size: the resolution, for a generator of several stages; by default the highest.
            sampling: how images are sampled; by default as the recipe says.
            metrics: names; by default those of the recipe, or else those of the data. `["all"]` stands for every
                installed metric; the notes list those that cannot measure this model.

        Raises:
            LimnerError: if there is no metric, or the generator makes no images of that size.
        """
        return measure(self.plugins, *self._measured(size, sampling), metrics)

    def full_report(self, size: int | None = None, sampling: Sampling | None = None) -> FullReport:
        """Measure the images with every installed metric, and what painting costs: a table with a row for each.

        A metric that cannot measure this model has a row with the reason. This takes minutes.

        Args:
            size: the resolution, for a generator of several stages; by default the highest.
            sampling: how images are sampled; by default as the recipe says.

        Raises:
            LimnerError: if the data cannot be read, or the generator makes no images of that size.
        """
        recipe, painter = self._measured(size, sampling)
        dataset = build_dataset(recipe)
        prompt = (recipe.prompts or dataset.preview_prompts())[0]
        cost = measure_painting(self, self.models, prompt, size)  # first: the metrics need memory as well
        about = f"{IMAGES} images at once, seed 0, {describe_device(device_of(self.models[0]))}"
        found = [*measure_with_all(self.plugins, recipe, dataset, painter), Measured("cost of painting", cost, about)]
        return FullReport(sorted(found, key=lambda one: not one.scores))  # those without scores last

    def _measured(self, size: int | None, sampling: Sampling | None) -> tuple[Recipe, Painter]:
        """The recipe of the images that are measured, and what paints them."""
        recipe = self.recipe
        if size is not None:
            recipe = recipe.model_copy(update={"image_size": self.checked_size(size)})
        painter = SimpleNamespace(paint_images=partial(self.paint_images, size=size, sampling=sampling))
        plain = size is None and sampling is None
        return recipe, self if plain else cast(Painter, painter)


def check_text(text: str) -> None:
    """Check that a prompt or caption is text; bytes of the command line may be none.

    Raises:
        LimnerError: naming it.
    """
    if not is_unicode(text):
        raise LimnerError(f"The prompt {quoted(text)} has characters that are no text; write it in UTF-8.")


def measure(plugins: PluginHost, recipe: Recipe, painter: Painter, names: Sequence[str] | None = None) -> Report:
    """Measure anything that paints, by the recipe's metrics, by the named ones, or by all that can (`["all"]`)."""
    dataset = build_dataset(recipe)
    if names is None:
        metrics = build_metrics(plugins, recipe, dataset)
        return _report({name: metric.measure(painter) for name, metric in metrics.items()}, metrics)
    if list(names) != ["all"]:
        metrics = {name: build_metric(plugins, recipe, name, dataset) for name in names}
        return _report({name: metric.measure(painter) for name, metric in metrics.items()}, metrics)
    every = list(measure_with_all(plugins, recipe, dataset, painter))
    found = {one.metric: one.scores for one in every if one.scores}
    about = [f"{one.metric}: {one.about}" for one in every if one.scores and one.about]
    left_out = [f"{one.metric}: left out, {one.about}" for one in every if not one.scores]
    return Report.collect(found, [*about, *left_out])


def measure_with_all(plugins: PluginHost, recipe: Recipe, dataset: Dataset, painter: Painter) -> Iterator[Measured]:
    """Measure with every metric: those of the recipe or the data first, then all others that are installed."""
    own = recipe.metrics if recipe.metrics is not None else dataset.metrics
    for name in dict.fromkeys([*own, *plugins.components("metric")]):
        try:
            metric = build_metric(plugins, recipe, name, dataset)
            yield Measured(name, metric.measure(painter), metric.about)
        except LimnerError as error:
            yield Measured(name, {}, str(error).removeprefix(f"metrics.{name}: "))
        except Exception as error:  # the fault of a plugin; the other metrics can still measure
            yield Measured(name, {}, f"it failed with {type(error).__name__}: {error}")


def _report(found: Mapping[str, Scores], metrics: Mapping[str, Metric]) -> Report:
    """One report of several metrics, with what each says about its numbers."""
    return Report.collect(found, [f"{name}: {metrics[name].about}" for name in found if metrics[name].about])


class RealImages:
    """Paints a prompt with real images of it, if the data can show some: the best that a model could do."""

    def __init__(self, dataset: Dataset):
        self.dataset = dataset

    def paint_images(self, prompts: Sequence[str], seed: int = 0) -> Float[Tensor, "N 3 H W"]:
        """A real image of each prompt; equal prompts get different ones."""
        images = [self.dataset.real_images(text, 1, seed + place) for place, text in enumerate(prompts)]
        return to_float(torch.cat(images))
