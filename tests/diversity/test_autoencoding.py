"""Autoencoding: its formula, whose weights learn from it, and how often the images are painted again."""

import pickle
import time
from concurrent.futures import ThreadPoolExecutor
from weakref import ref

import limner
import pytest
import torch
from limner import Batch, LimnerError, Step, TextFeatures, Tokens
from limner.step import ConditionalDiscriminator, ConditionalGenerator
from limner.testing import BagOfWords, TinyDiscriminator, TinyGenerator
from limner_diversity.autoencoding import Autoencoding
from torch.nn.functional import adaptive_avg_pool2d

ROWS = 6


@pytest.fixture
def parts(sizes):
    """A tiny encoder, generator (of 8 and 16 pixels) and discriminator."""
    torch.manual_seed(0)
    return BagOfWords(sizes), TinyGenerator(sizes), TinyDiscriminator(sizes)


@pytest.fixture
def new_step(sizes, parts):
    """Makes the same step again: random images, captions and noise."""
    encoder, generator, discriminator = parts
    torch.manual_seed(1)
    tokens = Tokens(torch.randint(1, sizes.vocabulary, (ROWS, 4)), torch.ones(ROWS, 4, dtype=torch.bool))
    apart = torch.arange(ROWS).roll(1), torch.ones(ROWS, dtype=torch.bool), torch.zeros(ROWS, ROWS, dtype=torch.bool)
    batch, noise = Batch(torch.rand(ROWS, 3, 16, 16) * 2 - 1, tokens, *apart), torch.randn(ROWS, 8)

    def make():
        return Step(
            ConditionalGenerator(encoder, generator), ConditionalDiscriminator(encoder, discriminator), batch, noise
        )

    return make


@pytest.mark.parametrize(("part", "rows"), [(1.0, 6), (0.5, 3), (0.01, 1)])
def test_the_loss_is_the_error_of_the_images_plus_the_divergence(sizes, parts, new_step, part, rows):
    loss, step = Autoencoding(sizes, numbers=3, divergence=0.1, part=part), new_step()
    _, generator, discriminator = parts
    text = step.text
    with torch.no_grad():
        features = discriminator.look([step.batch.images]).double().flatten(1)
        read = features @ loss.reader.weight.double().T + loss.reader.bias.double()
        mean, deviation = read[:, :3], (read[:, 3:] / 2).exp()
        noise = step.noise.double()
        noise = torch.cat([mean + deviation * noise[:, :3], noise[:, 3:]], 1)
        images = generator.double()(noise, TextFeatures(text.words.double(), text.sentence.double(), text.mask))
    normal = torch.distributions.Normal
    divergence = torch.distributions.kl_divergence(normal(mean, deviation), normal(0.0, 1.0)).sum(1)
    real = step.batch.images.double()
    errors = [((image - adaptive_avg_pool2d(real, image.shape[-1])) ** 2)[:rows].mean() for image in images]
    expected = (errors[0] + errors[1]) / 2 + 0.1 * divergence[:rows].mean()
    generator.float()
    for side in (loss.discriminator, loss.generator):
        assert side(step).item() == pytest.approx(expected.item(), rel=1e-5)


def test_both_players_learn_from_it_and_the_encoder_does_not(sizes, parts, new_step):
    encoder, generator, discriminator = parts
    loss, step = Autoencoding(sizes), new_step()

    def gradients(value, network):
        weights = list(network.parameters())
        found = torch.autograd.grad(value, weights, retain_graph=True, allow_unused=True)
        return [gradient is not None and gradient.abs().max().item() > 0 for gradient in found]

    assert all(gradients(loss.generator(step), generator))
    assert all(gradients(loss.discriminator(step), loss))
    assert all(gradients(loss.discriminator(step), discriminator.backbone))
    for side in (loss.generator, loss.discriminator):
        assert not any(gradients(side(step), encoder))


def test_two_players_at_once_paint_the_images_once(sizes, parts, new_step):
    _, generator, _ = parts
    loss, steps, calls = Autoencoding(sizes, part=0.5), [new_step(), new_step()], []

    def slowly(_, inputs):
        time.sleep(0.05)
        calls.append(len(inputs[0]))

    generator.register_forward_pre_hook(slowly)
    for step in steps:
        _ = step.real, step.text  # as in training
        with ThreadPoolExecutor(2) as pool:
            generated, judged = (pool.submit(side, step) for side in (loss.generator, loss.discriminator))
        assert generated.result() is judged.result()
    assert calls == [3, 3]


def test_a_step_is_not_kept_and_the_loss_can_be_pickled(sizes, new_step):
    loss, step = Autoencoding(sizes), new_step()
    value = loss.generator(step)
    again = pickle.loads(pickle.dumps(loss))
    assert again.generator(step).item() == value.item()
    gone = ref(step), ref(value)
    del step, value
    assert [reference() for reference in gone] == [None, None]


def test_the_loss_falls(sizes, parts, new_step):
    _, generator, discriminator = parts
    loss = Autoencoding(sizes)
    players = [list(generator.parameters()), [*discriminator.parameters(), *loss.parameters()]]
    optimizers = [torch.optim.Adam(weights, 0.02) for weights in players]
    values = []
    for _ in range(25):
        step = new_step()
        for weights, side in zip(players, (loss.generator, loss.discriminator)):
            gradients = torch.autograd.grad(side(step), weights, retain_graph=True, allow_unused=True)
            for weight, gradient in zip(weights, gradients):
                weight.grad = gradient
        values.append(loss.generator(step).item())
        for optimizer in optimizers:
            optimizer.step()
    assert values[-1] < 0.8 * values[0]


def test_more_numbers_than_the_noise_has_are_refused(sizes):
    message = "numbers: the noise has only 8, so the generator cannot paint from 9 of them"
    with pytest.raises(LimnerError, match=message):
        Autoencoding(sizes, numbers=9)


def test_the_discriminators_term_can_be_lazy(sizes):
    assert (Autoencoding(sizes).every, Autoencoding(sizes, every=4).every) == (1, 4)


@pytest.mark.parametrize("generator", ["convolutional", "staged"])
def test_a_recipe_trains_with_it(recipe, tmp_path, generator):
    if generator == "staged":
        stages = [{"name": "initial", "size": 8, "channels": [8, 8]}, {"name": "refinement", "channels": 8}]
        recipe["generator"] = {"name": "staged", "stages": stages, "noise": 8, "grow": [0.5]}
        recipe["discriminator"] = {"name": "scales", "channels": [8, 8, 8], "meet": 8, "head": 8}
    recipe["losses"]["autoencoding"] = {"part": 0.5, "every": 2}
    recipe["training"]["steps"] = 11
    model = limner.train(recipe, tmp_path / "run", quiet=True)
    assert {"autoencoding/generator", "autoencoding/discriminator"} <= model.history[-1].keys()
    prompt = ["a red circle above a blue square"]
    assert torch.equal(limner.load(tmp_path / "run").paint_images(prompt), model.paint_images(prompt))
