"""A trained model, painted and judged for its report: samples, failures, and what it confuses."""

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from PIL import Image

from limner.errors import LimnerError
from limner.models.model import Model
from limner.models.pictures import Pictures
from limner.play.studio import Sheet, Studio

JUDGED, WORST, PROMPTS, EACH = 160, 12, 6, 4
"""Prompts whose images are judged, failures that are shown, sample prompts, and images of each."""


@dataclass(frozen=True)
class Failure:
    """An image that does not show what its prompt asks for."""

    prompt: str
    image: Image.Image
    verdict: dict[str, bool]
    reading: str | None  # by the captioner of the model, if it has one


@dataclass(frozen=True)
class Judged:
    """How the images of many prompts were judged, one image each."""

    total: int
    failed: int
    worst: list[Failure]
    confusion: dict[str, Counter[tuple[str, str]]]  # by attribute, how often was this asked and that shown


def sample_prompts(studio: Studio) -> list[str]:
    """The first prompts that are painted during training, or else some that the judge knows."""
    return (studio.suggestions or (studio.judge.example_prompts(PROMPTS) if studio.judge else []))[:PROMPTS]


def samples(studio: Studio) -> Iterator[Sheet]:
    """Images of the sample prompts. A prompt that cannot be painted is left out."""
    for prompt in sample_prompts(studio):
        with suppress(LimnerError):
            yield studio.paint(prompt, count=EACH)


def judge_many(studio: Studio, model: Model) -> Judged:
    """Paint an image of each of many prompts, as the recipe samples them, and judge it.

    Raises:
        LimnerError: if no metric of the data judges single images.
    """
    judge = studio.judge
    prompts = judge.example_prompts(JUDGED) if judge else []
    if judge is None or not prompts:
        raise LimnerError("No metric of the data judges single images, so failures and confusions cannot be told.")
    images = model.paint_images(prompts)
    confusion: dict[str, Counter[tuple[str, str]]] = {}
    failures: list[tuple[int, dict[str, bool]]] = []
    for row, (image, prompt) in enumerate(zip(images, prompts)):
        for attribute, asked, shown in judge.asked_and_shown(image, prompt):
            confusion.setdefault(attribute, Counter())[asked, shown] += 1
        verdict = judge.verdict(image, prompt) or {}
        if not all(verdict.values()):
            failures.append((row, verdict))
    worst = sorted(failures, key=lambda failure: sum(failure[1].values()) - len(failure[1]))[:WORST]
    rows = [row for row, _ in worst]
    readings: list[str | None] = [None] * len(rows)
    with suppress(LimnerError):  # it has no captioner
        readings = [*model.caption(images[rows])] if rows else []
    shown = Pictures.of(images[rows], [""] * len(rows)).images if rows else []
    told = [
        Failure(prompts[row], image, verdict, reading) for (row, verdict), image, reading in zip(worst, shown, readings)
    ]
    return Judged(len(prompts), len(failures), told, confusion)
