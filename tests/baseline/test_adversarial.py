"""The adversarial losses against their formulas, written out by hand."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from limner import Batch, Discriminator, Judgement, LimnerError, TextFeatures, Tokens
from limner_baseline.adversarial import Hinge, Minimax, NonSaturating, Relativistic


def sigmoid(score):
    return 1 / (1 + np.exp(-score))


def mean(values):
    return sum(values) / len(values)


FORMULAS = {  # the discriminator's loss of real and fake scores, the generator's of real and generated ones
    Minimax: (
        lambda real, fake: -mean(np.log(sigmoid(real))) - mean(np.log(1 - sigmoid(fake))),
        lambda real, generated: mean(np.log(1 - sigmoid(generated))),
    ),
    NonSaturating: (
        lambda real, fake: -mean(np.log(sigmoid(real))) - mean(np.log(1 - sigmoid(fake))),
        lambda real, generated: -mean(np.log(sigmoid(generated))),
    ),
    Hinge: (
        lambda real, fake: mean([max(0, 1 - score) for score in real]) + mean([max(0, 1 + score) for score in fake]),
        lambda real, generated: -mean(generated),
    ),
    Relativistic: (
        lambda real, fake: mean([np.log(1 + np.exp(-(r - f))) for r, f in zip(real, fake)]),
        lambda real, generated: mean([np.log(1 + np.exp(-(p - r))) for r, p in zip(real, generated)]),
    ),
}

MATCH = {"real": [1.7, -0.4, 0.9, 2.2], "generated": [0.3, -1.8, 1.1, -0.6]}
REALISM = {"real": [0.2, 1.4, -0.7, 3.1], "generated": [-1.2, 0.8, -0.1, -2.5]}
MISMATCHED = [-0.5, 1.6, 9.9, 0.4]
HAS_MISMATCH = [True, True, False, True]  # no caption is wrong for the third image


def column(scores):
    return torch.tensor(scores, dtype=torch.float64)[:, None]


def judgement(match, realism):
    features = torch.zeros(len(match), 2, 1, 1)
    return Judgement(column(match), None if realism is None else column(realism), features)


@pytest.fixture
def step(make_step):
    """Four pairs with the scores above."""
    batch = Batch(
        images=torch.zeros(4, 3, 8, 8),
        tokens=Tokens(torch.ones(4, 2, dtype=torch.long), torch.ones(4, 2, dtype=torch.bool)),
        mismatched=torch.tensor([1, 0, 2, 0]),
        has_mismatch=torch.tensor(HAS_MISMATCH),
        confusable=torch.zeros(4, 4, dtype=torch.bool),
    )
    return make_step(
        batch=batch,
        real=judgement(MATCH["real"], REALISM["real"]),
        generated=judgement(MATCH["generated"], REALISM["generated"]),
        mismatched_pairs=judgement(MISMATCHED, None),
    )


@pytest.mark.parametrize("mismatched", [True, False])
@pytest.mark.parametrize("condition", ["text", "none", "both"])
@pytest.mark.parametrize("loss", FORMULAS)
def test_a_loss_equals_its_formula(sizes, step, loss, condition, mismatched):
    discriminate, generate = FORMULAS[loss]
    wrong = np.array(MISMATCHED)[HAS_MISMATCH]
    match = {player: np.array(scores) for player, scores in MATCH.items()}
    realism = {player: np.array(scores) for player, scores in REALISM.items()}
    discriminator = generator = 0.0
    if condition in ("text", "both"):
        discriminator += discriminate(match["real"], match["generated"])
        if mismatched:
            discriminator = (discriminator + discriminate(match["real"][HAS_MISMATCH], wrong)) / 2
        generator += generate(match["real"], match["generated"])
    if condition in ("none", "both"):
        discriminator += discriminate(realism["real"], realism["generated"])
        generator += generate(realism["real"], realism["generated"])

    built = loss(sizes, condition=condition, mismatched=mismatched)
    assert built.discriminator(step).item() == pytest.approx(discriminator, rel=1e-12)
    assert built.generator(step).item() == pytest.approx(generator, rel=1e-12)


@pytest.mark.parametrize("loss", FORMULAS)
def test_without_a_mismatched_pair_the_loss_is_the_plain_one(sizes, make_step, step, loss):
    without = make_step(**vars(step) | {"batch": replace(step.batch, has_mismatch=torch.zeros(4, dtype=torch.bool))})
    assert loss(sizes).discriminator(without) == loss(sizes, mismatched=False).discriminator(step)


@pytest.mark.parametrize("loss", FORMULAS)
def test_extreme_scores_give_finite_losses_and_gradients(sizes, make_step, step, loss):
    scores = torch.tensor([[1e4], [-1e4], [0.0], [1e4]], requires_grad=True)
    extreme = Judgement(scores, None, torch.zeros(4, 2, 1, 1))
    opposite = Judgement(-scores, None, torch.zeros(4, 2, 1, 1))
    built = loss(sizes)
    extreme_step = make_step(**vars(step) | {"real": extreme, "generated": opposite, "mismatched_pairs": opposite})
    for value in (built.discriminator(extreme_step), built.generator(extreme_step)):
        assert value.isfinite()
        assert torch.autograd.grad(value, scores)[0].isfinite().all()


def test_non_saturating_is_steep_where_minimax_is_flat(sizes, make_step, step):
    sure = torch.full((4, 1), -10.0, dtype=torch.float64, requires_grad=True)  # the discriminator is confident
    confident = make_step(**vars(step) | {"generated": Judgement(sure, None, torch.zeros(4, 2, 1, 1))})
    flat, steep = (
        torch.autograd.grad(loss(sizes).generator(confident), sure)[0].abs().sum() for loss in (Minimax, NonSaturating)
    )
    assert flat < 1e-4
    assert steep > 0.99


def test_several_scores_of_an_image_are_averaged(sizes, make_step, step):
    twice = {
        name: Judgement(torch.cat([judged.match, judged.match + 1], 1), None, judged.features)
        for name, judged in (("real", step.real), ("generated", step.generated))
    }
    loss = NonSaturating(sizes, mismatched=False)
    shifted = -np.log(sigmoid(np.array([*MATCH["generated"], *(score + 1 for score in MATCH["generated"])])))
    assert loss.generator(make_step(**vars(step) | twice)).item() == pytest.approx(shifted.mean())


def test_a_missing_realism_score_is_an_error(sizes, make_step, step):
    silent = make_step(**vars(step) | {"real": judgement(MATCH["real"], None)})
    with pytest.raises(LimnerError, match=r"condition: .*realism = true"):
        Hinge(sizes, condition="both").discriminator(silent)


# --- hard mismatches ------------------------------------------------------------------------------------------------


class Reader(Discriminator):
    """A discriminator whose score is the first number of the sentence."""

    def look(self, images):
        return images[-1]

    def judge(self, features, text):
        return Judgement(text.sentence[:, :1], None, features)


@pytest.fixture
def hard(make_step, step, sizes):
    """Four images. Sentences 0 and 1 are similar, and so are 2 and 3, but caption 3 is true of image 2 as well."""
    sentence = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
    confusable = torch.zeros(4, 4, dtype=torch.bool)
    confusable[2, 3] = True
    mask = torch.ones(4, 1, dtype=torch.bool)
    wrong = torch.arange(8.0)[:, None].expand(8, 2)
    return make_step(
        **vars(step) | {"batch": replace(step.batch, confusable=confusable)},
        text=TextFeatures(sentence[:, None], sentence, mask),
        distractors=TextFeatures(wrong[:, None], wrong, torch.ones(8, 1, dtype=torch.bool)),
        real_features=torch.zeros(4, 2, 1, 1),
        conditional_discriminator=SimpleNamespace(discriminator=Reader(sizes)),
    )


def test_nearest_is_the_most_similar_caption_that_is_not_true(hard):
    judged, rows = hard.nearest_pairs
    assert rows.all()
    assert judged.match[:, 0].tolist() == pytest.approx([0.9, 1.0, 0.9, 0.0], abs=1e-6)


def test_distractors_are_taken_in_turn(hard):
    # of two distractors each: the first, the second, the first, the second
    assert hard.swapped.match[:, 0].tolist() == [0.0, 3.0, 4.0, 7.0]


@pytest.mark.parametrize("kind", ["nearest", "swapped"])
def test_hard_mismatches_are_half_of_the_fakes(sizes, hard, kind):
    wrong = [0.9, 1.0, 0.9, 0.0] if kind == "nearest" else [0.0, 3.0, 4.0, 7.0]
    discriminate, _ = FORMULAS[Hinge]
    expected = (discriminate(MATCH["real"], MATCH["generated"]) + discriminate(MATCH["real"], wrong)) / 2
    loss = Hinge(sizes, mismatched=kind)
    assert loss.reads_distractors == (kind == "swapped")
    assert loss.discriminator(hard).item() == pytest.approx(expected, rel=1e-5)


def test_data_without_distractors_has_no_word_to_swap(sizes, make_step, step):
    with pytest.raises(LimnerError, match="no word can be swapped; use mismatched = true or"):
        Hinge(sizes, mismatched="swapped").discriminator(make_step(**vars(step), distractors=None))
