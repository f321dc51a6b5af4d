"""The gradient penalties, for a discriminator whose gradient is known."""

import numpy as np
import pytest
import torch
from limner import Judgement, TextFeatures
from limner_baseline.penalties import R1, MatchingAware

RANDOM = np.random.default_rng(0)
WEIGHTS = [RANDOM.normal(size=(3, 4, 4)), RANDOM.normal(size=(3, 8, 8))]  # of the images' pixels at two resolutions
IMAGES = [RANDOM.normal(size=(2, 3, 4, 4)), RANDOM.normal(size=(2, 3, 8, 8))]
SENTENCES, SENTENCE_WEIGHTS = RANDOM.normal(size=(2, 5)), RANDOM.normal(size=5)


@pytest.fixture
def curvature():
    """k in the discriminator below."""
    return torch.tensor(0.3, dtype=torch.float64, requires_grad=True)


@pytest.fixture
def step(make_step, curvature):
    """Two pairs judged by D(x, s) = w . x + k/2 ||x||^2 + v . s, whose gradient is (w + k x, v)."""
    images = [torch.tensor(image, requires_grad=True) for image in IMAGES]
    sentence = torch.tensor(SENTENCES, requires_grad=True)
    score = sentence @ torch.tensor(SENTENCE_WEIGHTS)
    for image, weight in zip(images, WEIGHTS):
        score = score + (torch.tensor(weight) * image + curvature / 2 * image**2).sum((1, 2, 3))
    text = TextFeatures(torch.zeros(2, 3, 5), sentence, torch.ones(2, 3, dtype=torch.bool))
    return make_step(real_images=images, text=text, real=Judgement(score[:, None], None, torch.zeros(2, 1, 1, 1)))


def squared_norms(images, k):
    """||w + k x||^2 of each image, over both resolutions."""
    return [sum(((w + k * x[i]) ** 2).sum() for w, x in zip(WEIGHTS, images)) for i in range(2)]


def test_r1_is_half_the_mean_squared_gradient(sizes, step):
    assert R1(sizes).discriminator(step).item() == pytest.approx(np.mean(squared_norms(IMAGES, 0.3)) / 2, rel=1e-6)


def test_r1_teaches_the_discriminator(sizes, step, curvature):
    """d/dk of 1/2 E ||w + k x||^2 is E (w + k x) . x."""
    slope = torch.autograd.grad(R1(sizes).discriminator(step), curvature)[0].item()
    expected = np.mean([sum(((w + 0.3 * x[i]) * x[i]).sum() for w, x in zip(WEIGHTS, IMAGES)) for i in range(2)])
    assert slope == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("power", [2.0, 6.0])
def test_the_matching_aware_penalty_reaches_into_the_sentence(sizes, step, power):
    norms = [np.sqrt(square + (SENTENCE_WEIGHTS**2).sum()) for square in squared_norms(IMAGES, 0.3)]
    expected = 2 * np.mean([norm**power for norm in norms])
    assert MatchingAware(sizes, power=power).discriminator(step).item() == pytest.approx(expected, rel=1e-5)


def test_a_flat_discriminator_has_a_finite_gradient(sizes, make_step, curvature):
    images = [torch.ones(2, 3, 4, 4, dtype=torch.float64, requires_grad=True)]
    sentence = torch.ones(2, 5, dtype=torch.float64, requires_grad=True)
    score = 0 * (curvature * images[0].sum((1, 2, 3)) + sentence.sum(1))
    text = TextFeatures(torch.zeros(2, 3, 5), sentence, torch.ones(2, 3, dtype=torch.bool))
    flat = make_step(real_images=images, text=text, real=Judgement(score[:, None], None, torch.zeros(2, 1, 1, 1)))
    assert torch.autograd.grad(MatchingAware(sizes).discriminator(flat), curvature)[0].isfinite()


@pytest.mark.parametrize("penalty", [R1, MatchingAware])
def test_a_penalty_is_lazy_asks_for_gradients_and_leaves_the_generator_alone(sizes, step, penalty):
    assert penalty.differentiates_images
    assert penalty(sizes, every=7).every == 7
    assert penalty(sizes).generator(step) is None
