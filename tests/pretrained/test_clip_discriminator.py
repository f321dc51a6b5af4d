"""The discriminator `clip`: what it reads of CLIP, what it learns, and models that it cannot use."""

import shutil
from copy import deepcopy

import pytest
import torch
from limner import LimnerError, Model, Sizes, TextFeatures, hookimpl, resume, train
from limner.testing import check_discriminator
from limner_pretrained.clip_discriminator import ClipDiscriminator
from torch.nn.functional import conv2d, leaky_relu
from transformers import CLIPModel
from transformers.utils.constants import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

SIZES = Sizes(image=8, vocabulary=20, length=8, text=6, noise=4, resolutions=(8,))


def made(folder, **options) -> ClipDiscriminator:
    torch.manual_seed(0)
    return ClipDiscriminator(SIZES, **{"model": str(folder), "layers": [1, 2], "channels": 5, "head": 7} | options)


def text_of(sentence: torch.Tensor) -> TextFeatures:
    return TextFeatures(sentence[:, None], sentence, torch.ones(len(sentence), 1, dtype=torch.bool))


class StopAfterTwo:
    """Stops a training as Ctrl-C does."""

    @hookimpl
    def limner_step_finished(self, run):
        if run.step == 2:
            raise KeyboardInterrupt


@pytest.fixture
def recipe(whole_clip):
    return {
        "extends": "scenes-64",
        "title": "the eyes of CLIP",
        "image_size": 16,
        "data": {"count": 24},
        "generator": {"attention": False},
        "discriminator": {"name": "clip", "model": str(whole_clip), "layers": [1, 2], "channels": 8},
        "losses": {"cycle": False, "r1": False, "matching-aware-penalty": {"weight": 1.0}},
        "training": {"steps": 3, "batch_size": 4, "precision": "float32"},
    }


def test_it_keeps_the_contract(whole_clip):
    check_discriminator(ClipDiscriminator, model=str(whole_clip), layers=[1, 2])


def test_it_is_the_formula(whole_clip):
    """By hand, in float64, from the hidden states of the whole CLIP. Images of CLIP's size are not resized."""
    discriminator = made(whole_clip).double()
    discriminator.vision.model.double()
    clip = CLIPModel.from_pretrained(whole_clip).double()
    images, sentence = torch.rand(2, 3, 8, 8).double() * 2 - 1, torch.randn(2, 6).double()
    mean, deviation = (torch.tensor(v).double()[:, None, None] for v in (OPENAI_CLIP_MEAN, OPENAI_CLIP_STD))
    hidden = clip.vision_model(((images + 1) / 2 - mean) / deviation, output_hidden_states=True).hidden_states
    weights, f = discriminator.state_dict(), torch.zeros(2, 5, 2, 2).double()
    for place, layer in enumerate((1, 2)):
        h = hidden[layer][:, 1:].mT.reshape(2, 24, 2, 2)
        x = f + conv2d(h, weights[f"projections.{place}.weight"], weights[f"projections.{place}.bias"])
        inner = leaky_relu(x, 0.2)
        for name in ("first", "second"):
            kernel, bias = (weights[f"blocks.{place}.{name}.{part}"] for part in ("weight", "bias"))
            inner = conv2d(inner, kernel, bias, padding=1)
            inner = leaky_relu(inner, 0.2) if name == "first" else inner
        f = x + inner
    joined = torch.cat([f, sentence[:, :, None, None].expand(2, 6, 2, 2)], 1)
    joined = leaky_relu(conv2d(joined, weights["join.weight"], weights["join.bias"], padding=1), 0.2)
    score = (joined * weights["match.weight"]).sum((1, 2, 3)) + weights["match.bias"]
    found = discriminator([images], text_of(sentence))
    torch.testing.assert_close(found.features, f)
    torch.testing.assert_close(found.match[:, 0], score.float())


def test_clip_stays_as_it_is_and_is_not_saved(whole_clip):
    discriminator = made(whole_clip)
    assert not any("vision" in name for name in discriminator.state_dict())
    assert not any(weight.requires_grad for weight in discriminator.vision.model.parameters())
    assert deepcopy(discriminator).vision is discriminator.vision
    images = torch.rand(2, 3, 16, 16).requires_grad_()
    discriminator([images], text_of(torch.randn(2, 6))).match.sum().backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0  # the generator learns through CLIP


def test_it_trains_with_a_penalty_and_resumes_exactly(recipe, tmp_path):
    whole = train(recipe, tmp_path / "whole", quiet=True)
    train(recipe, tmp_path / "run", quiet=True, callbacks=[StopAfterTwo()])
    resumed = resume(tmp_path / "run", quiet=True)
    assert all(value.equal(resumed.state_dict()[name]) for name, value in whole.state_dict().items())
    assert Model.load(tmp_path / "whole").paint("a red circle above a blue square")


def test_a_model_that_cannot_be_used_is_told_in_a_sentence(recipe, whole_clip, small_clip, small_bert, tmp_path):
    cases = {
        "nowhere/clip": "discriminator: model: 'nowhere/clip' is neither a folder with a model nor",
        str(small_bert): "type 'bert'; a CLIP with its vision part is expected",
        str(small_clip): "type 'clip_text_model'; a CLIP with its vision part",
    }
    for model, message in cases.items():
        with pytest.raises(LimnerError, match=message):
            train(recipe | {"discriminator": recipe["discriminator"] | {"model": model}})
    with pytest.raises(LimnerError, match="has 2 layers, so there is no layer 3"):
        train(recipe | {"discriminator": recipe["discriminator"] | {"layers": [3]}})
    moved = shutil.copytree(whole_clip, tmp_path / "clip")
    train(recipe | {"discriminator": recipe["discriminator"] | {"model": str(moved)}}, tmp_path / "run", quiet=True)
    shutil.rmtree(moved)
    with pytest.raises(LimnerError, match="is neither a folder with a model nor"):
        Model.load(tmp_path / "run")
