"""Retrieval: can the caption that an image was painted for be found again among others?"""

from random import Random
from typing import Annotated

from limner import Dataset, LimnerError, Metric, Model, Scores
from limner.interfaces import Painter
from pydantic import Field


class Retrieval(Metric):
    """R-precision (Xu et al. 2018, AttnGAN, section 4): the share of painted images whose own caption fits best.

    For each of 100 captions of the data (option `trials`), drawn without repetition, one image is painted. The model's
    own matching (option `by`: the loss that scores; by default the first that can) ranks the caption among 99 others
    of the data (`candidates` - 1, drawn anew for each image, none of them the same text), and the trial is won where
    it comes first. Chance is 1 in `candidates`; ties count as lost. A model is its own judge here: trust it to compare
    models that share their matching, not as a measure of the pictures. Key: "R-precision".
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
            dataset: whose captions are painted.
            trials: how many images; the standard error is at most 0.5 / sqrt(trials).
            candidates: captions among which each image's own has to be found.
            by: the loss whose modules match images and captions.
            seed: of the captions and the noise.
        """
        super().__init__(dataset)
        self.trials, self.candidates, self.by, self.seed = trials, candidates, by, seed
        self.about = f"{trials} trials, {candidates} candidates, by {by or 'the model itself'}, seed {seed}"

    def measure(self, painter: Painter) -> Scores:
        """
        Raises:
            LimnerError: if the data has too few captions, or what paints is no model that matches.
        """
        if not isinstance(painter, Model):
            raise LimnerError("retrieval: only a trained model, at its full size, can match images with captions.")
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
            asked = [caption, *others[: self.candidates - 1]]
            scores = painter.score(image.expand(len(asked), -1, -1, -1), asked, self.by)
            won += bool(scores[0] > scores[1:].max())
        return {"R-precision": won / self.trials}
