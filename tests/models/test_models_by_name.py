"""Trained models that come along with a plugin, by their names."""

from runpy import run_path

import limner
import pytest
import torch
from limner import LimnerError, hookimpl
from limner.models.model import Model
from limner.testing import tiny_host, tiny_recipe
from limner_scenes.judge import read, score


@pytest.fixture(scope="module")
def along(tmp_path_factory):
    """A package with a run folder, and a plugin host that has it as the model "walls"."""
    package = tmp_path_factory.mktemp("site") / "limner_walls"
    package.mkdir()
    (package / "__init__.py").write_text("")
    limner.train(tiny_recipe(), package / "run", plugins=tiny_host(), callbacks=[])
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(package.parent))

        class Walls:
            @hookimpl
            def limner_models(self):
                return {"walls": "limner_walls:run", "gone": "limner_walls:gone"}

        plugins = tiny_host()
        plugins.register(Walls())
        yield plugins, package / "run"


def test_a_model_is_loaded_by_its_name(along):
    plugins, folder = along
    prompts = ["a plain red wall"]
    assert torch.equal(
        Model.load("walls", plugins).paint_images(prompts), Model.load(folder, plugins).paint_images(prompts)
    )


def test_a_folder_of_that_name_comes_first(along, tmp_path, monkeypatch):
    plugins, _ = along
    (tmp_path / "walls").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LimnerError, match="walls is not a run folder"):
        Model.load("walls", plugins)


def test_a_model_without_its_folder_is_one_sentence(along):
    with pytest.raises(LimnerError, match=r"The model 'gone' of .* cannot be read from 'limner_walls:gone'"):
        Model.load("gone", along[0])


def test_an_unknown_name_says_which_models_there_are(along):
    with pytest.raises(LimnerError, match=r"There is no run folder nowhere; .* the models that come along are .*walls"):
        Model.load("nowhere", along[0])


@pytest.fixture
def kept_for_painting(along, tmp_path, root):
    """The folder of the same model, kept for painting only."""
    run_path(str(root / "tools/keep_model.py"))["keep"](along[1], tmp_path / "kept", without="discriminator")
    return tmp_path / "kept"


def test_a_model_that_is_kept_for_painting_paints_the_same_and_judges_nothing(along, kept_for_painting, tmp_path):
    plugins, folder = along
    kept, prompts = Model.load(kept_for_painting, plugins), ["a plain red wall"]
    whole = Model.load(folder, plugins).half().float()  # it is kept in half precision
    assert torch.equal(kept.paint_images(prompts), whole.paint_images(prompts))
    assert kept.conditional_discriminator is None
    assert not any(name.startswith(("losses.", "conditional_discriminator.")) for name in kept.state_dict())
    with pytest.raises(LimnerError, match="no loss of this model can score images"):
        kept.paint(prompts[0], best_of=2)
    kept.save(tmp_path / "again")
    assert torch.equal(Model.load(tmp_path / "again", plugins).paint_images(prompts), kept.paint_images(prompts))


def test_a_model_that_is_kept_without_losses_still_has_its_discriminator(along, tmp_path, root):
    plugins, folder = along
    run_path(str(root / "tools/keep_model.py"))["keep"](folder, tmp_path / "kept", without="losses")
    kept, whole = Model.load(tmp_path / "kept", plugins), Model.load(folder, plugins).half().float()
    assert kept.state_dict().keys() == {name for name in whole.state_dict() if not name.startswith("losses.")}
    assert all(torch.equal(value, whole.state_dict()[name]) for name, value in kept.state_dict().items())


def test_training_starts_from_a_model_that_is_kept_for_painting(along, kept_for_painting):
    plugins, recipe = along[0], tiny_recipe()
    recipe["training"] |= {"steps": 1, "start_from": str(kept_for_painting)}
    with pytest.warns(UserWarning, match=r"Loaded from .*: encoder, generator; new: .*discriminator"):
        limner.train(recipe, plugins=plugins, callbacks=[])


def test_the_hierarchy_comes_along_and_paints_what_prompts_say_at_every_size():
    model = limner.load("scenes-128")
    prompts = model.recipe.resolved("data").build(128).prompts(40, seed=1)
    for size in model.resolutions:
        judged = score(read(model.paint_images(prompts.texts, seed=1, size=size)), prompts.asked)
        assert judged["exact"].float().mean() >= 0.9, size


def test_the_quickstart_comes_along_and_paints_what_prompts_say():
    model = limner.load("quickstart")
    scenes = model.recipe.resolved("data").build(32)
    for held_out_wording, least in ((False, 0.8), (True, 0.6)):
        prompts = scenes.prompts(60, seed=1, held_out_wording=held_out_wording)
        judged = score(read(model.paint_images(prompts.texts, seed=1)), prompts.asked)
        assert judged["exact"].float().mean() >= least
