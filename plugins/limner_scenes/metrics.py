"""Metrics that use the judge: do images show what was asked for, and do the images of one prompt differ?"""

from typing import Protocol, runtime_checkable

import torch
from einops import rearrange
from jaxtyping import Float
from limner import Dataset, LimnerError, Metric, Painter, Scores, load, to_float
from torch import Tensor

from .dataset import Prompts, Scenes
from .judge import read, score
from .naming import in_words
from .parsing import parse
from .scenes import ANY, COLUMNS

IMAGES_PER_PASS = 100
NOTHING = -2  # a fact of a caption that cannot be parsed: it equals no other fact


@runtime_checkable
class Captioner(Protocol):
    """A painter that can also describe images, as a trained model with a captioner can."""

    def caption(self, images: Float[Tensor, "N 3 H W"]) -> list[str]:
        """A caption for each image in [-1, 1]."""
        ...


class SceneJudge(Metric):
    """The share of images that show each attribute as asked for, read by the judge without any network.

    It takes one image of each of 500 (option `prompts`) new prompts of trained combinations ("trained"), and as many of
    prompts that name a held-out pair of color and shape ("held out"). If the captions have several wordings, the
    prompts of "held-out wordings" ask for the same as those of "trained", in sentence forms that no caption has.

    Each number is between 0 and 1: `shape` and `color` (right for every object), `relation` (of two objects) or `size`
    (of one), `background` (over the prompts that mention it), and `exact` (everything that is asked for, and the right
    number of objects). Keys: "trained/exact", "held out/exact", "held-out wordings/exact", ...
    """

    def __init__(self, dataset: Dataset, *, prompts: int = 500, seed: int = 0):
        """
        Args:
            dataset: the captioned scenes on which the model was trained.
            prompts: how many prompts of each kind; the standard error of a share is at most
                0.5 / sqrt(prompts).
            seed: of the prompts and the noise; prompts never share random numbers with training scenes.

        Raises:
            LimnerError: if the data set has no scenes, or `prompts` is not positive.
        """
        super().__init__(dataset)
        self.scenes = _scenes(dataset)
        self.prompts = _at_least(1, "prompts", prompts)
        self.seed = seed
        self.groups: dict[str, dict[str, bool]] = {"trained": {}, "held out": {"held_out": True}}
        self.about = f"{prompts} prompts of trained pairs and {prompts} of held-out ones"
        if self.scenes.wordings > 1:
            self.groups["held-out wordings"] = {"held_out_wording": True}
            self.about += f", {prompts} in held-out wordings"
        self.about += f", seed {seed}"

    def measure(self, painter: Painter) -> Scores:
        scores: Scores = {}
        for name, group in self.groups.items():
            prompts = self.scenes.prompts(self.prompts, self.seed, **group)
            images = _paint(painter, prompts.texts, self.seed)
            scores |= {f"{name}/{attribute}": value for attribute, value in shares(images, prompts).items()}
        return scores

    def example_prompts(self, count: int) -> list[str]:
        """As many of trained pairs as of held-out ones."""
        trained = self.scenes.prompts((count + 1) // 2, self.seed).texts
        return trained + self.scenes.prompts(count // 2, self.seed, held_out=True).texts

    def asked_and_shown(self, image: Float[Tensor, "3 H W"], prompt: str) -> list[tuple[str, str, str]]:
        asked = parse(prompt)
        return [] if asked is None else in_words(read(image[None]), asked)

    def verdict(self, image: Float[Tensor, "3 H W"], prompt: str) -> dict[str, bool] | None:
        asked = parse(prompt)
        if asked is None:
            return None
        readings = read(image[None])
        judged = score(readings, torch.tensor([asked]))
        named = {name: bool(answer) for name, answer in judged.items() if name != "exact"}
        if asked[-1] == ANY:
            del named["background"]
        return named | {"number of objects": int(readings.counts) == (1 if len(asked) == len(COLUMNS[1]) else 2)}


def shares(images: Float[Tensor, "N 3 H W"], prompts: Prompts) -> Scores:
    """The share of images in [-1, 1] that are right: `exact`, and for each attribute of their prompts."""
    judged = score(read(images), prompts.asked)
    mentioned = prompts.asked[:, -1] != ANY
    right = {name: answers.float().mean().item() for name, answers in judged.items() if name != "background"}
    if mentioned.any():
        right["background"] = judged["background"][mentioned].float().mean().item()
    return {"exact": right.pop("exact"), **right}


class SceneCaptions(Metric):
    """The share of images that a captioner describes correctly, attribute by attribute.

    "read from real": 200 real scenes (option `images`), one for each of 200 new prompts of trained combinations, are
    captioned, and the captions are compared with the prompts. "read from painted": the same for images that the model
    generates for these prompts. A caption that is not a sentence of the grammar is wrong in everything. An attribute
    counts only if caption and prompt both name it.

    The captioner is the model's own, which the generator may have learned to please, or that of another model (option
    `reader`), which has never seen this generator. How much "read from painted" falls below "read from real" is then
    the fault of the images.
    """

    def __init__(self, dataset: Dataset, *, images: int = 200, reader: str | None = None, seed: int = 0):
        """
        Args:
            dataset: the captioned scenes on which the model was trained.
            images: how many real images, and how many generated ones.
            reader: the run folder or name of the model whose captioner reads; by default the model itself.
            seed: of the prompts, the scenes and the noise.

        Raises:
            LimnerError: if the data set has no scenes, or `images` is not positive.
        """
        super().__init__(dataset)
        self.scenes = _scenes(dataset)
        self.images = _at_least(1, "images", images)
        self.reader, self.seed = reader, seed
        by = f"read by {reader}, " if reader else ""
        self.about = f"{images} real and {images} generated images, {by}seed {seed}"

    def measure(self, painter: Painter) -> Scores:
        """
        Raises:
            LimnerError: if the painter, or the reader, cannot caption images, or the reader reads another size.
        """
        captioner = self._captioner(painter)
        prompts = self.scenes.prompts(self.images, self.seed)
        real = [self.scenes.real_images(text, 1, self.seed + i) for i, text in enumerate(prompts.texts)]
        images = {"real": to_float(torch.cat(real)), "painted": _paint(painter, prompts.texts, self.seed)}
        scores: Scores = {}
        for name, shown in images.items():
            found = truths(captioner.caption(shown), prompts.asked.tolist())
            scores |= {f"read from {name}/{attribute}": value for attribute, value in found.items()}
        return scores

    def _captioner(self, painter: Painter) -> Captioner:
        if self.reader:
            model = load(self.reader)
            if model.recipe.image_size != self.scenes.image_size:
                raise LimnerError(
                    f"scene-captions: {self.reader} reads images of {model.recipe.image_size} pixels, not of "
                    f"{self.scenes.image_size}; choose a reader of that size."
                )
            return model
        if not isinstance(painter, Captioner):
            raise LimnerError(
                "scene-captions: only a trained model, at its full size, can caption images; for another painter, "
                "metrics.scene-captions.reader=RUN names a model that reads them."
            )
        return painter


def truths(captions: list[str], facts: list[list[int]]) -> Scores:
    """The share of captions that are true of rows of facts: `exact`, and for each attribute that they name."""
    names = {len(columns): ["relation" if name == "axis" else name for name in columns] for columns in COLUMNS.values()}
    found: dict[str, list[bool]] = {"exact": []}
    for text, row in zip(captions, facts):
        named = parse(text)
        named = [NOTHING] * len(row) if named is None or len(named) != len(row) else _in_order(named, row)
        right = {}
        for name, one, other in zip(names[len(row)], named, row):
            if ANY not in (one, other):
                right[name] = right.get(name, True) and one == other
        for name, value in {**right, "exact": all(right.values())}.items():
            found.setdefault(name, []).append(value)
    return {name: sum(values) / len(values) for name, values in found.items()}


def _in_order(named: list[int], row: list[int]) -> list[int]:
    """The facts of a caption; if its two objects agree better in exchanged order, they are exchanged, and its relation
    is wrong.
    """
    if len(row) == len(COLUMNS[1]):
        return named
    _, *objects, background = named
    exchanged = [*objects[2:], *objects[:2]]
    agreeing = [sum(one == other for one, other in zip(order, row[1:-1])) for order in (objects, exchanged)]
    return named if agreeing[0] >= agreeing[1] else [NOTHING, *exchanged, background]


class SceneDiversity(Metric):
    """How much the images of one prompt vary, relative to real ones.

    It takes 16 images (option `images`) with different noise of each of 20 prompts (option `prompts`). Their spread is
    the standard deviation of each pixel and channel over the 16 images, averaged over pixels and channels. It is
    divided by the spread of 16 real scenes of the same prompt, and averaged over the prompts. `diversity` is 0 for a
    model that ignores its noise, and close to 1 for one whose images vary as much as the data.
    """

    def __init__(self, dataset: Dataset, *, prompts: int = 20, images: int = 16, seed: int = 0):
        """
        Args:
            dataset: the captioned scenes on which the model was trained.
            prompts: how many prompts, all of trained combinations.
            images: how many images of each, at least 2.
            seed: of the prompts, the noise and the real scenes.

        Raises:
            LimnerError: if the data set has no scenes, or an option is out of range.
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
    """Generates images in several passes with different seeds, to limit memory; all noises differ."""
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
