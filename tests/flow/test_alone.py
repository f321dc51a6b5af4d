"""A generator that is trained alone, without a discriminator: by flow matching, from the recipe to the report."""

import json
import shutil

import limner
import pytest
import torch
from limner import LimnerError, hookimpl
from limner.plugins import host
from limner.recipes.build import build_networks, dry_run
from limner.recipes.schema import Recipe
from limner.testing import tiny_recipe
from limner.testing.waiting import find_waits
from limner.training.cost import measure_cost
from limner.training.loop import players_of
from limner.training.run import set_up
from limner.training.state import STATE_FILE

PROMPT = "a red circle above a blue square"


def alone(**changes):
    """A small recipe without a discriminator."""
    recipe = tiny_recipe(
        data={"name": "scenes", "count": 32},
        encoder={"name": "mlp", "width": 16, "hidden": 16},
        generator={"name": "flow-unet", "channels": [8, 8], "mapping": 16, "steps": 2},
        losses={"flow-matching": {}},
        metrics={"scene-diversity": {"prompts": 2, "images": 2}},
        prompts=[PROMPT],
        training={"steps": 12, "batch_size": 8, "precision": "float32", "seed": 3, "checkpoint_every": 0.3},
    )
    del recipe["discriminator"]
    return recipe | changes


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The run folder of a short training; tests only read it."""
    folder = tmp_path_factory.mktemp("flow") / "run"
    limner.train(alone(), folder, quiet=True)
    return folder


def test_one_player_has_all_the_weights():
    made = set_up(host(), Recipe.read(host(), alone()))
    players = players_of(made)
    assert list(players) == ["generator"]
    assert {id(weight) for weight in players["generator"].weights} == {
        id(weight) for weight in made.networks.parameters()
    }


def test_training_changes_encoder_and_generator_and_nothing_is_judged(run):
    torch.manual_seed(3)
    recipe, model = Recipe.read(host(), alone()), limner.load(run)
    fresh = build_networks(recipe, model.tokenizer.vocabulary).conditional_generator.state_dict()
    trained = model.conditional_generator.state_dict()
    assert [name for name, weight in fresh.items() if torch.equal(weight, trained[name])] == []
    assert not any("discriminator" in name for name in model.state_dict())
    assert set(model.losses) == {"flow-matching"}
    rows = json.loads((run / "history.json").read_text())
    assert not any("discriminator" in name for row in rows for name in row)


def test_a_loaded_model_paints_the_same(run):
    first, again = (limner.load(run).paint_images([PROMPT] * 2, seed=5) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first[0], first[1])
    assert limner.load(run).evaluate().scores


class Interrupt:
    """Stops a training after some steps."""

    def __init__(self, steps):
        self.steps = steps

    @hookimpl
    def limner_step_finished(self, run):
        if run.step == self.steps:
            raise KeyboardInterrupt


def test_resuming_gives_the_weights_of_an_uninterrupted_training(run, tmp_path):
    folder = tmp_path / "stopped"
    stopped = limner.train(alone(), folder, callbacks=[Interrupt(7)])
    assert (folder / STATE_FILE).exists()
    resumed = limner.resume(folder, quiet=True)
    whole = limner.load(run).state_dict()
    assert all(torch.equal(weight, whole[name]) for name, weight in resumed.state_dict().items())
    assert (
        not all(torch.equal(weight, whole[name]) for name, weight in stopped.state_dict().items()) or stopped is resumed
    )


@pytest.mark.slow
def test_the_tools_know_it(run, tmp_path, command):
    assert command("report", run, "--out", tmp_path / "report.html")[0] == 0
    page = (tmp_path / "report.html").read_text()
    assert "both players" not in page
    assert "all losses together" in page
    status, shown, _ = command("runs", run.parent)
    assert status == 0
    assert "damaged" not in shown
    shutil.copytree(run, tmp_path / "copy")
    both = limner.Ensemble([run, tmp_path / "copy"])
    assert both.paint_images([PROMPT]).shape == (1, 3, 16, 16)


def test_a_dry_run_measures_it():
    cost = measure_cost(host(), Recipe.read(host(), alone()))
    assert set(cost.parameters) == {"encoder", "generator", "losses"}
    assert cost.multiply_adds > 0


def test_a_step_never_waits_for_a_gpu():
    assert find_waits(alone()) == []


def test_it_cannot_score_images(run):
    model = limner.load(run)
    with pytest.raises(LimnerError, match="no loss of this model can score images"):
        model.score(torch.zeros(1, 3, 16, 16), [PROMPT])


def test_a_loss_that_needs_a_discriminator_is_refused():
    recipe = Recipe.read(host(), alone(losses={"flow-matching": {}, "hinge": {}}))
    with pytest.raises(LimnerError, match=r"losses\.hinge: this loss needs a discriminator, and the recipe has none"):
        dry_run(host(), recipe)


def test_a_part_that_is_not_there_cannot_be_frozen():
    training = alone()["training"] | {"freeze": ["discriminator"]}
    with pytest.raises(LimnerError, match="no part 'discriminator'; there is encoder, generator, losses"):
        dry_run(host(), Recipe.read(host(), alone(training=training)))


def test_with_a_discriminator_both_are_trained():
    """Flow matching can stand beside adversarial losses."""
    losses = {"flow-matching": {}, "sentence-contrast": {"width": 8}}
    discriminator = {"name": "convolutional", "channels": [8, 8], "head": 8}
    model = limner.train(alone(losses=losses, discriminator=discriminator), callbacks=[])
    assert model.conditional_discriminator is not None
