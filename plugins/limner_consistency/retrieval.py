"""Retrieval: can the caption that an image was generated for be found among others?"""

from collections.abc import Sequence
from random import Random
from typing import Annotated, Protocol, runtime_checkable

from jaxtyping import Float
from limner import Dataset, LimnerError, Metric, Painter, Scores
from pydantic import Field
from torch import Tensor


@runtime_checkable
class Matcher(Protocol):
    """A painter that can also match images with captions: a trained model or an ensemble."""

    def score(
        self, images: Float[Tensor, "N 3 H W"], captions: Sequence[str], by: str | None = None
    ) -> Float[Tensor, " N"]:
        """How well image i fits caption i: the higher, the better; `by` names the loss that scores."""
        ...


class Retrieval(Metric):
    """R-precision (Xu et al. 2018, AttnGAN, section 4): the share of generated images whose own caption fits best.

    One image is generated for each of 100 captions of the data (option `trials`), drawn without repetition. The model's
    own matching (option `by`: the loss that scores; by default the first that can) ranks the caption among 99 others
    of the data (`candidates` - 1, drawn again for each image, all with a different text). A trial is won if the caption
    comes first; ties count as lost. Chance level is 1 in `candidates`. The model judges itself here: use this metric to
    compare models that share their matching, not as a measure of image quality. Key: "R-precision".
    """

    def __init__(
        self,
        dataset: Dataset,
        *,
        trials: Annotated[int, Field(ge=1)] = 100,
        candidates: Annotated[int, Field(ge=2)] = 100,
        by: str | None = None,
        seed: int = 0,
    ):
        """
        Args:
            dataset: the data set whose captions are used.
            trials: how many images; the standard error is at most 0.5 / sqrt(trials).
            candidates: captions among which each image's own has to be found.
            by: the loss whose modules match images with captions.
            seed: of the captions and the noise.
        """
        super().__init__(dataset)
        self.trials, self.candidates, self.by, self.seed = trials, candidates, by, seed
        self.about = f"{trials} trials, {candidates} candidates, by {by or 'the model itself'}, seed {seed}"

    def measure(self, painter: Painter) -> Scores:
        """
        Raises:
            LimnerError: if the data has too few captions, or the painter cannot match images with captions.
        """
        if not isinstance(painter, Matcher):
            raise LimnerError(
                "retrieval: only a trained model or an ensemble, at its full size, can match images with captions."
            )
        annotations = [a for of_image in self.dataset.load().annotations for a in of_image]
        captions = sorted({a["caption"] for a in annotations if a["caption"]})
        needed = max(self.trials, self.candidates)
        if len(captions) < needed:
            raise LimnerError(f"retrieval: the data has {len(captions)} different captions, and {needed} are needed.")
        random = Random(f"retrieval {self.seed}")
        own = random.sample(captions, self.trials)
        images = painter.paint_images(own, self.seed)
        won = 0
        for image, caption in zip(images, own):
            others = [other for other in random.sample(captions, self.candidates) if other != caption]
            ranked = [caption, *others[: self.candidates - 1]]
            scores = painter.score(image.expand(len(ranked), -1, -1, -1), ranked, self.by)
            won += bool(scores[0] > scores[1:].max())
        return {"R-precision": won / self.trials}
