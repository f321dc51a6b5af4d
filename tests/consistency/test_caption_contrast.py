"""The contrast of captions against InfoNCE written as loops, and whom it teaches."""

import numpy as np
import pytest
import torch
from limner import Batch, PluginHost, Recipe, TextFeatures, Tokens
from limner.training.loop import set_up
from limner.training.run import new_step
from limner_consistency.caption_contrast import CaptionContrast

IMAGES, WRONG = 4, 3
CONFUSABLE = [(0, 2), (3, 1)]  # caption 2 is true of image 0 too, and caption 1 of image 3


def features(rows, seed):
    sentence = torch.randn(rows, 16, generator=torch.Generator().manual_seed(seed))
    return TextFeatures(torch.zeros(rows, 2, 16), sentence, torch.ones(rows, 2, dtype=torch.bool))


def batch(confusable):
    table = torch.zeros(IMAGES, IMAGES, dtype=torch.bool)
    for image, caption in confusable:
        table[image, caption] = True
    tokens = Tokens(torch.ones(IMAGES, 2, dtype=torch.long), torch.ones(IMAGES, 2, dtype=torch.bool))
    return Batch(torch.zeros(IMAGES, 3, 16, 16), tokens, torch.zeros(IMAGES).long(), table.any(1), table)


@pytest.fixture
def loss(sizes):
    torch.manual_seed(0)
    return CaptionContrast(sizes, width=6, scale=5.0)


def in_loops(loss, others, captions, wrong, confusable):
    """Each other caption against the captions of the batch, and against wrong captions of its image, in float64."""

    def unit(sentence):
        point = loss.sentence.weight.detach().double().numpy() @ sentence.double().numpy()
        point += loss.sentence.bias.detach().double().numpy()
        return point / np.sqrt((point**2).sum())

    total = 0.0
    for i in range(IMAGES):
        other = unit(others.sentence[i])
        candidates = [unit(captions.sentence[j]) for j in range(IMAGES) if (i, j) not in confusable]
        if wrong is not None:
            candidates += [unit(wrong.sentence[WRONG * i + n]) for n in range(WRONG)]
        among = sum(np.exp(loss.scale * other @ candidate) for candidate in candidates)
        total -= np.log(np.exp(loss.scale * other @ unit(captions.sentence[i])) / among)
    return total / IMAGES


@pytest.mark.parametrize("confusable", [[], CONFUSABLE], ids=["all different", "two confusable"])
@pytest.mark.parametrize("distracted", [False, True], ids=["no distractors", "distractors"])
def test_it_is_info_nce(make_step, loss, distracted, confusable):
    text, others = features(IMAGES, 1), features(IMAGES, 2)
    wrong = features(IMAGES * WRONG, 3) if distracted else None
    step = make_step(batch=batch(confusable), text=text, other_captions=others, distractors=wrong)
    assert loss.discriminator(step).item() == pytest.approx(in_loops(loss, others, text, wrong, confusable), rel=1e-5)


def test_the_generator_learns_nothing_from_it(make_step, loss):
    assert loss.generator(make_step()) is None


def teach(**data):
    """Networks with the gradients of the loss for a first batch, and that step."""
    plugins = PluginHost()
    table = {
        "image_size": 16,
        "data": {"name": "scenes", "count": 64, **data},
        "encoder": {"name": "phrase", "width": 16},
        "generator": {"name": "convolutional", "channels": [8, 8], "noise": 8},
        "discriminator": {"name": "convolutional", "channels": [8, 8, 8], "head": 8},
        "losses": {"caption-contrast": {}},
        "training": {"steps": 1},
    }
    run = set_up(plugins, Recipe.read(plugins, table))
    step = new_step(run, next(iter(run.batches)), torch.zeros(32, 8))
    value = run.networks.named_losses()["caption-contrast"].discriminator(step)
    assert value is not None
    value.backward()
    return run.networks, step


def test_it_teaches_the_encoder_and_no_other_network():
    networks, _ = teach(wordings=8)
    encoder, discriminator = networks.conditional_generator.encoder, networks.conditional_discriminator
    assert all(weight.grad is not None and weight.grad.any() for weight in encoder.parameters())
    assert discriminator is not None
    others = (networks.conditional_generator.generator, discriminator.discriminator)
    assert all(weight.grad is None for part in others for weight in part.parameters())


def test_images_with_one_caption_still_teach_it_what_is_wrong():
    """The other caption is then the caption itself, and the wrong captions are left to tell apart."""
    networks, step = teach(wordings=1)
    assert torch.equal(step.other_captions.sentence, step.text.sentence)
    encoder = networks.conditional_generator.encoder
    assert any(weight.grad is not None and weight.grad.any() for weight in encoder.parameters())


def test_a_batch_without_other_captions_takes_the_captions(make_step):
    text = features(IMAGES, 1)
    assert make_step(batch=batch([]), text=text).other_captions is text
