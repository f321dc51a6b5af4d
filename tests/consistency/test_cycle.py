"""The captioner and cycle consistency: against the formula written as loops; what they depend on; gradients."""

import numpy as np
import pytest
import torch
from limner import Batch, Judgement, LimnerError, Tokens
from limner_consistency.captioner import Captioner
from limner_consistency.cycle import CycleConsistency
from torch.nn.functional import pad

IMAGES, WIDTH, HEADS = 3, 6, 2
LENGTHS = (5, 3, 4)


@pytest.fixture
def loss(sizes):
    torch.manual_seed(0)
    return CycleConsistency(sizes, width=WIDTH, heads=HEADS)


def captions(seed=0):
    mask = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]
    ids = torch.randint(1, 50, mask.shape, generator=torch.Generator().manual_seed(seed))
    return Tokens(ids * mask, mask)


def judged(seed):
    return Judgement(
        torch.zeros(IMAGES, 1), None, torch.randn(IMAGES, 8, 4, 4, generator=torch.Generator().manual_seed(seed))
    )


def batch(tokens):
    no = torch.zeros(IMAGES, IMAGES, dtype=torch.bool)
    return Batch(torch.zeros(IMAGES, 3, 16, 16), tokens, torch.zeros(IMAGES, dtype=torch.long), no[0], no)


def leaky(x):
    return np.where(x > 0, x, 0.2 * x)


def softmax(x):
    powers = np.exp(x - x.max())
    return powers / powers.sum()


def log_likelihood(captioner, features, words):
    """log p(caption | image), word by word, region by region, in float64."""
    w = {name: value.detach().double().numpy() for name, value in captioner.named_parameters()}
    conv = w["regions.weight"][:, :, 0, 0]
    regions = np.array(
        [
            conv @ features[:, y, x] + w["regions.bias"] + w["places"][:, y, x]
            for y in range(features.shape[1])
            for x in range(features.shape[2])
        ]
    )
    keys, values = regions[:, :WIDTH], regions[:, WIDTH:]
    size, total = WIDTH // HEADS, 0.0
    for t, word in enumerate(words):
        history = w["position"][t].copy()
        for s in range(t):
            history += w["embedding.weight"][words[s]] @ w["memory"][s]
        history = leaky(history)
        query = w["query.weight"] @ history + w["query.bias"]
        attended = np.zeros(WIDTH)
        for head in range(HEADS):
            own = slice(head * size, (head + 1) * size)
            weights = softmax(keys[:, own] @ query[own] / size**0.5)
            attended[own] = weights @ values[:, own]
        gate = 1 + w["gate.weight"] @ history + w["gate.bias"]
        logits = w["output.weight"] @ leaky(gate * attended + history) + w["output.bias"]
        total += np.log(softmax(logits)[word])
    return total


def test_the_loss_is_the_cross_entropy_of_the_caption(make_step, loss):
    tokens = captions()
    step = make_step(batch=batch(tokens), real=judged(1), generated=judged(2))
    for value, judgement in ((loss.discriminator(step), step.real), (loss.generator(step), step.generated)):
        expected = [
            log_likelihood(loss.captioner, judgement.features[i].double().numpy(), tokens.ids[i, :length].tolist())
            for i, length in enumerate(LENGTHS)
        ]
        assert value.item() == pytest.approx(-np.mean(expected), rel=1e-5)


@torch.no_grad()
def test_padding_and_other_captions_have_no_influence(make_step, loss):
    tokens, judgement = captions(), judged(1)
    logits = loss.captioner(judgement.features, tokens)
    longer = Tokens(pad(tokens.ids, (0, 3)), pad(tokens.mask, (0, 3)))
    torch.testing.assert_close(loss.captioner(judgement.features, longer)[:, : max(LENGTHS)], logits)
    value, padded = (loss.nats(make_step(batch=batch(t)), judgement.features) for t in (tokens, longer))
    torch.testing.assert_close(value, padded)
    torch.testing.assert_close(loss.captioner(judgement.features[1:2], tokens[1:2])[0], logits[1])


@torch.no_grad()
def test_a_word_depends_on_the_image_and_earlier_words_only(loss):
    tokens, features = captions(), judged(1).features
    logits = loss.captioner(features, tokens)
    changed = Tokens(tokens.ids.clone(), tokens.mask)
    changed.ids[0, 2] = 1 + changed.ids[0, 2] % 49
    after = loss.captioner(features, changed)
    torch.testing.assert_close(after[0, :3], logits[0, :3])
    assert (after[0, 3:] - logits[0, 3:]).abs().amax(1).min() > 1e-4
    assert (loss.captioner(judged(2).features, tokens) - logits).abs().amax(2).min() > 1e-4


@torch.no_grad()
def test_decoding_is_greedy(make_step, loss):
    read = loss.read(make_step(real=judged(1)))
    assert read.shape == (IMAGES, 12)
    logits = loss.captioner(judged(1).features, Tokens(read, torch.ones_like(read, dtype=torch.bool)))
    assert torch.equal(logits.argmax(2), read)


@torch.no_grad()
def test_the_score_is_the_mean_log_likelihood_of_a_token(make_step, loss):
    tokens, real = captions(), judged(1)
    scores = loss.score(make_step(batch=batch(tokens), real=real))
    for i, length in enumerate(LENGTHS):
        words = tokens.ids[i, :length].tolist()
        expected = log_likelihood(loss.captioner, real.features[i].double().numpy(), words) / length
        assert scores[i].item() == pytest.approx(expected, rel=1e-5)


def test_gradients_reach_the_image_and_every_weight(make_step, loss):
    judgement = judged(1)
    judgement.features.requires_grad_()
    value = loss.generator(make_step(batch=batch(captions()), generated=judgement))
    gradients = torch.autograd.grad(value, [judgement.features, *loss.parameters()])
    assert all(gradient.abs().max() > 0 for gradient in gradients)


def test_heads_that_do_not_divide_the_width_are_refused(sizes):
    with pytest.raises(LimnerError, match="heads: 4 heads do not divide the captioner's width 6"):
        Captioner(sizes, width=6, heads=4)
