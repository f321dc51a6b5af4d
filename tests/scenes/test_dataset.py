"""The data set: facts that agree with captions and pixels, in the COCO layout, and checked options."""

import json
from hashlib import sha256
from typing import Any

import pytest
import torch
from limner import LimnerError
from limner_scenes.dataset import Scenes
from limner_scenes.parsing import parse
from limner_scenes.scenes import ANY, HELD_OUT

HELD_OUT_NAMES = [f"{color} {shape}" for color, shape in HELD_OUT]


@pytest.mark.parametrize(("objects", "wordings"), [(1, 1), (2, 1), (1, 8), (2, 8), (1, 20), (2, 20)])
def test_captions_ask_for_what_their_image_shows(objects, wordings):
    data = Scenes(32, objects=objects, wordings=wordings, count=60).load()
    assert data.pixels.shape == (60, 3, 32, 32)
    assert len(data.annotations) == len(data) == 60
    for image_id, annotations in zip(data.image_ids, data.annotations, strict=True):
        image: dict[str, Any] = dict(data.coco.imgs[image_id])
        assert (image["width"], image["height"]) == (32, 32)
        assert 1 <= len(annotations) <= (1 if wordings == 1 else 3)
        assert all(a["asked"] == annotations[0]["asked"] for a in annotations), "in other words, the same"
        for annotation in annotations:
            asked = annotation["asked"]
            assert parse(annotation["caption"]) == asked
            assert all(a in (ANY, fact) for a, fact in zip(asked, image["facts"], strict=True))
            assert len(annotation["distractors"]) == 4
            assert not any(name in annotation["caption"] for name in HELD_OUT_NAMES)


@pytest.mark.parametrize(
    ("objects", "wordings", "expected"),
    [
        (1, 1, "07690bf1c7b87b73"),
        (1, 8, "b6479ac44a657e0f"),
        (2, 1, "efbaa8f2e6cc3296"),
        (2, 8, "52d5fe73f758ded0"),
    ],
)
def test_measured_figures_stay_valid(objects, wordings, expected):
    """The captions and prompts with one wording and with the eight usual ones never change.

    The wrong captions of one object did, on 2026-11-28: two of the four have another shape. Before, any single word was
    replaced, so figures of models of one object that are older were measured with these.

    The captions of one image in eight wordings did on the same day: now all of them name the background, or none does.
    Before, each decided for itself. A single caption is as likely as before.
    """
    scenes = Scenes(16, objects=objects, wordings=wordings, count=500)
    prompts = [scenes.prompts(200, 3, held_out=held_out).texts for held_out in (False, True)]
    texts = [scenes.captions(scenes.scenes())["annotations"], *prompts, scenes.preview_prompts()]
    assert sha256(json.dumps(texts).encode()).hexdigest()[:16] == expected


def test_only_equal_seeds_load_equal_data():
    first, again = Scenes(32, count=50).load(), Scenes(32, count=50).load()
    other = Scenes(32, count=50, seed=1).load()
    assert torch.equal(first.pixels, again.pixels)
    assert first.coco.anns == again.coco.anns
    assert not torch.equal(first.pixels, other.pixels)


@pytest.mark.parametrize(("probability", "least", "most"), [(0.0, 0, 0), (0.5, 60, 140), (1.0, 200, 200)])
def test_the_background_is_mentioned_as_often_as_requested(probability, least, most):
    data = Scenes(8, count=200, background_mentioned=probability).load()
    mentioned = sum("background" in annotation["caption"] for [annotation] in data.annotations)
    assert least <= mentioned <= most


def test_prompts_are_new_and_seeded():
    scenes = Scenes(32, wordings=8)
    prompts = scenes.prompts(100, seed=1)
    assert prompts.texts == scenes.prompts(100, seed=1).texts != scenes.prompts(100, seed=2).texts
    assert [parse(text) for text in prompts.texts] == prompts.asked.tolist()
    assert len(scenes.preview_prompts()) == 8


def test_held_out_wordings_ask_for_the_same_in_other_words():
    scenes = Scenes(32, wordings=8)
    usual, reworded = scenes.prompts(100, 0), scenes.prompts(100, 0, held_out_wording=True)
    assert torch.equal(usual.asked, reworded.asked)
    assert not set(usual.texts) & set(reworded.texts)
    assert [parse(text) for text in reworded.texts] == usual.asked.tolist()


def test_held_out_prompts_name_a_held_out_pair():
    scenes = Scenes(32)
    assert all(any(name in text for name in HELD_OUT_NAMES) for text in scenes.prompts(100, 0, held_out=True).texts)
    assert not any(name in text for text in scenes.prompts(100, 0).texts for name in HELD_OUT_NAMES)


def test_real_images_of_one_prompt_vary():
    scenes = Scenes(32)
    images = scenes.real_images("a red circle above a blue square", 16, seed=0)
    assert images.shape == (16, 3, 32, 32)
    assert images.float().std(dim=0).mean() > 5
    assert torch.equal(images, scenes.real_images("A bule square which has a red circle above it.", 16, seed=0))
    with pytest.raises(LimnerError, match="'a red dog' is not a caption of a scene"):
        scenes.real_images("a red dog", 1, seed=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"objects": 3}, "`objects` of the scenes data set should be 1 or 2, not 3"),
        ({"count": 0}, "`count` .* at least 1"),
        ({"wordings": 21}, "`wordings` .* from 1 to 20, not 21"),
        ({"background_mentioned": 1.5}, "`background_mentioned` .* from 0 to 1"),
        ({"misspelled": -0.1}, "`misspelled` of the scenes data set should be from 0 to 1, not -0.1"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(LimnerError, match=message):
        Scenes(32, **options)
