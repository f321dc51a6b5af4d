"""Scores, captions of images and files, backbones of their own, and retrieval."""

from types import SimpleNamespace
from typing import cast

import limner
import pytest
import torch
from limner import Ensemble, LimnerError, Model, Painter
from limner_consistency.backbone import Backbone
from limner_consistency.contrast import SentenceContrast
from limner_consistency.cycle import CycleConsistency
from limner_consistency.retrieval import Retrieval
from limner_consistency.word_contrast import WordContrast
from limner_scenes.dataset import Scenes
from PIL import Image

PROMPTS = ["a red circle above a blue square", "a green square above a red circle"]


@pytest.fixture
def reader(recipe, tmp_path):
    """The folder of a tiny run with every loss that scores images."""
    recipe["losses"] |= {"cycle": {"width": 8}, "word-contrast": {"width": 8}}
    recipe["metrics"] = {"retrieval": {"trials": 4, "candidates": 5}}
    limner.train(recipe, tmp_path / "reader", quiet=True)
    return tmp_path / "reader"


def test_every_loss_with_a_score_scores_images(reader):
    model = limner.load(reader)
    images = model.paint_images(PROMPTS)
    scores = {by: model.score(images, PROMPTS, by) for by in ("sentence-contrast", "cycle", "word-contrast")}
    assert torch.equal(model.score(images, PROMPTS), scores["sentence-contrast"])
    for by, both in scores.items():
        assert both.shape == (2,)
        assert not torch.allclose(both, model.score(images, PROMPTS[::-1], by)), "another caption, another score"
        torch.testing.assert_close(both[:1], model.score(images[:1], PROMPTS[:1], by))  # whatever else is in the batch
    with pytest.raises(LimnerError, match="expected 16 x 16 pixels, got 8 x 16"):
        model.score(images[..., :8], PROMPTS)
    with pytest.raises(LimnerError, match="expected one for each of 2 images, got 1"):
        model.score(images, PROMPTS[:1])
    with pytest.raises(LimnerError, match="no 'cycles' that scores images, did you mean 'cycle'"):
        model.score(images, PROMPTS, "cycles")


def test_a_model_without_scores_or_captioner_says_so(recipe):
    recipe["losses"] = {"hinge": {}}
    model = limner.train(recipe, quiet=True)
    with pytest.raises(LimnerError, match="by: no loss of this model can score"):
        model.score(torch.zeros(1, 3, 16, 16), PROMPTS[:1])
    with pytest.raises(LimnerError, match="has no captioner; train one that has, with the loss 'cycle'"):
        model.caption(torch.zeros(1, 3, 16, 16))


def test_the_caption_command_reads_any_image_file(reader, tmp_path, command):
    Image.new("RGB", (40, 24), "red").save(tmp_path / "red.png")
    Image.new("LA", (9, 30)).save(tmp_path / "gray.png")
    status, out, _ = command("caption", reader, tmp_path / "red.png")
    assert status == 0
    model = limner.load(reader)
    assert out.strip() == model.caption(tmp_path / "red.png")[0]
    assert "[" not in out
    status, out, _ = command("caption", reader, tmp_path / "red.png", tmp_path / "gray.png")
    assert [line.split(": ")[0].rsplit("/", 1)[-1] for line in out.splitlines()] == ["red.png", "gray.png"]
    (tmp_path / "text.png").write_text("no image")
    for file in ("text.png", "nowhere.png"):
        status, _, err = command("caption", reader, tmp_path / file)
        assert (status, f"{file} cannot be read as an image" in err) == (1, True)


@pytest.mark.parametrize("name", ["cycle", "sentence-contrast", "word-contrast"])
def test_an_own_backbone_can_be_loaded_and_frozen(recipe, tmp_path, name):
    recipe["losses"] = {"hinge": {}, name: {"own_backbone": True, "width": 8}}
    first = limner.train(recipe, tmp_path / "first", quiet=True)
    recipe["training"] |= {"start_from": str(tmp_path / "first"), "load_parts": ["encoder", f"losses.{name}"]}
    recipe["training"]["freeze"] = ["encoder", f"losses.{name}"]
    with pytest.warns(UserWarning, match="Loaded from .*: encoder, losses; new: generator, discriminator"):
        second = limner.train(recipe, quiet=True)
    before, after = first.losses.state_dict(), second.losses.state_dict()
    assert any("backbone" in key for key in before)
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_an_own_backbone_needs_a_multiple_of_16(recipe):
    recipe["losses"]["cycle"] = {"own_backbone": True}
    with pytest.raises(
        LimnerError, match=r"losses.cycle: own_backbone: the image size should be a multiple of 16, not 24"
    ):
        limner.train(recipe, overrides=["image_size=24"], quiet=True)


@pytest.mark.parametrize("loss", [CycleConsistency, SentenceContrast, WordContrast])
def test_weights_of_a_backbone_are_read_under_their_old_name(sizes, loss):
    part = loss(sizes, own_backbone=True)
    assert isinstance(part.backbone, Backbone)
    old = {name.replace("backbone.", "eye."): torch.randn_like(value) for name, value in part.state_dict().items()}
    part.load_state_dict(dict(old))
    assert torch.equal(part.get_parameter("backbone.0.weight"), old["eye.0.weight"])
    assert part.renamed_options == {"own_eye": "own_backbone"}


def test_the_old_name_of_the_option_still_works(recipe):
    recipe["losses"] = {"hinge": {}, "sentence-contrast": {"own_eye": True, "width": 8}}
    with pytest.warns(match="own_backbone"):
        model = limner.train(recipe, quiet=True)
    assert isinstance(model.losses["sentence-contrast"].backbone, Backbone)


# --- retrieval ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("matching", "won"), [("right", 1.0), ("wrong", 0.0), ("blind", 0.0)])
def test_a_trial_is_won_if_the_own_caption_comes_first(reader, monkeypatch, matching, won):
    model, calls = limner.load(reader), []

    def score(self, images, captions, by=None):
        calls.append(captions)
        own = {"right": 1.0, "wrong": -1.0, "blind": 0.0}[matching]
        return torch.tensor([own, *[0.0] * (len(captions) - 1)])

    monkeypatch.setattr(Model, "score", score)
    metric = Retrieval(Scenes(16, count=80), trials=5, candidates=10)
    assert metric.measure(model) == {"R-precision": won}
    assert [len(captions) for captions in calls] == [10] * 5
    assert all(len(set(captions)) == 10 for captions in calls)


def test_retrieval_measures_an_ensemble(reader, monkeypatch):
    ensemble = Ensemble([reader, reader])
    assert 0 <= ensemble.evaluate()["R-precision"] <= 1
    first = ensemble.members[0]

    def score(self, images, captions, by=None):  # of the two members, the first decides
        return torch.tensor([2.0 if self is first else -1.0, *[0.0] * (len(captions) - 1)])

    monkeypatch.setattr(Model, "score", score)
    assert ensemble.evaluate()["R-precision"] == 1


def test_retrieval_says_what_it_needs(reader):
    model = limner.load(reader)
    with pytest.raises(LimnerError, match=r"retrieval: the data has \d+ different captions, and 100 are needed"):
        Retrieval(Scenes(16, count=20)).measure(model)
    with pytest.raises(LimnerError, match="only a trained model"):
        Retrieval(Scenes(16, count=20)).measure(cast(Painter, SimpleNamespace(paint_images=model.paint_images)))
    assert 0 <= Retrieval(Scenes(16, count=40), trials=3, candidates=5, by="cycle").measure(model)["R-precision"] <= 1
