"""What a training costs, measured by a few steps."""

import pytest
import torch
from limner.models.painting_cost import count_parameters
from limner.plugins import host
from limner.recipes.schema import Recipe
from limner.testing import tiny_host, tiny_recipe
from limner.training import cost
from limner.training.cost import WorkCounter, average_step, count_work, measure_cost
from limner.training.run import set_up
from torch import nn


def test_the_cost_is_that_of_the_recipe():
    plugins = tiny_host()
    recipe = Recipe.read(plugins, tiny_recipe())
    cost = measure_cost(plugins, recipe)
    run = set_up(plugins, recipe)
    assert (cost.images, cost.captions, cost.steps) == (32, 32, 2)
    assert cost.parameters["generator"] == count_parameters(run.networks.conditional_generator.generator)
    assert cost.seconds == 2 * cost.seconds_per_step > 0
    assert cost.memory is None or cost.memory > 1e6


def test_a_budget_in_seconds_says_how_many_steps_fit():
    plugins = tiny_host()
    settings = {"seconds": 100.0, "batch_size": 8, "precision": "float32"}
    cost = measure_cost(plugins, Recipe.read(plugins, tiny_recipe(training=settings)))
    assert abs(cost.steps - 100 / cost.seconds_per_step) <= 1


@pytest.mark.slow
def test_more_channels_are_more_work_and_a_smaller_batch_shares_the_update_of_the_weights():
    def work(*changes):
        recipe = Recipe.read(host(), "scenes-32", ["data.count=40", *changes])
        return count_work(set_up(host(), recipe)) / recipe.training.batch_size

    usual = work()
    assert work("generator.channels=[192,144,96]") > 1.2 * usual
    assert usual < work("training.batch_size=16") < 1.15 * usual


@pytest.mark.parametrize("layer", [nn.Conv2d, nn.ConvTranspose2d])
@pytest.mark.parametrize("groups", [1, 4])
def test_the_gradients_of_a_convolution_are_twice_its_work(layer, groups):
    images, convolution = torch.randn(2, 8, 6, 6, requires_grad=True), layer(8, 8, 4, stride=2, groups=groups)
    with WorkCounter() as forward:
        made = convolution(images)
    with WorkCounter() as backward:
        made.sum().backward()
    positions = 2 * (36 if layer is nn.ConvTranspose2d else 4)  # at each, all weights of the layer are used
    assert forward.operations == 2 * positions * 8 * 8 // groups * 16
    assert backward.operations == 2 * forward.operations


def average(*changes):
    """The average work of a training, and that of its first step."""
    recipe = Recipe.read(
        host(), "scenes-staged", ["data.count=40", "training.batch_size=4", "generator.freeze=false", *changes]
    )
    run = set_up(host(), recipe)
    return average_step(host(), run)[0], count_work(run)


@pytest.mark.slow
def test_lazy_losses_count_as_often_as_they_are_due():
    rare, step = average("generator.grow=[]", "losses.r1.every=16")
    often, same = average("generator.grow=[]", "losses.r1.every=2")
    assert step == same < rare < often
    assert abs((often - step) / (rare - step) - 8) < 1e-6


@pytest.mark.slow
def test_a_growing_generator_is_less_work_until_it_has_grown(monkeypatch):
    monkeypatch.setattr(cost, "MOMENTS", 2)  # at a quarter and at three quarters
    small, _ = average("generator.grow=[0.9]", "losses.r1=false")
    both, step = average("generator.grow=[0.5]", "losses.r1=false")
    assert small < both < step
    assert both == (small + step) / 2


def test_the_time_of_a_step_is_an_average_of_the_moments_whose_work_differs(monkeypatch):
    timed = []

    def time_steps(run, steps):
        timed.append((run.step, steps))
        return float(len(timed))

    def seconds(*changes):
        timed.clear()
        changes = ["data.count=40", "training.batch_size=4", "generator.freeze=false", "training.steps=200", *changes]
        run = set_up(host(), Recipe.read(host(), "scenes-staged", changes))
        return average_step(host(), run)[1]

    monkeypatch.setattr(cost, "time_steps", time_steps)
    monkeypatch.setattr(cost, "MOMENTS", 2)
    monkeypatch.setattr(cost, "count_work", lambda run, step: run.step)  # it grows
    assert seconds("losses.r1.every=4") == 1.5
    assert [step for step, _ in timed] == [50, 150]
    assert all(steps % 4 == 0 and steps >= cost.TIMED for _, steps in timed)  # whole cycles of the lazy loss


def test_a_gpu_of_apple_is_waited_for(monkeypatch):
    waited = []
    monkeypatch.setattr(torch.mps, "synchronize", lambda: waited.append("mps"))
    for device in ("cpu", "mps"):
        cost._wait(torch.device(device))
    assert waited == ["mps"]
