"""Every recipe of a landmark model is short, trains, and competes on equal terms."""

import math
from importlib.resources import files

import limner
import pytest
from limner import PluginHost
from limner.recipes.schema import Recipe
from limner_landmarks import RECIPES

HOST = PluginHost()
FEW = ["data.count=32", "training.batch_size=2", "training.steps=20", "training.preview_every=1.0"]


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_short_and_says_what_differs_from_the_paper(name):
    lines = (files("limner_landmarks") / "recipes" / f"{name}.toml").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 40
    assert any(line.startswith("# ") for line in lines[:2])


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_has_the_data_and_the_budget_of_all_others(name):
    recipe, reference = Recipe.read(HOST, name), Recipe.read(HOST, "scenes-64")
    assert (recipe.data, recipe.image_size, recipe.text) == (reference.data, reference.image_size, reference.text)
    budgets = [(each.training.steps, each.training.batch_size) for each in (recipe, reference)]
    assert budgets[0] == budgets[1]


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_trains(name):
    losses = Recipe.read(HOST, name).losses
    short = [f"losses.{loss}.pretrained_steps=2" for loss in losses if "pretrained_steps" in losses[loss].options]
    model = limner.train(name, overrides=[*FEW, *short], quiet=True, plugins=HOST)
    assert len(model.history) >= 1
    assert all(math.isfinite(value) for row in model.history for value in row.values())
    (image,) = model.paint_images(["a red circle above a blue square"])
    assert image.shape == (3, 64, 64)
