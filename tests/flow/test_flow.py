"""Flow matching against its equations, computed by hand in double precision."""

from math import log
from types import SimpleNamespace

import pytest
import torch
from limner import LimnerError, Sizes, Slot, TextFeatures
from limner.shared_rows import AllRows
from limner.types import Batch, Tokens
from limner_attention.spatial import SpatialAttention
from limner_flow.flow import between, grid, guided, solve, velocity_towards, without_text
from limner_flow.loss import FlowMatching
from limner_flow.unet import FlowUNet

SIZES = Sizes(image=16, vocabulary=50, length=12, text=16)
ROUNDING = 1e-5
"""Pixels are made in single precision."""


def images(rows=3, seed=0, size=16):
    return torch.randn(rows, 3, size, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def text_of(rows, seed=0, padding=0):
    random = torch.Generator().manual_seed(seed)
    words = torch.randn(rows, 5, 16, generator=random, dtype=torch.float64)
    mask = torch.arange(5 + padding).expand(rows, -1) < 5
    return TextFeatures(torch.cat([words, words.new_zeros(rows, padding, 16)], 1), words.mean(1), mask)


@pytest.fixture
def unet():
    """A small generator in double precision, with attention to the words."""
    torch.manual_seed(0)
    attention = Slot([(SpatialAttention, [2], {"width": 8})])
    return FlowUNet(SIZES, channels=[8, 8], mapping=16, steps=3, shift=3.0, attention=attention).double()


def noise_for(unet, rows=3, seed=0):
    random = torch.Generator().manual_seed(seed)
    return torch.randn(rows, unet.noise_width, generator=random, dtype=torch.float64)


# --- the path and the solver ----------------------------------------------------------------------------------------


def test_the_path_is_a_straight_line():
    noise, real = images(2), images(2, seed=1)
    path = between(noise, real, torch.tensor([0.25, 1.0], dtype=torch.float64))
    assert torch.allclose(path[0], 0.75 * noise[0] + 0.25 * real[0])
    assert torch.equal(path[1], real[1])


def test_the_velocity_of_the_path_is_image_minus_noise():
    noise, real, times = images(), images(seed=1), torch.tensor([0.0, 0.3, 0.9], dtype=torch.float64)
    assert torch.allclose(velocity_towards(real, between(noise, real, times), times), real - noise)


def test_a_step_of_euler_and_of_heun():
    """For dx/dt = a x, a step multiplies by 1 + ha, or by 1 + ha + (ha)^2 / 2."""
    start, a, h = images(), 0.7, 0.4
    euler, heun = (solve(lambda x, t: a * x, start, [0.0, h], method) for method in ("euler", "heun"))
    assert torch.allclose(euler, (1 + a * h) * start)
    assert torch.allclose(heun, (1 + a * h + (a * h) ** 2 / 2) * start)


def test_heun_is_of_second_order_and_euler_of_first():
    start, exact = images(1), images(1) * torch.tensor(0.5, dtype=torch.float64).exp()

    def error(method, steps):
        return (solve(lambda x, t: x, start, [0.5 * n / steps for n in range(steps + 1)], method) - exact).abs().max()

    assert 1.7 < error("euler", 8) / error("euler", 16) < 2.3
    assert 3.4 < error("heun", 8) / error("heun", 16) < 4.6


@pytest.mark.parametrize("method", ["euler", "heun"])
@pytest.mark.parametrize("steps", [1, 3, 10])
def test_a_straight_flow_is_exact_with_any_number_of_steps(method, steps):
    """Towards one image, every noise moves on a straight line, at constant speed."""
    start, target = images(), images(seed=1)
    reached = solve(lambda x, t: velocity_towards(target, x, t), start, grid(steps, 1.0), method)
    late = [time for time in grid(steps, 1.0)[:-1] if time > 0.95]
    assert not late
    assert torch.allclose(reached, target)
    assert torch.allclose(solve(lambda x, t: torch.ones_like(x), start, grid(steps, 3.0), method), start + 1)


def test_the_times_of_the_solver():
    assert grid(4, 1.0) == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert grid(2, 3.0) == [0.0, 0.25, 1.0]


# --- guidance -------------------------------------------------------------------------------------------------------


def test_guidance_is_linear():
    told, untold = images(), images(seed=1)
    assert torch.equal(guided(told, untold, 0.0), untold)
    assert torch.allclose(guided(told, untold, 1.0), told)
    assert torch.allclose(guided(told, untold, 2.5), 2.5 * told - 1.5 * untold)


def test_the_generator_guides_away_from_no_text(unet):
    x, times, text = images(), torch.tensor([0.1, 0.4, 0.8], dtype=torch.float64), text_of(3)
    unet.guidance = 1.0
    told = unet.velocity(x, times, text)
    untold = unet.velocity(x, times, without_text(text, torch.ones(3, dtype=torch.bool)))
    unet.guidance = 2.5
    assert torch.allclose(unet.velocity(x, times, text), 2.5 * told - 1.5 * untold, atol=ROUNDING)


def test_without_text_captions_are_alike():
    rows = torch.tensor([True, False, True])
    text, changed = text_of(3), without_text(text_of(3), rows)
    assert not changed.sentence[rows].any()
    assert not changed.words[rows].any()
    assert changed.mask[rows].sum(1).tolist() == [1, 1]
    assert torch.equal(changed.words[1], text.words[1])
    assert torch.equal(changed.mask[1], text.mask[1])


# --- the generator --------------------------------------------------------------------------------------------------


def test_a_forward_pass_solves_the_equation(unet):
    noise, text = noise_for(unet), text_of(3)
    x = noise[:, :-2].reshape(3, 3, 16, 16)
    for now, following in ((0.0, 1 / 7), (1 / 7, 0.4), (0.4, 1.0)):  # u = 0, 1/3, 2/3, 1 with the shift 3
        x = x + (following - now) * unet.velocity(x, torch.full((3,), now, dtype=torch.float64), text)
    with torch.no_grad():
        assert torch.allclose(unet(noise, text)[0], x.clamp(-1, 1), atol=ROUNDING)


def test_the_last_two_numbers_of_the_noise_paint_nothing(unet):
    noise, text = noise_for(unet), text_of(3)
    other = torch.cat([noise[:, :-2], noise[:, -2:] + 1], 1)
    assert torch.equal(unet(noise, text)[0], unet(other, text)[0])


def test_padding_has_no_influence(unet):
    noise = noise_for(unet)
    assert torch.allclose(unet(noise, text_of(3))[0], unet(noise, text_of(3, padding=4))[0], atol=ROUNDING)


def test_patches_that_do_not_fit_are_told():
    with pytest.raises(LimnerError, match="multiple of 32, and it is 16; use fewer levels or smaller patches"):
        FlowUNet(SIZES, channels=[8, 8, 8, 8])


# --- the loss -------------------------------------------------------------------------------------------------------


@pytest.fixture
def step(unet, make_step):
    """A step with real images and a text that is already encoded."""
    none = torch.zeros(3, dtype=torch.bool)
    tokens = Tokens(torch.ones(3, 5, dtype=torch.long), torch.ones(3, 5, dtype=torch.bool))
    batch = Batch(images(seed=1).tanh(), tokens, none.long(), none, none.expand(3, 3))
    text = text_of(3)
    text.sentence.requires_grad_()
    generator = SimpleNamespace(generator=unet)
    return make_step(conditional_generator=generator, batch=batch, noise=noise_for(unet), text=text, rows=AllRows())


def test_the_loss_is_the_squared_error_of_the_velocity(unet, step):
    loss = FlowMatching(SIZES, drop=0.0)
    times, expected = loss.times(step.noise), []
    for row, time in enumerate(times):
        noise, real = step.noise[row, :-2].reshape(1, 3, 16, 16), step.batch.images[row : row + 1]
        x = (1 - time) * noise + time * real
        estimate = unet.estimate(x, time[None], step.text[row : row + 1])
        expected.append(((estimate - x) / (1 - time) - (real - noise)).square().mean())
    assert times.max() < 0.95
    assert torch.allclose(loss.generator(step), torch.stack(expected).mean(), atol=ROUNDING)


def test_gradients_reach_every_weight_and_the_sentence(unet, step):
    FlowMatching(SIZES).generator(step).backward()
    assert [name for name, weight in unet.named_parameters() if weight.grad is None or not weight.grad.any()] == []
    assert step.text.sentence.grad.any()


def test_the_times_are_spread_over_a_logit_normal_distribution():
    noise = torch.randn(1000, 8, dtype=torch.float64)
    logits = torch.logit(FlowMatching(SIZES, shift=4.0).times(noise))
    parts = torch.special.ndtr(logits + log(4.0)) * 1000
    assert torch.equal(parts.floor(), torch.arange(1000, dtype=torch.float64))


def test_captions_are_dropped_as_often_as_asked_for():
    noise = torch.randn(20_000, 8, generator=torch.Generator().manual_seed(0))
    assert not FlowMatching(SIZES, drop=0.0).dropped(noise).any()
    share = FlowMatching(SIZES, drop=0.1).dropped(noise).double().mean().item()
    assert share == pytest.approx(0.1, abs=4 * (0.09 / 20_000) ** 0.5)


def test_a_dropped_caption_has_no_influence_on_the_loss(step):
    loss = FlowMatching(SIZES, drop=0.5)
    step.noise[:, -1] = -3.0
    before = loss.generator(step)
    step.text = text_of(3, seed=7)
    assert torch.equal(loss.generator(step), before)


def test_another_generator_is_refused(step, make_step):
    other = make_step(conditional_generator=SimpleNamespace(generator=torch.nn.Identity()))
    with pytest.raises(LimnerError, match=r"needs a generator with a velocity; use generator\.name = 'flow-unet'"):
        FlowMatching(SIZES).generator(other)
