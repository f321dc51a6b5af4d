"""The gradient penalties, for a discriminator with a known gradient."""

from dataclasses import replace

import limner
import numpy as np
import pytest
import torch
from limner import Judgement, LimnerError, TextFeatures
from limner.shared_rows import AllRows
from limner_baseline.penalties import R1, R2, MatchingAware

RANDOM = np.random.default_rng(0)
WEIGHTS = [RANDOM.normal(size=(3, 4, 4)), RANDOM.normal(size=(3, 8, 8))]  # of the images' pixels at two resolutions
REALISM_WEIGHTS = [RANDOM.normal(size=(3, 4, 4)), RANDOM.normal(size=(3, 8, 8))]
IMAGES = [RANDOM.normal(size=(2, 3, 4, 4)), RANDOM.normal(size=(2, 3, 8, 8))]
SENTENCES, SENTENCE_WEIGHTS = RANDOM.normal(size=(2, 5)), RANDOM.normal(size=5)


@pytest.fixture
def curvature():
    """k in the discriminator below."""
    return torch.tensor(0.3, dtype=torch.float64, requires_grad=True)


@pytest.fixture
def step(make_step, curvature):
    """Two pairs with D(x, s) = w . x + k/2 ||x||^2 + v . s, whose gradient is (w + k x, v), and D(x) = u . x."""
    images = [torch.tensor(image, requires_grad=True) for image in IMAGES]
    sentence = torch.tensor(SENTENCES, requires_grad=True)
    match, realism = sentence @ torch.tensor(SENTENCE_WEIGHTS), torch.zeros(2, dtype=torch.float64)
    for image, weight, realism_weight in zip(images, WEIGHTS, REALISM_WEIGHTS):
        match = match + (torch.tensor(weight) * image + curvature / 2 * image**2).sum((1, 2, 3))
        realism = realism + (torch.tensor(realism_weight) * image).sum((1, 2, 3))
    text = TextFeatures(torch.zeros(2, 3, 5), sentence, torch.ones(2, 3, dtype=torch.bool))
    judgement = Judgement(match[:, None], realism[:, None], torch.zeros(2, 1, 1, 1))
    return make_step(real_images=images, text=text, real=judgement)


def squared_norms(images, k, match=1, realism=0):
    """The squared gradient of `match` D(x, s) + `realism` D(x), for each image, over both resolutions."""
    return [
        sum(((match * (w + k * x[i]) + realism * u) ** 2).sum() for w, u, x in zip(WEIGHTS, REALISM_WEIGHTS, images))
        for i in range(2)
    ]


def test_r1_is_half_the_mean_squared_gradient(sizes, step):
    assert R1(sizes).discriminator(step).item() == pytest.approx(np.mean(squared_norms(IMAGES, 0.3)) / 2, rel=1e-6)


def test_r2_is_the_same_at_generated_images(sizes, make_step, step):
    """R1's gradient is another one at these images."""
    moved = [0.5 * image for image in IMAGES]
    images = [torch.tensor(image, requires_grad=True) for image in moved]
    scores = sum(
        (torch.tensor(weight) * image + 0.15 * image**2).sum((1, 2, 3)) for weight, image in zip(WEIGHTS, images)
    )
    generated = Judgement(torch.as_tensor(scores)[:, None], None, torch.zeros(2, 1, 1, 1))
    given = {"generated": generated, "own_generated_images": images, "rows": AllRows(), "noise": torch.zeros(2, 3)}
    penalty = R2(sizes).discriminator(make_step(**vars(step) | given))
    assert penalty.item() == pytest.approx(np.mean(squared_norms(moved, 0.3)) / 2, rel=1e-6)


def test_r2_smooths_the_discriminator_of_a_frozen_generator(recipe):
    recipe["losses"] = {"hinge": {}, "r2": {"every": 1}}
    recipe["training"]["freeze"] = ["generator"]
    model = limner.train(recipe, quiet=True)
    assert all(row["r2/discriminator"] > 0 for row in model.history)


@pytest.mark.parametrize(("condition", "scores"), [("text", (1, 0)), ("none", (0, 1)), ("both", (1, 1))])
def test_r1_penalizes_the_scores_that_the_condition_names(sizes, step, condition, scores):
    expected = np.mean(squared_norms(IMAGES, 0.3, *scores)) / 2
    assert R1(sizes, condition=condition).discriminator(step).item() == pytest.approx(expected, rel=1e-6)


def test_r1_averages_several_scores_of_an_image(sizes, make_step, step):
    twice = replace(step.real, match=torch.cat([step.real.match, 3 * step.real.match], 1), realism=None)
    several = make_step(**vars(step) | {"real": twice})
    expected = np.mean(squared_norms(IMAGES, 0.3, match=2)) / 2
    assert R1(sizes).discriminator(several).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("condition", ["none", "both"])
def test_r1_without_a_realism_score_is_an_error(sizes, make_step, step, condition):
    silent = make_step(**vars(step) | {"real": replace(step.real, realism=None)})
    with pytest.raises(LimnerError, match=r"condition: .*realism = true"):
        R1(sizes, condition=condition).discriminator(silent)


def test_without_text_r1_smooths_the_score_that_is_trained(recipe):
    """The penalty of an image-only discriminator is positive, and does not reach the unused head for texts."""
    recipe["losses"] = {"hinge": {"condition": "none"}, "r1": {"condition": "none", "every": 1}}
    recipe["discriminator"]["realism"] = True
    model = limner.train(recipe, quiet=True)
    assert all(row["r1/discriminator"] > 0 for row in model.history)
    other = limner.train(recipe, quiet=True, overrides=["losses.r1.weight=100"])
    heads = [part.get_submodule("conditional_discriminator.discriminator.head") for part in (model, other)]
    assert all(torch.equal(*weights) for weights in zip(*(head.parameters() for head in heads)))


def test_the_gradient_of_r1_reaches_the_discriminator(sizes, step, curvature):
    """d/dk of 1/2 E ||w + k x||^2 is E (w + k x) . x."""
    slope = torch.autograd.grad(R1(sizes).discriminator(step), curvature)[0].item()
    expected = np.mean([sum(((w + 0.3 * x[i]) * x[i]).sum() for w, x in zip(WEIGHTS, IMAGES)) for i in range(2)])
    assert slope == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("power", [2.0, 6.0])
def test_matching_aware_includes_the_sentence(sizes, step, power):
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


@pytest.mark.parametrize("penalty", [R1, R2, MatchingAware])
def test_penalties_are_lazy_and_for_the_discriminator_only(sizes, step, penalty):
    assert penalty.differentiates_images
    assert penalty(sizes, every=7).every == 7
    assert penalty(sizes).generator(step) is None
