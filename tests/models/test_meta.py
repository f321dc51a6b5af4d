"""Networks without memory: the shapes of those with memory, and no compiler."""

import subprocess
import sys

import pytest
import torch
from limner.meta import without_memory
from limner.plugins import PluginHost
from limner.recipes.build import build_networks
from limner.recipes.schema import Recipe
from torch import nn

RECIPES = ["quickstart", "scenes-128", "flow-32", "attngan", "r3gan"]


@pytest.mark.parametrize("name", RECIPES)
def test_the_networks_have_the_shapes_of_those_with_memory(name):
    recipe = Recipe.read(PluginHost(), name)
    with without_memory():
        planned = build_networks(recipe, 100)
    assert all(weight.is_meta for weight in planned.parameters())
    built = build_networks(recipe, 100).state_dict()
    assert {key: (value.shape, value.dtype) for key, value in planned.state_dict().items()} == {
        key: (value.shape, value.dtype) for key, value in built.items()
    }


def test_drawing_and_scaling_change_no_shape_and_no_type():
    with without_memory():
        drawn = torch.randn(3, 4) / 2 * 0.5
        assert drawn.shape == (3, 4)
        assert drawn.is_meta
        assert (torch.zeros(2, dtype=torch.int64) / 2).dtype == torch.float32
        assert (torch.ones(3, 1) * torch.ones(1, 4)).shape == (3, 4)
        assert torch.randn(2, dtype=torch.float64).dtype == torch.float64
        weight = nn.Parameter(torch.empty(2, 2))
        assert nn.init.kaiming_normal_(weight) is weight
        assert nn.init.normal_(tensor=weight, std=0.1) is weight


def test_tensors_with_memory_are_drawn_and_scaled_within_the_block():
    values = torch.zeros(1000)
    with without_memory():
        nn.init.normal_(values)
        assert torch.equal(values * 2, values + values)
    assert 0.9 < values.std().item() < 1.1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["quickstart", "scenes-128"])
def test_a_model_is_loaded_and_paints_without_torchs_compiler(name):
    code = f"""
import sys, limner
limner.load("{name}").paint("a red circle above a blue square")
print("torch._dynamo" in sys.modules, "pandas" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=240)
    assert done.stdout.split() == ["False", "False"], done.stderr[-2000:]
