"""Small comparisons: two widths of an encoder, two steps of training each."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import limner
import pytest
from limner import Comparison, hookimpl
from limner.testing import tiny_recipe

WIDTHS = {"encoder.width": [8, 16]}


def tiny() -> dict[str, Any]:
    """A recipe that trains faster than the one of all tests: one loss, one quick metric, 16 scenes, two steps."""
    return tiny_recipe(
        data={"name": "scenes", "count": 16},
        encoder={"name": "mlp", "width": 8, "hidden": 8},
        generator={"name": "convolutional", "channels": [8, 8], "noise": 8, "mapping": 8},
        discriminator={"name": "convolutional", "channels": [8, 8], "head": 8},
        losses={"hinge": {}},
        metrics={"scene-diversity": {"prompts": 2, "images": 2}},
        prompts=["a red circle above a blue square"],
        training={"steps": 2, "batch_size": 8, "precision": "float32", "preview_every": 1.0},
    )


def tiny_judged() -> dict[str, Any]:
    """The same recipe, measured by the judge as well."""
    recipe = tiny()
    return recipe | {"metrics": {"scene-judge": {"prompts": 6}, **recipe["metrics"]}}


class Diary:
    """Records which runs are trained, and calls `act()` after each step."""

    def __init__(self):
        self.runs = []
        self.act = lambda: None

    @hookimpl
    def limner_training_started(self, run):
        self.runs.append((run.recipe.encoder.options["width"], run.recipe.training.seed))

    @hookimpl
    def limner_step_finished(self, run):
        self.act()

    def stop_at(self, number):
        """Press Ctrl-C in the training of that number, counted from 1."""

        def act():
            if len(self.runs) == number:
                raise KeyboardInterrupt

        self.act = act


@pytest.fixture
def recipe() -> dict[str, Any]:
    """The recipe of these comparisons."""
    return tiny()


@pytest.fixture
def judged_recipe() -> dict[str, Any]:
    """The recipe of the kept comparison."""
    return tiny_judged()


@pytest.fixture
def widths() -> dict[str, list[int]]:
    """What is varied, unless a test says otherwise."""
    return WIDTHS


@pytest.fixture
def diary() -> Diary:
    """The trainings of `compare`; a test can interrupt them."""
    return Diary()


@pytest.fixture
def out(tmp_path) -> Path:
    """The folder of the comparisons of a test."""
    return tmp_path / "found"


@pytest.fixture
def compare(plugins, diary, out, recipe) -> Callable[..., Comparison]:
    """Compares two widths of the encoder with two seeds, unless a test says otherwise."""
    plugins.register(diary)

    def run(vary=WIDTHS, seeds=2, recipe=recipe, **options):
        return limner.compare(recipe, vary, seeds, **({"out": out, "quiet": True, "plugins": plugins} | options))

    return run


@pytest.fixture(scope="session")
def kept(tmp_path_factory) -> tuple[Comparison, Path]:
    """A finished comparison and its folder; tests only read it."""
    folder = tmp_path_factory.mktemp("kept") / "found"
    return limner.compare(tiny_judged(), WIDTHS, 2, out=folder, quiet=True), folder
