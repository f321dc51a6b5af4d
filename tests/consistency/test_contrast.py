"""The sentence-image contrast against InfoNCE written as loops."""

import numpy as np
import pytest
import torch
from limner import Batch, Judgement, TextFeatures, Tokens
from limner_consistency.contrast import SentenceContrast

IMAGES, DISTRACTORS = 4, 3
CONFUSABLE = [(0, 2), (3, 1)]  # caption 2 is true of image 0 too, and caption 1 of image 3


def features(rows, seed):
    random = torch.Generator().manual_seed(seed)
    sentence = torch.randn(rows, 16, generator=random)
    return TextFeatures(torch.zeros(rows, 2, 16), sentence, torch.ones(rows, 2, dtype=torch.bool))


def judged(seed):
    random = torch.Generator().manual_seed(seed)
    return Judgement(torch.zeros(IMAGES, 1), None, torch.randn(IMAGES, 8, 4, 4, generator=random))


def batch(confusable):
    table = torch.zeros(IMAGES, IMAGES, dtype=torch.bool)
    for image, caption in confusable:
        table[image, caption] = True
    return Batch(
        images=torch.zeros(IMAGES, 3, 16, 16),
        tokens=Tokens(torch.ones(IMAGES, 2, dtype=torch.long), torch.ones(IMAGES, 2, dtype=torch.bool)),
        mismatched=torch.zeros(IMAGES, dtype=torch.long),
        has_mismatch=torch.ones(IMAGES, dtype=torch.bool),
        confusable=table,
    )


@pytest.fixture
def loss(sizes):
    torch.manual_seed(0)
    return SentenceContrast(sizes, width=6, scale=5.0)


def unit(linear, vector):
    """W x + b, of length 1."""
    point = linear.weight.detach().double().numpy() @ vector + linear.bias.detach().double().numpy()
    return point / np.sqrt((point**2).sum())


def info_nce(loss, judgement, text, distractors, confusable):
    """Each image against the captions and its distractors; each caption against the images."""
    images = [unit(loss.image, map_.double().numpy().ravel()) for map_ in judgement.features]
    captions = [unit(loss.sentence, sentence.double().numpy()) for sentence in text.sentence]
    wrong = [unit(loss.sentence, sentence.double().numpy()) for sentence in distractors.sentence] if distractors else []
    total = 0.0
    for i in range(IMAGES):
        right = np.exp(loss.scale * images[i] @ captions[i])
        among_captions = among_images = 0.0
        for j in range(IMAGES):
            if (i, j) not in confusable:
                among_captions += np.exp(loss.scale * images[i] @ captions[j])
            if (j, i) not in confusable:
                among_images += np.exp(loss.scale * images[j] @ captions[i])
        for k in range(DISTRACTORS if wrong else 0):
            among_captions += np.exp(loss.scale * images[i] @ wrong[DISTRACTORS * i + k])
        total -= np.log(right / among_captions) / 2 + np.log(right / among_images) / 2
    return total / IMAGES


@pytest.mark.parametrize("confusable", [[], CONFUSABLE], ids=["all different", "two confusable"])
@pytest.mark.parametrize("distracted", [False, True], ids=["no distractors", "distractors"])
def test_the_contrast_is_info_nce_in_both_directions(make_step, loss, distracted, confusable):
    text, distractors = features(IMAGES, 1), features(IMAGES * DISTRACTORS, 2) if distracted else None
    step = make_step(batch=batch(confusable), text=text, distractors=distractors, real=judged(3), generated=judged(4))
    for value, judgement in ((loss.discriminator(step), step.real), (loss.generator(step), step.generated)):
        assert value.item() == pytest.approx(info_nce(loss, judgement, text, distractors, confusable), rel=1e-5)


def test_a_confusable_caption_gives_no_gradient(make_step, loss):
    text = features(IMAGES, 1)
    text.sentence.requires_grad_()
    only_own = [(i, j) for i in range(IMAGES) for j in range(IMAGES) if i != j]
    step = make_step(batch=batch(only_own), text=text, distractors=None, real=judged(3))
    value = loss.discriminator(step)
    assert value.item() == 0, "there is no other candidate"
    assert torch.autograd.grad(value, text.sentence)[0].abs().max() == 0
