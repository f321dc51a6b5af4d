"""Several trained models that paint as one."""

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

    Models that were trained from different seeds, or snapshots of one run, have different habits; together they have
    more of them. `limner.Ensemble(["runs/a", "runs/b"])` paints, scores and is evaluated as one model is, by the
    recipe of the first.
    """

    def __init__(self, members: Sequence[Model | str | Path], weights: Sequence[float | int] | None = None):
        """
        Args:
            members: models, or run folders.
            weights: how often each paints, in proportion; by default all alike.

        Raises:
            LimnerError: without a member, for weights that do not fit them, or images of different sizes.
        """
        self.members = [m if isinstance(m, Model) else Model.load(m) for m in members]
        if not self.members:
            raise LimnerError("An ensemble needs at least one model.")
        given = [float(weight) for weight in weights or [1.0] * len(self.members)]
        if len(given) != len(self.members) or min(given) < 0 or sum(given) <= 0:
            raise LimnerError(
                f"weights: expected {len(self.members)} numbers from 0 up, one for each model, not all 0; got {given}."
            )
        sizes = [member.recipe.image_size for member in self.members]
        if len(set(sizes)) > 1:
            raise LimnerError(f"The models of an ensemble should paint one size; these paint {sizes} pixels.")
        self.weights = torch.tensor(given, dtype=torch.float64)
        self.plugins, self.recipe = self.members[0].plugins, self.members[0].recipe

    @property
    def resolutions(self) -> tuple[int, ...]:
        common = set(self.members[0].resolutions).intersection(*(member.resolutions for member in self.members))
        return tuple(sorted(common))

    def unknown_words(self, prompt: str) -> list[str]:
        return list(dict.fromkeys(word for member in self.members for word in member.unknown_words(prompt)))

    def sample(
        self, prompts: Sequence[str], seed: int, size: int | None = None, truncation: float | None = None
    ) -> Float[Tensor, "N 3 H W"]:
        painters = self.painters(len(prompts), seed)
        images: list[Tensor | None] = [None] * len(prompts)
        for number, member in enumerate(self.members):
            places = [place for place, painter in enumerate(painters) if painter == number]
            if places:
                painted = member.sample([prompts[place] for place in places], seed, size, truncation)
                for place, image in zip(places, painted):
                    images[place] = image
        return torch.stack([image for image in images if image is not None])

    def painters(self, count: int, seed: int) -> list[int]:
        """Which member paints each of `count` images."""
        source = torch.Generator().manual_seed(Random(f"ensemble {seed}").getrandbits(60))
        return torch.multinomial(self.weights, count, replacement=True, generator=source).tolist()

    def score(
        self, images: Float[Tensor, "N 3 H W"], captions: Sequence[str], by: str | None = None
    ) -> Float[Tensor, " N"]:
        return torch.stack([member.score(images, captions, by) for member in self.members]).mean(0)
