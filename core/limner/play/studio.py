"""What the playground and the demo paint and say, without any user interface."""

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import cast

import torch
from jaxtyping import Float
from PIL import Image, ImageOps
from torch import Tensor

from limner.data.captions import storable
from limner.data.tokenizer import word_places
from limner.errors import LimnerError, quoted
from limner.interfaces import Attention, Loss, Metric
from limner.models.ensemble import Ensemble
from limner.models.explain import NEAREST, RED, record_attention
from limner.models.interpolate import interpolate
from limner.models.model import Model
from limner.models.painter import TrainedPainter, check_text
from limner.models.pictures import Pictures
from limner.recipes.build import build_dataset, build_metric, suggested_prompts
from limner.recipes.scorers import can_caption, can_score

MOST, CANDIDATES, STEPS = 16, 64, 8
"""Pictures of a prompt at most, candidates for the best of them at most, and pictures of an interpolation."""
LARGEST_SEED = 2**31 - 1
FREE = 3.0
"""A truncation of this or more leaves the noise as it was drawn."""
SIDE = 256  # pixels of an attention map's picture


@dataclass(frozen=True)
class Part:
    """A part of a prompt: a word, with whether training showed it, or what is between two words."""

    text: str
    is_word: bool = False
    known: bool = True


@dataclass(frozen=True)
class Painted:
    """A picture and what is said about it; None where nobody can say.

    `member` is the place of the model that painted it, `draw` which draw of the seed its noise is. `verdict` has what
    the judge says of each thing that was asked for.
    """

    image: Image.Image
    member: int
    draw: int
    reading: str | None
    verdict: dict[str, bool] | None


@dataclass(frozen=True)
class Sheet:
    """The pictures of one prompt, with what they were painted from."""

    prompt: str
    seed: int
    truncation: float | None
    parts: list[Part]
    pictures: list[Painted]
    has_judge: bool

    @property
    def words(self) -> list[str]:
        """The words of the prompt, as they were typed."""
        return [part.text for part in self.parts if part.is_word]


Named = list[tuple[str, Image.Image]]
"""Pictures with a line of text each."""


class Studio:
    """Paints with a model or an ensemble, and says what can be said about the pictures.

    What a model cannot do is left out: without a captioner there are no readings, without a metric that judges single
    images no verdicts, without attention no maps. One call at a time is served.
    """

    def __init__(self, painter: TrainedPainter, names: Sequence[str] = ()):
        """`names`: of the members of an ensemble, for people; by default they are numbered."""
        self.painter = painter
        self.members = painter.members if isinstance(painter, Ensemble) else [cast(Model, painter)]
        self.names = list(names) or [f"model {number}" for number in range(1, len(self.members) + 1)]
        self.can_choose = all(_has_loss(model, can_score) for model in self.members)
        self.can_look = any(
            isinstance(module, Attention) for model in self.members for module in model.conditional_generator.modules()
        )
        self.has_stages = any(len(model.resolutions) > 1 for model in self.members)
        self.suggestions, self.judge = suggested_prompts(self.members[0].recipe), _judge(self.members[0])
        self._lock = Lock()

    @property
    def usual_truncation(self) -> float:
        """Where the control for the truncation starts."""
        return min(self.painter.recipe.sampling.truncation or FREE, FREE)

    # --- the prompt ------------------------------------------------------------------------------------------------

    def mark(self, prompt: str) -> list[Part]:
        """The prompt in parts, in which unknown words are marked.

        Raises:
            LimnerError: for a prompt that cannot be painted.
        """
        prompt = _readable(prompt)
        unknown, parts, end = set(self.painter.unknown_words(prompt)), [], 0
        for start, stop in word_places(prompt):
            if start > end:
                parts.append(Part(prompt[end:start]))
            word = prompt[start:stop]
            parts.append(Part(word, True, word.lower() not in unknown))
            end = stop
        return [*parts, Part(prompt[end:])] if end < len(prompt) else parts

    # --- painting --------------------------------------------------------------------------------------------------

    def paint(
        self,
        prompt: str,
        seed: object = 0,
        truncation: object = None,
        count: object = 4,
        best_of: object = 1,
        member: int | None = None,
    ) -> Sheet:
        """Pictures of a prompt, as `paint` of the model makes them, with what is said about each.

        Args:
            prompt: what to paint.
            seed: of the noise.
            truncation: keep the noise within ± this number; `FREE` or more, or None, does not change it.
            count: how many pictures.
            best_of: paint this many and keep the best by matching; no more than `count` keeps them all.
            member: the place of the model of an ensemble that paints; None for all together.

        Raises:
            LimnerError: for a prompt that cannot be painted, or a control out of range.
        """
        parts, prompt = self.mark(prompt), _readable(prompt)
        number = _whole("seed", seed, 0, LARGEST_SEED)
        kept = _whole("pictures", count, 1, MOST)
        candidates = max(_whole("best of", best_of, 1, CANDIDATES), kept)
        reach = _truncation(truncation)
        painter = self.painter if member is None else self._member(member)
        with self._lock:
            images = painter.sample([prompt] * candidates, number, None, reach, range(candidates))
            chosen = torch.arange(kept)
            if candidates > kept:
                chosen = painter.chosen(images, prompt, kept, "matching")
            painters = [member or 0] * candidates
            if isinstance(painter, Ensemble):
                painters = painter.painters(candidates, number)
            draws = chosen.tolist()
            pictures = self._described(images[chosen], prompt, [painters[draw] for draw in draws], draws)
        return Sheet(prompt, number, reach, parts, pictures, self.judge is not None)

    def _described(
        self, images: Float[Tensor, "N 3 H W"], prompt: str, painters: Sequence[int], draws: Sequence[int]
    ) -> list[Painted]:
        readings: list[str | None] = [None] * len(images)
        for place, model in enumerate(self.members):
            rows = [row for row, painter in enumerate(painters) if painter == place]
            if rows and _has_loss(model, can_caption):
                for row, text in zip(rows, model.caption(images[rows])):
                    readings[row] = text
        verdicts = [self.judge.verdict(image, prompt) if self.judge else None for image in images]
        shown = Pictures.of(images, [prompt] * len(images)).images
        return [Painted(*facts) for facts in zip(shown, painters, draws, readings, verdicts)]

    # --- looking closer --------------------------------------------------------------------------------------------

    def look(self, sheet: Sheet, picture: int, word: int) -> Named:
        """Where each attention module attended for a word, in red over a picture, with the range of its weights.

        Both are counted from 0. The weights of all heads, and those of a word's tokens, are taken together. Red goes
        from the smallest weight that any word has somewhere to the largest.

        Raises:
            LimnerError: if the model that painted the picture has no attention over places.
        """
        painted = sheet.pictures[picture]
        model = self._member(painted.member)
        with self._lock, record_attention(model.conditional_generator.generator) as maps:
            model.sample([sheet.prompt], sheet.seed, None, sheet.truncation, [painted.draw])
        columns = _columns(sheet, model.tokenizer.places(sheet.prompt))
        found: Named = []
        for attended in maps:
            _, tokens, *where = attended.weights.shape
            if len(where) != 2 or tokens <= max((column for row in columns for column in row), default=0):
                continue
            heats = torch.stack([attended.weights[:, row].mean((0, 1)) for row in columns])
            low, high = float(heats.min()), float(heats.max())
            title = f"{attended.name}, {where[0]} x {where[1]} places: {low:.0%} to {high:.0%}"
            heat = (heats[word] - low) / max(high - low, 1e-9)
            found.append((title, _red_over(painted.image, heat)))
        if not found:
            raise LimnerError("This model has no attention to words over the picture; choose or train one that has.")
        return found

    def stages(self, sheet: Sheet, picture: int) -> Named:
        """A picture at every stage of its generator, lowest resolution first."""
        painted = sheet.pictures[picture]
        model = self._member(painted.member)
        with self._lock:
            images = [
                model.sample([sheet.prompt], sheet.seed, size, sheet.truncation, [painted.draw])
                for size in model.resolutions
            ]
        return [(f"{image.shape[-1]} px", Pictures.of(image, [""])[0]) for image in images]

    def between(self, sheet: Sheet, picture: int, prompt: str, seed: object) -> Named:
        """From a picture to the one of another prompt and seed: noise on an arc, text on a straight line.

        An empty prompt stands for that of the sheet.

        Raises:
            LimnerError: for a prompt that cannot be painted, or a seed out of range.
        """
        painted = sheet.pictures[picture]
        prompts = (sheet.prompt, _readable(prompt) if prompt and prompt.strip() else sheet.prompt)
        seeds = (sheet.seed, _whole("seed", seed, 0, LARGEST_SEED))
        draws = (painted.draw, painted.draw)
        with self._lock:
            model = self._member(painted.member)
            images = interpolate(model, prompts, seeds, STEPS, sheet.truncation, draws)
        texts = [f"{step / (STEPS - 1):.0%}" for step in range(STEPS)]
        return list(zip(texts, Pictures.of(images, texts).images))

    def _member(self, place: int) -> Model:
        return self.members[_whole("model", place, 0, len(self.members) - 1)]


def _has_loss(model: Model, can: Callable[[type[Loss]], bool]) -> bool:
    return any(can(cast(type[Loss], type(loss))) for loss in model.losses.values())


def _judge(model: Model) -> Metric | None:
    """The metric that judges single images, if the data of a model has one."""
    try:
        dataset = build_dataset(model.recipe)
        metrics = [build_metric(model.plugins, model.recipe, name, dataset) for name in dataset.metrics]
    except LimnerError:  # the data may be elsewhere; the model paints without
        return None
    return next((metric for metric in metrics if type(metric).verdict is not Metric.verdict), None)


def _readable(prompt: str) -> str:
    """The prompt in composed characters, so that its words and its tokens have the same places."""
    check_text(prompt)
    return unicodedata.normalize("NFC", storable(prompt))


def _whole(name: str, value: object, low: int, high: int) -> int:
    """A whole number from a control, which may have been left empty."""
    if isinstance(value, int | float) and low <= value <= high:
        return int(value)
    raise LimnerError(f"{name}: expected a whole number from {low} to {high}, got {quoted(value)}.")


def _truncation(value: object) -> float | None:
    """How far the noise may reach; None if it may reach anywhere."""
    if value is None or (isinstance(value, int | float) and value >= FREE):
        return None
    if isinstance(value, int | float) and value > 0:
        return float(value)
    raise LimnerError(f"truncation: expected how far the noise may reach, above 0, got {quoted(value)}.")


def _columns(sheet: Sheet, places: Sequence[tuple[int, int]]) -> list[list[int]]:
    """The tokens of each word of a sheet, by their places in the prompt."""
    found, start = [], 0
    for part in sheet.parts:
        end = start + len(part.text)
        if part.is_word:
            found.append([column for column, (first, last) in enumerate(places) if first < end and last > start])
        start = end
    return found


def _red_over(image: Image.Image, heat: Float[Tensor, "h w"]) -> Image.Image:
    """The picture in light gray, and in red the places of a map from 0 to 1."""
    gray = ImageOps.colorize(ImageOps.autocontrast(image.convert("L")), (110, 110, 110), "white")
    pixels = Image.fromarray((217 * heat.clamp(0, 1)).to(torch.uint8).numpy())
    under = gray.resize((SIDE, SIDE), NEAREST)
    return Image.composite(Image.new("RGB", under.size, RED), under, pixels.resize(under.size, NEAREST))
