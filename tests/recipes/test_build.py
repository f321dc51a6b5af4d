"""Every bundled component, built into a small model: gradients reach all of its parameters."""

import pytest
import torch
from limner import PluginHost, Recipe, Tokens
from limner.training import loop as training
from limner.training.loop import set_up

BUNDLED = PluginHost()
TOKENS = Tokens(torch.tensor([[2, 9, 8, 7, 3], [2, 5, 6, 3, 0]]), torch.tensor([[True] * 5, [True] * 4 + [False]]))

STAGES = "generator.stages=[{name='initial', size=8, channels=[8, 8]}, {name='refinement', channels=8}]"
NEEDED = {  # to be of any use
    "staged": [STAGES],
    "scale-consistency": ["generator.name=staged", STAGES],
    "color-consistency": ["generator.name=staged", STAGES],
    "dcgan": ["generator.channels=[16, 8]"],
    "deep-fusion": ["generator.channels=[16, 8]"],
    "spatial-fusion": ["generator.channels=[16, 8]"],
    "r3gan": ["generator.channels=[16, 16]"],
    "adaptive-kernels": ["generator.channels=[16, 8]"],
    "flow-matching": ["generator={name='flow-unet', channels=[8, 8]}"],
    "conditioning-divergence": ["generator.augmentation=4", "losses.non-saturating={}"],
}
NEEDED_BY_DISCRIMINATOR = {
    "dcgan": ["discriminator.channels=[8, 16]"],
    "r3gan": ["discriminator.channels=[16, 16]"],
}
LOOKS_ITSELF = {"damsm"}
"""Losses with a network of their own for images, which do not read the discriminator's features."""

READS_TEXT_ONLY = {"caption-contrast"}

ENCODERS = [name for name in BUNDLED.components("encoder") if name != "pretrained"]  # that one needs a model

VARIATIONS = {
    **{f"encoder {name}": [f"encoder={{name='{name}', width=16}}"] for name in ENCODERS},
    **{
        f"generator {name}": [f"generator.name={name}", *NEEDED.get(name, [])]
        for name in BUNDLED.components("generator")
    },
    **{
        f"discriminator {name}": [f"discriminator.name={name}", *NEEDED_BY_DISCRIMINATOR.get(name, [])]
        for name in BUNDLED.components("discriminator")
        if name != "clip"  # that one needs a model
    },
    **{f"attention {name}": [f"generator.attention={name}"] for name in BUNDLED.components("attention")},
    "residual generator": ["generator.residual=true"],
    "conditioning augmentation": ["generator.augmentation=4"],
    "noise at the input": ["generator.noise_at=input"],
    "realism": ["discriminator.realism=true", "losses.non-saturating.condition=both"],
}


def without_gradient(part: torch.nn.Module, loss: torch.Tensor) -> list[str]:
    """Names of the parameters that get no gradient from a loss, or nothing but zeros."""
    names, weights = zip(*part.named_parameters())
    gradients = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)
    return [name for name, gradient in zip(names, gradients) if gradient is None or not gradient.abs().sum() > 0]


def of_words_only(encoder: torch.nn.Module) -> list[str]:
    """Names of the parameters that speak of the words and not of the sentence: without attention nobody listens."""
    names, weights = zip(*encoder.named_parameters())
    gradients = torch.autograd.grad(encoder(TOKENS).sentence.sum(), weights, allow_unused=True)
    return [name for name, gradient in zip(names, gradients) if gradient is None]


def first_step(recipe, overrides=()):
    """The networks of a recipe, and what both players minimize at the first step."""
    plugins = PluginHost()
    run = set_up(plugins, Recipe.read(plugins, recipe, overrides))
    for weight in run.networks.parameters():
        if weight.requires_grad and not weight.any():  # it starts at 0, and what is before it gets no gradient yet
            torch.nn.init.normal_(weight, std=0.1)
    batch = next(iter(run.batches))
    step = training.new_step(run, batch, torch.randn(len(batch), run.networks.sizes.noise))
    judge_loss, painter_loss = (
        training.losses_of_step(run, step, player)[0] for player in ("discriminator", "generator")
    )
    return run.networks, judge_loss, painter_loss


@pytest.mark.parametrize("overrides", VARIATIONS.values(), ids=VARIATIONS)
def test_gradients_reach_every_parameter(recipe, overrides):
    del recipe["losses"]["hinge"]  # flat enough for the gradients of two pairs to cancel exactly in a bias
    recipe["losses"]["non-saturating"] = {}
    networks, judge_loss, painter_loss = first_step(recipe, overrides)
    judging = networks.conditional_discriminator
    assert judging is not None
    unread = of_words_only(judging.encoder)
    assert set(without_gradient(judging, judge_loss)) == {f"encoder.{name}" for name in unread}
    assert without_gradient(networks.conditional_generator.generator, painter_loss) == []
    assert without_gradient(networks.losses, judge_loss) == []


@pytest.mark.parametrize("name", ENCODERS)
def test_words_and_sentence_reach_every_encoder_parameter(sizes, name):
    encoder = BUNDLED.load("encoder", name)(sizes, width=16)
    text = encoder(TOKENS)
    torch.manual_seed(0)
    assert (
        without_gradient(
            encoder, (text.words * torch.randn(2, 5, 16)).sum() + (text.sentence * torch.randn(2, 16)).sum()
        )
        == []
    )


@pytest.mark.parametrize("name", BUNDLED.components("loss"))
def test_each_loss_moves_those_whom_it_concerns(recipe, name):
    networks, judge_loss, painter_loss = first_step(recipe | {"losses": {name: {}}}, NEEDED.get(name, []))
    loss = networks.losses[name]
    assert judge_loss.requires_grad or painter_loss.requires_grad
    if judge_loss.requires_grad and name not in LOOKS_ITSELF | READS_TEXT_ONLY:
        judging = networks.conditional_discriminator
        assert judging is not None
        pixels = next(judging.discriminator.parameters())  # the weights that see the image first
        assert torch.autograd.grad(judge_loss, pixels, retain_graph=True)[0].abs().sum() > 0
    if painter_loss.requires_grad:
        assert without_gradient(networks.conditional_generator.generator, painter_loss) == []
    if list(loss.parameters()):
        assert without_gradient(loss, judge_loss) == []


def test_both_players_share_the_encoder_the_discriminator_trains(recipe):
    plugins = PluginHost()
    run = set_up(plugins, Recipe.read(plugins, recipe))
    networks, batch = run.networks, next(iter(run.batches))
    assert networks.conditional_discriminator is not None
    assert networks.conditional_generator.encoder is networks.conditional_discriminator.encoder
    step = training.new_step(run, batch, torch.randn(len(batch), networks.sizes.noise))
    weights = list(networks.conditional_generator.encoder.parameters())
    painted = torch.autograd.grad(step.generated_images[-1].sum(), step.text.sentence, allow_unused=True)
    assert painted == (None,)  # nothing flows back from what was painted
    judge_loss, _ = training.losses_of_step(run, step, "discriminator")
    learned = torch.autograd.grad(judge_loss, weights, allow_unused=True)
    assert any(gradient is not None and gradient.abs().sum() > 0 for gradient in learned)


def test_each_part_is_told_what_the_earlier_ones_decided(recipe):
    networks, *_ = first_step(recipe)
    sizes = networks.sizes
    assert (sizes.image, sizes.text, sizes.noise, sizes.features, sizes.feature_size) == (16, 16, 8, 8, 4)
    assert sizes.length == 24
    assert sizes.vocabulary > 100
