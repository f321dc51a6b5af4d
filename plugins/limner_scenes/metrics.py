"""What the judge says of a model: does it paint what was asked, and more than one picture of it?"""

import torch
from einops import rearrange
from jaxtyping import Float
from limner.data.batches import to_float
from limner.errors import LimnerError
from limner.interfaces import Dataset, Metric, Painter
from limner.models.model import Model
from limner.types import Scores
from torch import Tensor

from .dataset import Prompts, Scenes
from .grammar import parse
from .judge import read, score
from .scenes import ANY, COLUMNS

IMAGES_PER_PASS = 100
NOTHING = -2  # what a caption says that says nothing of a scene: equal to no fact


class SceneJudge(Metric):
    """The share of images on which each attribute is as asked, read by the judge without any network.

    One image for each of 500 (option `prompts`) fresh prompts of trained combinations, and as many that name
    a held-out pair of color and shape. Each number lies in 0..1: `shape` and `color` (right for every object),
    `relation` (of two objects) or `size` (of one), `background` (over the prompts that mention it), and `exact`:
    everything that is asked, and the right number of objects. Keys are "trained/exact", "held out/exact", ...
    """

    def __init__(self, dataset: Dataset, *, prompts: int = 500, seed: int = 0):
        """
        Args:
            dataset: the captioned scenes on which the model was trained.
            prompts: how many prompts, of either sort; the standard error of a share is at most
                0.5 / sqrt(prompts).
            seed: of the prompts and the noise; prompts never share random numbers with training scenes.

        Raises:
            LimnerError: if the data set is another one, or `prompts` is not positive.
        """
        super().__init__(dataset)
        self.scenes = _scenes(dataset)
        self.prompts = _at_least(1, "prompts", prompts)
        self.seed = seed
        self.about = f"{prompts} prompts of trained pairs and {prompts} of held-out ones, seed {seed}"

    def measure(self, painter: Painter) -> Scores:
        scores: Scores = {}
        for name, held_out in (("trained", False), ("held out", True)):
            prompts = self.scenes.prompts(self.prompts, self.seed, held_out=held_out)
            images = _paint(painter, prompts.texts, self.seed)
            scores |= {f"{name}/{attribute}": value for attribute, value in shares(images, prompts).items()}
        return scores


def shares(images: Float[Tensor, "N 3 H W"], prompts: Prompts) -> Scores:
    """The share of images in [-1, 1] that are right, for `exact` and each attribute of their prompts."""
    judged = score(read(images), prompts.asked)
    mentioned = prompts.asked[:, -1] != ANY
    right = {name: answers.float().mean().item() for name, answers in judged.items() if name != "background"}
    if mentioned.any():
        right["background"] = judged["background"][mentioned].float().mean().item()
    return {"exact": right.pop("exact"), **right}


class SceneCaptions(Metric):
    """The share of images that the model's captioner describes truly, attribute by attribute.

    "read from real": 200 real renders (option `images`), one for each of fresh prompts of trained combinations, are
    captioned, and the caption is held against the prompt. "read from painted": as many images that the model paints
    for these prompts. A caption that is no sentence of the grammar is wrong in everything; an attribute that either of
    the two does not name is not counted.
    """

    def __init__(self, dataset: Dataset, *, images: int = 200, seed: int = 0):
        """
        Args:
            dataset: the captioned scenes on which the model was trained.
            images: how many, real and painted each.
            seed: of the prompts, the scenes and the noise.

        Raises:
            LimnerError: if the data set is another one, or `images` is not positive.
        """
        super().__init__(dataset)
        self.scenes = _scenes(dataset)
        self.images = _at_least(1, "images", images)
        self.seed = seed
        self.about = f"{images} images, real and painted each, seed {seed}"

    def measure(self, painter: Painter) -> Scores:
        """
        Raises:
            LimnerError: if what paints is no model with a captioner.
        """
        if not isinstance(painter, Model):
            raise LimnerError("scene-captions: only a trained model, at its full size, can caption images.")
        prompts = self.scenes.prompts(self.images, self.seed)
        real = [self.scenes.real_images(text, 1, self.seed + i) for i, text in enumerate(prompts.texts)]
        images = {"real": to_float(torch.cat(real)), "painted": _paint(painter, prompts.texts, self.seed)}
        scores: Scores = {}
        for name, shown in images.items():
            found = truths(painter.caption(shown), prompts.asked.tolist())
            scores |= {f"read from {name}/{attribute}": value for attribute, value in found.items()}
        return scores


def truths(captions: list[str], facts: list[list[int]]) -> Scores:
    """The share of captions that are true of rows of facts, for `exact` and each attribute that they name."""
    names = {len(columns): ["relation" if name == "axis" else name for name in columns] for columns in COLUMNS.values()}
    found: dict[str, list[bool]] = {"exact": []}
    for text, row in zip(captions, facts):
        said = parse(text)
        said = [NOTHING] * len(row) if said is None or len(said) != len(row) else _in_order(said, row)
        right = {}
        for name, one, other in zip(names[len(row)], said, row):
            if ANY not in (one, other):
                right[name] = right.get(name, True) and one == other
        for name, value in {**right, "exact": all(right.values())}.items():
            found.setdefault(name, []).append(value)
    return {name: sum(values) / len(values) for name, values in found.items()}


def _in_order(said: list[int], row: list[int]) -> list[int]:
    """What a caption says, its two objects exchanged where they then agree better: it is the relation that is wrong."""
    if len(row) == len(COLUMNS[1]):
        return said
    _, *objects, background = said
    exchanged = [*objects[2:], *objects[:2]]
    agreeing = [sum(one == other for one, other in zip(order, row[1:-1])) for order in (objects, exchanged)]
    return said if agreeing[0] >= agreeing[1] else [NOTHING, *exchanged, background]


class SceneDiversity(Metric):
    """How much the images of one prompt vary, as a part of how much real ones do.

    For each of 20 prompts (option `prompts`), 16 images (option `images`) with different noise. Their spread is
    the standard deviation of each pixel and channel over the 16, averaged over pixels and channels; it is
    divided by the spread of 16 real renders of that prompt, and averaged over the prompts. `diversity` is 0 for
    a model that ignores its noise and near 1 for one that varies as much as the data.
    """

    def __init__(self, dataset: Dataset, *, prompts: int = 20, images: int = 16, seed: int = 0):
        """
        Args:
            dataset: the captioned scenes on which the model was trained.
            prompts: how many prompts, all of trained combinations.
            images: how many images of each, at least 2.
            seed: of the prompts, the noise and the real scenes.

        Raises:
            LimnerError: if the data set is another one, or an option is out of range.
        """
        super().__init__(dataset)
        self.scenes = _scenes(dataset)
        self.prompts = _at_least(1, "prompts", prompts)
        self.images = _at_least(2, "images", images)
        self.seed = seed
        self.about = f"{prompts} prompts, {images} images each, seed {seed}"

    def measure(self, painter: Painter) -> Scores:
        prompts = self.scenes.prompts(self.prompts, self.seed).texts
        painted = _paint(painter, [text for text in prompts for _ in range(self.images)], self.seed)
        real = torch.cat([self.scenes.real_images(text, self.images, self.seed + i) for i, text in enumerate(prompts)])
        ratio = self._spread(painted) / self._spread(real.float() / 127.5 - 1)
        return {"diversity": ratio.mean().item()}

    def _spread(self, images: Float[Tensor, "N 3 H W"]) -> Float[Tensor, " P"]:
        groups = rearrange(images, "(prompt image) c h w -> prompt image (c h w)", image=self.images)
        return groups.std(dim=1).mean(dim=1)


def _paint(painter: Painter, prompts: list[str], seed: int) -> Float[Tensor, "N 3 H W"]:
    """Paints in passes of their own seeds, so that memory stays small and no two noises are alike."""
    passes = range(0, len(prompts), IMAGES_PER_PASS)
    return torch.cat(
        [
            painter.paint_images(prompts[start : start + IMAGES_PER_PASS], seed=seed + start).detach().cpu()
            for start in passes
        ]
    )


def _scenes(dataset: Dataset) -> Scenes:
    if not isinstance(dataset, Scenes):
        raise LimnerError(
            f"this metric judges captioned scenes; the data set is {type(dataset).__name__}, choose another metric."
        )
    return dataset


def _at_least(least: int, option: str, value: int) -> int:
    if value < least:
        raise LimnerError(f"the option `{option}` of this metric should be at least {least}, not {value}.")
    return value
