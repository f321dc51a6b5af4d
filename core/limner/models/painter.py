"""What a trained model and an ensemble have in common: they paint, choose among their pictures, and are measured."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import partial
from types import SimpleNamespace
from typing import cast

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from limner.errors import LimnerError
from limner.interfaces import Dataset, Painter
from limner.models.pictures import Pictures
from limner.models.report import Report
from limner.models.sampling import most_different
from limner.plugins import PluginHost
from limner.recipes.build import build_dataset, build_metrics
from limner.recipes.schema import Part, Recipe, Sampling
from limner.types import Scores


class TrainedPainter(ABC):
    """Paints what a prompt says, n times, the best of many, or nearer to the mean; and is measured by its data."""

    plugins: PluginHost
    recipe: Recipe

    @property
    @abstractmethod
    def resolutions(self) -> tuple[int, ...]:
        """Height and width of the images that it can paint, lowest first."""

    @abstractmethod
    def unknown_words(self, prompt: str) -> list[str]:
        """The words of a prompt that training never showed; a `LimnerError` for one that cannot be painted."""

    @abstractmethod
    def sample(
        self, prompts: Sequence[str], seed: int, size: int | None = None, truncation: float | None = None
    ) -> Float[Tensor, "N 3 H W"]:
        """One image in [-1, 1] per prompt: by the prompt, its place in the list, and the seed."""

    @abstractmethod
    def score(
        self, images: Float[Tensor, "N 3 H W"], captions: Sequence[str], by: str | None = None
    ) -> Float[Tensor, " N"]:
        """How well image i, in [-1, 1], fits caption i: the higher, the better.

        `by`: "matching" (a contrast of images and captions), "caption" (the captioner's log likelihood), or the name
        of a loss whose modules tell, such as "sentence-contrast"; by default the first loss that can.

        Raises:
            LimnerError: where there is no such loss.
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
        by: str = "matching",
    ) -> Pictures:
        """Paint a prompt, or several, `n` pictures of each; they show themselves in a notebook.

        The same seed gives the same pictures. A word that training never showed is warned of.

        Args:
            prompt: what to paint.
            n: pictures of each prompt.
            seed: of the noise.
            size: the images of an earlier stage, where the generator paints several; by default they are the largest.
            truncation: keep the noise within ± this number; a smaller one makes the images more alike.
            best_of: paint so many of each prompt, and keep `n` of them:
            by: those that fit the prompt best by the model's own "matching" or by its captioner ("caption"), best
                first; or those that differ most from each other ("diversity").

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
        if truncation is not None and truncation <= 0:
            raise LimnerError(f"truncation: expected how far the noise may reach, above 0, got {truncation}.")
        for text in prompts:
            if unknown := self.unknown_words(text):
                words = ", ".join(f"'{word}'" for word in unknown)
                warnings.warn(f"Training never showed the model: {words}. The rest it knows.", stacklevel=2)
        repeated = [text for text in prompts for _ in range(n)]
        usual = self.recipe.sampling
        if best_of is None:
            sampling = usual if truncation is None else usual.model_copy(update={"truncation": truncation})
            images = self.paint_images(repeated, seed, size, sampling)
        elif best_of < n:
            raise LimnerError(f"best_of: {best_of} pictures are fewer than the {n} to be kept; paint more.")
        else:
            self.refuse_to_choose(size)
            every = self.sample(
                [text for text in prompts for _ in range(best_of)], seed, None, truncation or usual.truncation
            )
            groups = rearrange(every, "(p b) c h w -> p b c h w", b=best_of)
            images = torch.cat([group[self.chosen(group, text, n, by)] for group, text in zip(groups, prompts)])
        return Pictures.of(images, repeated, columns=n if len(prompts) > 1 else None)

    def chosen(self, images: Float[Tensor, "N 3 H W"], prompt: str, count: int, by: str) -> Tensor:
        """Which of the images of one prompt to keep, the best first."""
        if by == "diversity":
            return most_different(images, count)
        return self.score(images, [prompt] * len(images), by).argsort(descending=True, stable=True)[:count]

    def paint_images(
        self, prompts: Sequence[str], seed: int = 0, size: int | None = None, sampling: Sampling | None = None
    ) -> Float[Tensor, "N 3 H W"]:
        """An image in [-1, 1] per prompt, sampled as the recipe, or `sampling`, says; what metrics measure."""
        how = sampling or self.recipe.sampling
        if how.candidates == 1:
            return self.sample(prompts, seed, size, how.truncation)
        self.refuse_to_choose(size)
        repeated = [text for text in prompts for _ in range(how.candidates)]
        images = self.sample(repeated, seed, None, how.truncation)
        scores = rearrange(self.score(images, repeated, how.by), "(n k) -> n k", k=how.candidates)
        return images[torch.arange(len(prompts)) * how.candidates + scores.argmax(1)]

    def refuse_to_choose(self, size: int | None) -> None:
        """Earlier stages' images are smaller than what the model can score."""
        if size is not None and size != self.resolutions[-1]:
            raise LimnerError(
                f"size: the best of several can be chosen at {self.resolutions[-1]} pixels only, not at {size}."
            )

    def checked_size(self, size: int) -> int:
        """A size that is painted; a `LimnerError` for any other."""
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
        """What metrics say of the images.

        Args:
            size: of the images of an earlier stage; by default the largest.
            sampling: how images are sampled; by default as the recipe says.
            metrics: names; by default those that the recipe names, or else the data's own. `["all"]` stands for every
                metric that is installed; those that cannot measure this model are told in the notes.

        Raises:
            LimnerError: where there is no metric, or the generator paints no images of that size.
        """
        recipe = self.recipe
        if size is not None:
            recipe = recipe.model_copy(update={"image_size": self.checked_size(size)})
        painter = SimpleNamespace(paint_images=partial(self.paint_images, size=size, sampling=sampling))
        plain = size is None and sampling is None
        return measure(self.plugins, recipe, self if plain else cast(Painter, painter), metrics)


def measure(plugins: PluginHost, recipe: Recipe, painter: Painter, names: Sequence[str] | None = None) -> Report:
    """What metrics say of whatever paints: those of the recipe, or the named ones; `["all"]` for all that can."""
    dataset = build_dataset(plugins, recipe)
    usual = recipe.metrics if recipe.metrics is not None else {name: Part(name=name) for name in dataset.metrics}
    every = names is not None and list(names) == ["all"]
    chosen = [*usual, *(n for n in plugins.components("metric") if n not in usual)] if every else names or list(usual)
    found: dict[str, Scores] = {}
    notes: list[str] = []
    for name in chosen or [""]:  # without any, the sentence is that of build_metrics
        one = {name: usual.get(name, Part(name=name))} if name else {}
        try:
            metric = build_metrics(plugins, recipe.model_copy(update={"metrics": one}), dataset)[name]
            found[name] = metric.measure(painter)
        except LimnerError as error:
            if not every:
                raise
            notes.append(f"{name}: left out, {error}")
        else:
            notes += [f"{name}: {metric.about}"] if metric.about else []
    return Report.collect(found, notes)


class RealImages:
    """TrainedPainter a prompt with real images of it, where the data can show some: the best that a model could do."""

    def __init__(self, dataset: Dataset):
        self.dataset = dataset

    def paint_images(self, prompts: Sequence[str], seed: int = 0) -> Float[Tensor, "N 3 H W"]:
        """A real image of each prompt; equal prompts get different ones."""
        images = [self.dataset.real_images(text, 1, seed + place) for place, text in enumerate(prompts)]
        return torch.cat(images).float() / 127.5 - 1
