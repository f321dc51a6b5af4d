"""The word-region contrast against DAMSM's equations written as loops in float64."""

import numpy as np
import pytest
import torch
from limner import Batch, Judgement, TextFeatures, Tokens
from limner_consistency.word_contrast import WordContrast
from torch.nn.functional import pad

LENGTHS = (5, 2, 4)
IMAGES = len(LENGTHS)


def text_of():
    mask = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]
    words = torch.randn(IMAGES, max(LENGTHS), 16, generator=torch.Generator().manual_seed(5))
    return TextFeatures(words * mask[..., None], words[:, 0], mask)


def judged(seed):
    features = torch.randn(IMAGES, 8, 4, 4, generator=torch.Generator().manual_seed(seed))
    return Judgement(torch.zeros(IMAGES, 1), None, features)


def batch(confusable=()):
    table = torch.zeros(IMAGES, IMAGES, dtype=torch.bool)
    for image, caption in confusable:
        table[image, caption] = True
    text = text_of()
    tokens = Tokens(text.mask.long(), text.mask)
    return Batch(torch.zeros(IMAGES, 3, 16, 16), tokens, torch.zeros(IMAGES, dtype=torch.long), ~table[0], table)


@pytest.fixture
def loss(sizes):
    torch.manual_seed(0)
    return WordContrast(sizes, width=6, attention=3.0, words=4.0, contrast=7.0)


def softmax(x):
    powers = np.exp(x - x.max())
    return powers / powers.sum()


def matching_score(loss, features, words):
    """R of one image and one caption without padding."""
    weights = {name: value.detach().double().numpy() for name, value in loss.named_parameters()}
    regions = features.reshape(8, -1).T @ weights["region.weight"][:, :, 0, 0].T + weights["region.bias"]
    words = words @ weights["word.weight"].T + weights["word.bias"]
    agreement = words @ regions.T
    over_words = np.stack([softmax(agreement[:, p]) for p in range(len(regions))], 1)
    total = 0.0
    for t, word in enumerate(words):
        attended = softmax(3.0 * over_words[t]) @ regions
        total += np.exp(4.0 * attended @ word / np.linalg.norm(attended) / np.linalg.norm(word))
    return np.log(total) / 4.0


@pytest.mark.parametrize("confusable", [[], [(0, 2)]], ids=["all different", "one confusable"])
def test_the_loss_equals_its_formula(make_step, loss, confusable):
    text = text_of()
    captions = [text.words[j, :length] for j, length in enumerate(LENGTHS)]
    step = make_step(batch=batch(confusable), text=text, real=judged(1), generated=judged(2))
    for value, judgement in ((loss.discriminator(step), step.real), (loss.generator(step), step.generated)):
        table = np.array(
            [
                [
                    matching_score(loss, judgement.features[i].double().numpy(), words.double().numpy())
                    for words in captions
                ]
                for i in range(IMAGES)
            ]
        )
        table[tuple(zip(*confusable))] = -np.inf if confusable else table[()]
        rows = [np.log(softmax(7.0 * table[i])[i]) for i in range(IMAGES)]
        columns = [np.log(softmax(7.0 * table[:, i])[i]) for i in range(IMAGES)]
        assert value.item() == pytest.approx(-(np.mean(rows) + np.mean(columns)) / 2, rel=1e-4)


@torch.no_grad()
def test_the_score_is_of_the_own_caption_without_padding(make_step, loss):
    text, real = text_of(), judged(1)
    longer = TextFeatures(pad(text.words, (0, 0, 0, 3)), text.sentence, pad(text.mask, (0, 3)))
    scores, padded = (loss.score(make_step(text=t, real=real)) for t in (text, longer))
    torch.testing.assert_close(scores, padded)
    for i, length in enumerate(LENGTHS):
        expected = matching_score(loss, real.features[i].double().numpy(), text.words[i, :length].double().numpy())
        assert scores[i].item() == pytest.approx(expected, rel=1e-4)


def test_gradients_reach_image_words_and_every_weight(make_step, loss):
    text, judgement = text_of(), judged(1)
    text.words.requires_grad_()
    judgement.features.requires_grad_()
    value = loss.generator(make_step(batch=batch(), text=text, generated=judgement))
    gradients = torch.autograd.grad(value, [judgement.features, text.words, *loss.parameters()])
    assert all(gradient.abs().max() > 0 for gradient in gradients)
