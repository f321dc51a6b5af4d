"""Interpolation: both ends are the images that `sample` makes, and what lies between is on the way."""

import limner
import pytest
import torch
from limner import LimnerError, TextFeatures
from limner.models.interpolate import blend, interpolate, slerp
from limner.models.sampling import truncate

PROMPTS = ("a red circle above a blue square", "a blue square")
AT = torch.linspace(0, 1, 5)


def test_the_arc_keeps_the_length_and_turns_evenly():
    start, end = torch.tensor([3.0, 0.0, 0.0]), torch.tensor([0.0, 3.0, 0.0])
    way = slerp(start, end, AT)
    torch.testing.assert_close(way[[0, -1]], torch.stack([start, end]), atol=1e-6, rtol=0)
    torch.testing.assert_close(way.norm(dim=1), torch.full((5,), 3.0))
    turned = torch.cosine_similarity(way[1:], way[:-1])
    torch.testing.assert_close(turned, torch.full((4,), torch.pi / 8).cos())


@pytest.mark.parametrize("end", [[1.0, 2.0], [2.0, 4.0], [-1.0, -2.0]])
def test_without_an_arc_the_way_is_straight(end):
    way = slerp(torch.tensor([1.0, 2.0]), torch.tensor(end), AT)
    torch.testing.assert_close(way, torch.lerp(torch.tensor([[1.0, 2.0]]), torch.tensor([end]), AT[:, None]))


def test_text_is_blended_word_by_word():
    mask = torch.tensor([[True, True, False], [True, True, True]])
    words = torch.arange(1, 7.0).view(2, 3, 1) * mask[..., None]
    found = blend(TextFeatures(words, torch.tensor([[0.0], [8.0]]), mask), torch.tensor([0.0, 0.5, 1.0]))
    assert found.sentence.flatten().tolist() == [0, 4, 8]
    assert found.words[:, :, 0].tolist() == [[1, 2, 0], [2.5, 3.5, 3], [4, 5, 6]]
    assert found.mask.tolist() == [[True, True, False], [True, True, True], [True, True, True]]


@pytest.mark.parametrize("truncation", [None, 0.5])
def test_the_ends_are_what_the_model_paints(trained, truncation):
    model = limner.load(trained).train()
    images = interpolate(model, PROMPTS, (3, 4), 5, truncation, draws=(0, 2))
    assert images.shape == (5, 3, 16, 16)
    assert model.conditional_generator.training
    ends = [model.sample([text], seed, None, truncation, [draw]) for text, seed, draw in zip(PROMPTS, (3, 4), (0, 2))]
    torch.testing.assert_close(images[[0, -1]], torch.cat(ends), atol=1e-5, rtol=0)
    assert len(images.flatten(1).unique(dim=0)) == 5


def test_truncation_keeps_all_noise_within():
    noise = torch.randn(2, 20, generator=torch.Generator().manual_seed(0))
    assert truncate(slerp(noise[0], noise[1], AT), 0.5).abs().max() <= 0.5


def test_bad_input_is_one_sentence(trained):
    model = limner.load(trained)
    with pytest.raises(LimnerError, match="steps: expected how many images, at least 2"):
        interpolate(model, PROMPTS, (0, 1), 1)
    with pytest.raises(LimnerError, match="The prompt is empty"):
        interpolate(model, (PROMPTS[0], " "), (0, 1))
