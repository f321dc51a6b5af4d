"""Mode seeking and conditioning augmentation against their formulas."""

import limner
import numpy as np
import pytest
import torch
from limner import LimnerError, TextFeatures
from limner.layers import ConditioningAugmentation
from limner_baseline.generator import ConvolutionalGenerator
from limner_diversity.conditioning import ConditioningDivergence
from limner_diversity.mode_seeking import ModeSeeking


@pytest.fixture
def text():
    return TextFeatures(torch.randn(4, 5, 16), torch.randn(4, 16), torch.ones(4, 5, dtype=torch.bool))


def small(sizes, **options):
    torch.manual_seed(0)
    return ConvolutionalGenerator(sizes, channels=[8, 8], noise=8, **options)


class GeneratorOnly(torch.nn.Module):
    """The `conditional_generator` of a step, without an encoder."""

    def __init__(self, generator):
        super().__init__()
        self.generator = generator


def test_mode_seeking_is_the_ratio_of_distances(sizes, make_step, text):
    generator = small(sizes)
    noise = torch.randn(4, 8)
    images = generator(noise, text)
    step = make_step(noise=noise, text=text, generated_images=images, conditional_generator=GeneratorOnly(generator))
    loss = ModeSeeking(sizes, least=0.02).generator(step)
    with torch.no_grad():
        others = generator(torch.stack([noise[3], noise[0], noise[1], noise[2]]), text)[-1].double().numpy()
    first, z = images[-1].detach().double().numpy(), noise.double().numpy()
    by_hand = np.mean([np.abs(z[i - 1] - z[i]).mean() / (np.abs(others[i] - first[i]).mean() + 0.02) for i in range(4)])
    assert loss.item() == pytest.approx(by_hand, rel=1e-4)
    loss.backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in generator.parameters())


def test_a_generator_that_ignores_its_noise_has_the_highest_loss(sizes, make_step, text):
    noise = torch.randn(4, 8)

    def loss(generator):
        step = make_step(
            noise=noise,
            text=text,
            generated_images=generator(noise, text),
            conditional_generator=GeneratorOnly(generator),
        )
        return ModeSeeking(sizes).generator(step).item()

    identical = loss(lambda noise, text: [torch.zeros(4, 3, 16, 16)])
    assert identical == pytest.approx((noise.roll(1, 0) - noise).abs().mean().item() / 0.01, rel=1e-5)
    assert loss(lambda noise, text: [noise[:, :3, None, None].expand(-1, -1, 16, 16)]) < identical


def test_the_divergence_is_that_of_two_gaussians(sizes, make_step, text):
    generator = small(sizes, augmentation=6)
    step = make_step(text=text, conditional_generator=GeneratorOnly(generator))
    augment = generator.augment
    assert isinstance(augment, ConditioningAugmentation)
    mean = augment.mean(text.sentence).detach().double()
    deviation = (augment.log_variance(text.sentence).detach().double() / 2).exp()
    normal = torch.distributions.Normal
    by_hand = torch.distributions.kl_divergence(normal(mean, deviation), normal(torch.zeros(6), torch.ones(6)))
    assert ConditioningDivergence(sizes).generator(step).item() == pytest.approx(by_hand.sum(1).mean().item(), rel=1e-5)
    with pytest.raises(LimnerError, match=r"no conditioning augmentation; set generator.augmentation to a width"):
        ConditioningDivergence(sizes).generator(make_step(text=text, conditional_generator=GeneratorOnly(small(sizes))))


def test_augmentation_samples_around_the_sentence(sizes, text):
    generator = small(sizes, augmentation=6)
    assert generator.noise_width == 14
    noise = torch.randn(4, 14)
    moved = noise.clone()
    moved[:, 8:] += 1
    assert not torch.equal(generator(noise, text)[-1], generator(moved, text)[-1])
    augment = ConditioningAugmentation(16, 6)
    drawn = augment(text.sentence[:1].expand(4000, -1), torch.randn(4000, 6))
    deviation = (augment.log_variance(text.sentence[:1]) / 2).exp()
    assert torch.allclose(drawn.mean(0), augment.mean(text.sentence[0]), atol=0.1)
    assert torch.allclose(drawn.std(0), deviation[0], rtol=0.1)


def test_noise_at_the_input_does_not_reach_the_levels(sizes, text):
    noise = torch.randn(4, 8)

    def conditions_of(generator):
        """What the first level is modulated by, for two noises."""
        conditions = []
        hook = generator.levels[0].modulate.affine.register_forward_hook(lambda _, args, __: conditions.append(args[0]))
        images = [generator(some, text)[-1] for some in (noise, noise.roll(1, 0))]
        hook.remove()
        assert not torch.equal(*images)
        return conditions

    assert torch.equal(*conditions_of(small(sizes, noise_at="input")))
    assert not torch.equal(*conditions_of(small(sizes)))


def test_a_recipe_can_use_all_of_them(recipe):
    recipe["generator"] |= {"augmentation": 4, "noise_at": "input"}
    recipe["losses"] |= {"mode-seeking": {"weight": 0.1}, "conditioning-divergence": {"weight": 0.1}}
    model = limner.train(recipe, quiet=True, overrides=["training.steps=12"])
    row = model.history[-1]
    assert row["mode-seeking/generator"] > 0
    assert row["conditioning-divergence/generator"] > 0
    assert model.sample(["a red circle above a blue square"], seed=0).isfinite().all()
