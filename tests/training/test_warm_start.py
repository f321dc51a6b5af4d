"""Starting from another run: what is taken, what is not, what is frozen, and what is refused."""

import re

import limner
import pytest
import torch
from limner import LimnerError


def stages(*sizes):
    """A staged generator that ends at the last of these sizes."""
    first = {"name": "initial", "size": sizes[0], "channels": [8, 8]}
    return {
        "name": "staged",
        "noise": 8,
        "stages": [first, *({"name": "refinement", "channels": 8} for _ in sizes[1:])],
    }


@pytest.fixture
def small(recipe, tmp_path):
    """The folder of a run that paints 8 pixels in one stage."""
    recipe |= {"image_size": 8, "generator": stages(8)}
    limner.train(recipe, tmp_path / "small", quiet=True)
    return tmp_path / "small"


@pytest.fixture
def larger(recipe, small):
    """A recipe that puts a second stage upon the first of that run."""
    recipe |= {"image_size": 16, "generator": stages(8, 16)}
    recipe["discriminator"] = {"name": "scales", "channels": [8, 8], "meet": 8, "head": 8}
    recipe["training"] |= {"start_from": str(small), "load_parts": ["encoder", "generator"]}
    return recipe


class Start:
    """Keeps the weights of the first moment and of the last."""

    @limner.hookimpl
    def limner_training_started(self, run):
        self.first = {name: weight.clone() for name, weight in run.networks.state_dict().items()}

    @limner.hookimpl
    def limner_training_finished(self, run):
        self.last = run.networks.state_dict()


def test_a_run_loads_averaged_weights_and_names_what_it_loaded(larger, small):
    start = Start()
    larger["losses"]["cycle"] = {"width": 8}
    with pytest.warns(UserWarning, match="Loaded from") as notes:
        limner.train(larger, callbacks=[start])
    told = str(notes[0].message)
    assert f"Loaded from {small}: encoder, generator.stages.0;" in told
    assert "new: generator.stages.1, discriminator, losses;" in told
    assert "left there: discriminator, losses." in told
    earlier = limner.load(small)
    for name, weight in earlier.conditional_generator.state_dict().items():
        if "_extra_state" not in name:  # how many stages paint is no weight
            assert torch.equal(start.first[f"conditional_generator.{name}"], weight)


def test_a_weight_of_another_shape_is_told(larger):
    larger["discriminator"] = {"name": "convolutional", "channels": [8, 8, 8], "head": 8}
    larger["training"]["load_parts"] = []
    with pytest.raises(
        LimnerError, match=r"'discriminator\.head\.match\.weight' is 1 x 32 in .* and 1 x 128 here; give this"
    ):
        limner.train(larger, quiet=True)  # the image is larger, and so is the discriminator's map


def test_only_what_is_named_is_taken(recipe, trained):
    recipe["training"] |= {"start_from": str(trained), "load_parts": ["generator.mapping", "losses"]}
    with pytest.warns(UserWarning, match="Loaded from") as notes:
        limner.train(recipe, quiet=True)
    told = str(notes[0].message)
    assert f"Loaded from {trained}: generator.mapping, losses; new: encoder, generator.places" in told


def test_a_warm_start_keeps_the_token_ids(larger, small):
    with pytest.warns(UserWarning, match="Loaded from"):
        model = limner.train(larger, quiet=True)
    earlier = limner.load(small)
    text = "a red circle above a blue square"
    assert torch.equal(model.tokenizer([text]).ids, earlier.tokenizer([text]).ids)
    assert model.tokenizer.words >= earlier.tokenizer.words


def test_frozen_parts_do_not_change_by_a_bit_and_the_others_do(larger, tmp_path):
    start = Start()
    larger["training"]["freeze"] = ["encoder", "generator.stages.0"]
    larger["losses"]["matching-aware-penalty"] = {"every": 1}  # asks for a gradient by the frozen encoder's sentence
    with pytest.warns(UserWarning, match="Loaded from"):
        model = limner.train(larger, tmp_path / "run", callbacks=[start])
    changed = {name for name in start.first if not torch.equal(start.first[name], start.last[name])}
    assert not [name for name in changed if "encoder" in name or "stages.0" in name]
    assert any("stages.1" in name for name in changed)
    assert any("discriminator" in name for name in changed)
    for name, weight in model.conditional_generator.state_dict().items():  # nor does their average
        if "encoder" in name or "stages.0" in name:
            assert torch.equal(weight, start.first[f"conditional_generator.{name}"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["training.start_from=nowhere"], "training.start_from: There is no run folder nowhere"),
        (["text.length=20"], "reads captions of 24 tokens, and this recipe of 20; set text.length=24"),
        (["encoder.width=20"], "'encoder.* in .*small and .* here; give this part the options that it has in .*toml"),
        (["training.load_parts=['losses.cycle']"], "training.load_parts: this model has no part 'losses.cycle'"),
        (["training.freeze=['generator.stage.0']"], "no part 'generator.stage.0', did you mean 'generator.stages.0'"),
    ],
)
def test_what_does_not_fit_is_told(larger, changes, message):
    with pytest.raises(LimnerError, match=message):
        limner.train(larger, overrides=changes, quiet=True)


def test_a_run_with_nothing_in_common_is_told(larger):
    larger |= {"encoder": {"name": "lstm"}, "losses": {"hinge": {}}}
    larger["training"]["load_parts"] = []
    larger |= {"generator": {"name": "convolutional", "channels": [8, 8], "noise": 8}}
    with pytest.raises(LimnerError, match=re.escape("has no part of this model, so there is nothing to load")):
        limner.train(larger, quiet=True)


def test_where_all_of_a_player_is_frozen_the_other_still_plays(recipe):
    start = Start()
    recipe["training"]["freeze"] = ["generator"]
    limner.train(recipe, callbacks=[start])
    changed = {name for name in start.first if not torch.equal(start.first[name], start.last[name])}
    assert changed
    assert not [name for name in changed if ".generator." in name]
