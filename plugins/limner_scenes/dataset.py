"""Captioned scenes as a data set, in the MS-COCO captions layout."""

from dataclasses import dataclass
from random import Random
from typing import Any

import torch
from jaxtyping import Int, UInt8
from limner import CaptionedImages, Dataset, LimnerError, coco_index
from torch import Tensor

from .drawing import render
from .grammar import caption, distractors
from .parsing import parse
from .scenes import ANY, BACKGROUNDS, COLUMNS, SceneBatch, compose, draw_facts, draw_scenes
from .spelling import misspell
from .wordings import WORDINGS, Wording, draw_wording

CAPTIONS_PER_IMAGE = 3  # if there are several wordings


@dataclass(frozen=True)
class Prompts:
    """Prompts and what they ask for: `asked[i]` is the row of facts that `texts[i]` asks for."""

    texts: list[str]
    asked: Int[Tensor, "N F"]

    def __len__(self) -> int:
        return len(self.texts)


class Scenes(Dataset):
    """Colored shapes on colored backgrounds with captions, drawn when they are needed, without any download.

    An image's entry has `facts`; a caption's has `asked` and four `distractors` (see `scenes` and `grammar`). No
    training scene shows one of the held-out pairs of color and shape (`scenes.HELD_OUT`), and no caption or distractor
    names one.
    """

    metrics = ("scene-judge", "scene-diversity")

    def __init__(
        self,
        image_size: int,
        *,
        objects: int = 2,
        count: int = 20_000,
        wordings: int = 1,
        background_mentioned: float = 0.5,
        misspelled: float = 0.0,
        seed: int = 0,
    ):
        """
        Args:
            image_size: width and height of the images in pixels.
            objects: how many objects a scene shows, 1 (with a size) or 2 (with a relation).
            count: how many training scenes `load` draws.
            wordings: how many sentence forms the captions use, from 1 (the plain one, one caption per image) to
                20. With several, there are synonyms and up to three captions per image; with more than 8, there are
                more synonyms, and half of the captions have a capital and a period.
            background_mentioned: the probability, from 0 to 1, that a caption names the color of the background.
            misspelled: the probability, from 0 to 1, that a caption or prompt has one misspelled word, such as
                "cirlce".
            seed: of the training scenes and their captions.

        Raises:
            LimnerError: if an option is out of range.
        """
        super().__init__(image_size)
        _require(objects in COLUMNS, "objects", "1 or 2", objects)
        _require(count >= 1, "count", "at least 1", count)
        _require(1 <= wordings <= WORDINGS, "wordings", f"from 1 to {WORDINGS}", wordings)
        _require(0 <= background_mentioned <= 1, "background_mentioned", "from 0 to 1", background_mentioned)
        _require(0 <= misspelled <= 1, "misspelled", "from 0 to 1", misspelled)
        self.objects = objects
        self.count = count
        self.wordings = wordings
        self.background_mentioned = background_mentioned
        self.misspelled = misspelled
        self.seed = seed

    def scenes(self) -> SceneBatch:
        """The training scenes."""
        return draw_scenes(self.count, _generator("scenes", self.seed), objects=self.objects)

    def load(self) -> CaptionedImages:
        """The training images with their captions; every call returns the same ones."""
        scenes = self.scenes()
        layout = self.captions(scenes)
        coco = coco_index(layout, "the drawn scenes")
        return CaptionedImages(render(scenes, self.image_size), coco, [entry["id"] for entry in layout["images"]])

    def captions(self, scenes: SceneBatch) -> dict[str, Any]:
        """`scenes` in the COCO captions layout, as the dictionary that a captions file would hold."""
        random, spelling = Random(f"captions {self.seed}"), Random(f"misspellings {self.seed}")
        images, annotations = [], []
        for image_id, facts in enumerate(scenes.facts.tolist(), start=1):
            size = {"width": self.image_size, "height": self.image_size}
            images.append({"id": image_id, "file_name": f"scene-{image_id:06}.png", **size, "facts": facts})
            for text, entry in self._captions_of(facts, random).items():
                # A wrong caption is misspelled where the true one is, so that a misspelling tells nothing.
                text, *wrong = self._misspell([text, *entry["distractors"]], spelling)
                entry = {"caption": text, **entry, "distractors": wrong}
                annotations.append({"id": len(annotations) + 1, "image_id": image_id, **entry})
        info = {"description": "Captioned scenes, drawn by limner_scenes", "version": "1"}
        return {"info": info, "images": images, "annotations": annotations}

    def _captions_of(self, facts: list[int], random: Random) -> dict[str, dict[str, Any]]:
        """Distinct captions of one image, all of which ask for the same, each with its distractors."""
        asked, captions = self._asked(facts, random), {}
        for _ in range(1 if self.wordings == 1 else CAPTIONS_PER_IMAGE):
            wording = draw_wording(random, self.wordings)
            text = caption(asked, wording)
            captions[text] = {"asked": asked, "distractors": distractors(asked, wording, random)}
        return captions

    def _asked(self, facts: list[int], random: Random) -> list[int]:
        mentioned = random.random() < self.background_mentioned
        return [*facts[:-1], facts[-1] if mentioned else ANY]

    def _misspell(self, texts: list[str], random: Random) -> list[str]:
        """The texts, with the probability `misspelled` each with a misspelled word, at the same place if possible."""
        if random.random() >= self.misspelled:
            return texts
        place = random.random()
        return [misspell(text, Random(place)) for text in texts]

    def prompts(self, count: int, seed: int, *, held_out: bool = False, held_out_wording: bool = False) -> Prompts:
        """New prompts with what they ask for; their random numbers differ from those of the training scenes.

        Args:
            count: how many.
            seed: equal seeds give prompts that ask for the same, in any wording.
            held_out: True for prompts that each name a held-out pair, False for prompts that name none.
            held_out_wording: True for sentence forms that no training caption has (`wordings.HELD_OUT_FORMS`).
        """
        facts = draw_facts(count, _generator("prompts", seed), objects=self.objects, held_out=held_out).tolist()
        random, spelling = Random(f"prompts {seed}"), Random(f"misspelled prompts {seed}")
        asked = [self._asked(row, random) for row in facts]
        texts = [caption(row, draw_wording(random, self.wordings, held_out=held_out_wording)) for row in asked]
        return Prompts([self._misspell([text], spelling)[0] for text in texts], torch.tensor(asked))

    def preview_prompts(self) -> list[str]:
        """Eight new prompts of trained pairs."""
        return self.prompts(8, seed=self.seed).texts

    def real_images(self, prompt: str, count: int, seed: int) -> UInt8[Tensor, "{count} 3 H W"]:
        """Draws `count` scenes that a prompt is true of, as a perfect model would; values are 0..255.

        Raises:
            LimnerError: if the prompt is not a sentence of the grammar.
        """
        asked = parse(prompt)
        if asked is None:
            example = caption(self.prompts(1, 0).asked[0].tolist(), Wording())
            raise LimnerError(f"{prompt!r} is not a caption of a scene, such as {example!r}.")
        generator = _generator("real images", seed)
        facts = torch.tensor(asked).repeat(count, 1)
        backgrounds = torch.randint(len(BACKGROUNDS), (count,), generator=generator)
        facts[:, -1] = torch.where(facts[:, -1] == ANY, backgrounds, facts[:, -1])
        return render(compose(facts, generator), self.image_size)


def _generator(purpose: str, seed: int) -> torch.Generator:
    """A random number generator for each purpose and seed."""
    return torch.Generator().manual_seed(Random(f"{purpose} {seed}").getrandbits(60))


def _require(holds: bool, option: str, expected: str, value: object) -> None:
    if not holds:
        raise LimnerError(f"the option `{option}` of the scenes data set should be {expected}, not {value}.")
