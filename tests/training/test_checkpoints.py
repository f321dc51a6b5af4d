"""What is kept of a training: snapshots, good weights, and folders that older versions wrote."""

import shutil
import warnings
from pathlib import Path

import limner
import pytest
import torch
from limner import DivergedError, Recipe
from limner.models.run_folder import RENAMED_WEIGHTS
from safetensors.torch import load_file, save_file

PROMPT = "a red circle above a blue square"


def test_every_snapshot_is_kept_also_in_the_last_step(recipe, tmp_path):
    recipe["training"] |= {"steps": 2, "snapshots": [0.25, 0.75]}
    limner.train(recipe, tmp_path / "run", quiet=True)
    assert sorted(path.name for path in (tmp_path / "run" / "snapshots").iterdir()) == ["0.25", "0.75"]


def test_bad_weights_before_the_first_step_are_reported(recipe, trained, tmp_path):
    run = Path(shutil.copytree(trained, tmp_path / "bad"))
    weights = load_file(run / "weights.safetensors")
    name = next(name for name in weights if name.startswith("conditional_generator.generator"))
    weights[name] = torch.full_like(weights[name], torch.nan)
    save_file(weights, run / "weights.safetensors")
    recipe["training"] |= {"start_from": str(run)}
    with pytest.warns(UserWarning, match="Loaded from"), pytest.raises(DivergedError, match="Before the first step"):
        limner.train(recipe, quiet=True)


@pytest.fixture
def old_run(trained, tmp_path) -> Path:
    """A run folder as an earlier version wrote it: old names of weights, old keys in the recipe."""
    run = Path(shutil.copytree(trained, tmp_path / "old"))
    weights = load_file(run / "weights.safetensors")
    for old, new in RENAMED_WEIGHTS.items():
        weights = {name.replace(new, old) if name.startswith(new) else name: value for name, value in weights.items()}
    assert any(name.startswith("painting.") for name in weights)
    save_file(weights, run / "weights.safetensors")
    text = (run / "recipe.toml").read_text()
    for new, old in {"ema_decay": "average", "generator_lr": "generator_rate", "load_parts": "take"}.items():
        assert f"\n{new} = " in text
        text = text.replace(f"\n{new} = ", f"\n{old} = ")
    (run / "recipe.toml").write_text(text)
    return run


def test_an_older_run_folder_loads_and_paints_the_same(trained, old_run):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the user did not write the old keys
        old = limner.load(old_run)
    new = limner.load(trained)
    assert torch.equal(old.paint_images([PROMPT] * 2, 3), new.paint_images([PROMPT] * 2, 3))
    assert old.recipe == new.recipe


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("average", "ema_decay"),
        ("generator_rate", "generator_lr"),
        ("discriminator_rate", "discriminator_lr"),
    ],
)
def test_old_recipe_keys_work_and_name_the_new_key(plugins, recipe, old, new):
    with pytest.warns(FutureWarning, match=f"training.{old} is now called training.{new}"):
        read = Recipe.read(plugins, recipe, [f"training.{old}=0.5"])
    assert getattr(read.training, new) == 0.5
    recipe["training"][old] = 0.25
    with pytest.warns(FutureWarning, match=f"training.{old} is now called training.{new}"):
        assert getattr(Recipe.read(plugins, recipe).training, new) == 0.25
