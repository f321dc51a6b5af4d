"""Small comparisons: two widths of an encoder, two steps of training each."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import limner
import pytest
from limner import Comparison, hookimpl

WIDTHS = {"encoder.width": [8, 16]}


def judged(recipe: dict[str, Any]) -> dict[str, Any]:
    """The recipe, measured by the judge as well."""
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
def recipe(smallest_recipe) -> dict[str, Any]:
    """The recipe of these comparisons."""
    return smallest_recipe()


@pytest.fixture
def judged_recipe(smallest_recipe) -> dict[str, Any]:
    """The recipe of the kept comparison."""
    return judged(smallest_recipe())


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
def kept(tmp_path_factory, smallest_recipe) -> tuple[Comparison, Path]:
    """A finished comparison and its folder; tests only read it."""
    folder = tmp_path_factory.mktemp("kept") / "found"
    return limner.compare(judged(smallest_recipe()), WIDTHS, 2, out=folder, quiet=True), folder
