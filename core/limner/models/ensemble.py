"""Several trained models that paint as one."""

import math
from collections.abc import Sequence
from pathlib import Path
from random import Random

import torch
from jaxtyping import Float
from torch import Tensor

from limner.errors import LimnerError
from limner.models.model import Model
from limner.models.painter import TrainedPainter


class Ensemble(TrainedPainter):
    """Each image is painted by one of several models, drawn at random: p(x | c) = sum_i w_i p_i(x | c).

    Models of different seeds, and snapshots of one run, paint differently; together they are more diverse.
    `limner.Ensemble(["runs/a", "runs/b"])` paints, scores and is evaluated like a single model, by the recipe of the
    first.
    """

    def __init__(self, members: Sequence[Model | str | Path], weights: Sequence[float | int] | None = None):
        """
        Args:
            members: models, or run folders.
            weights: how often each member paints, in proportion; by default equally often.

        Raises:
            LimnerError: if there is no member, the weights do not fit, or the members paint different sizes.
        """
        self.members = [m if isinstance(m, Model) else Model.load(m) for m in members]
        if not self.members:
            raise LimnerError("An ensemble needs at least one model.")
        given = [float(weight) for weight in weights or [1.0] * len(self.members)]
        usable = all(0 <= weight < math.inf for weight in given) and max(given) > 0
        if len(given) != len(self.members) or not usable:
            raise LimnerError(
                f"weights: expected {len(self.members)} numbers from 0 up, one for each model, not all 0; got {given}."
            )
        sizes = [member.recipe.image_size for member in self.members]
        if len(set(sizes)) > 1:
            raise LimnerError(f"The models of an ensemble must paint one size; these paint {sizes} pixels.")
        self.weights = torch.tensor(given, dtype=torch.float64) / max(given)
        self.plugins, self.recipe = self.members[0].plugins, self.members[0].recipe

    @property
    def models(self) -> Sequence[Model]:
        return self.members

    @property
    def resolutions(self) -> tuple[int, ...]:
        common = set(self.members[0].resolutions).intersection(*(member.resolutions for member in self.members))
        return tuple(sorted(common))

    def unknown_words(self, prompt: str) -> list[str]:
        return list(dict.fromkeys(word for member in self.members for word in member.unknown_words(prompt)))

    def sample(
        self,
        prompts: Sequence[str],
        seed: int,
        size: int | None = None,
        truncation: float | None = None,
        draws: Sequence[int] | None = None,
    ) -> Float[Tensor, "N 3 H W"]:
        draws = range(len(prompts)) if draws is None else draws
        chosen = self.painters(max(draws, default=-1) + 1, seed)
        painters = [chosen[draw] for draw in draws]
        images: list[Tensor | None] = [None] * len(prompts)
        for number, member in enumerate(self.members):
            places = [place for place, painter in enumerate(painters) if painter == number]
            if places:
                texts, own = [prompts[place] for place in places], [draws[place] for place in places]
                painted = member.sample(texts, seed, size, truncation, own)
                for place, image in zip(places, painted):
                    images[place] = image
        return torch.stack([image for image in images if image is not None])

    def painters(self, count: int, seed: int) -> list[int]:
        """The member that paints each of `count` draws."""
        source = torch.Generator().manual_seed(Random(f"ensemble {seed}").getrandbits(60))
        return torch.multinomial(self.weights, count, replacement=True, generator=source).tolist()

    def score(
        self, images: Float[Tensor, "N 3 H W"], captions: Sequence[str], by: str | None = None
    ) -> Float[Tensor, " N"]:
        return torch.stack([member.score(images, captions, by) for member in self.members]).mean(0)
