"""The bundled components pass the same contract checks as anybody's plugins."""

import sys
from importlib import import_module

import pytest
from limner import PluginHost
from limner.data.export import export
from limner.kinds import COMPONENTS
from limner.recipes.options import option_model, resolve_component
from limner.testing import (
    check_attention,
    check_dataset,
    check_discriminator,
    check_encoder,
    check_generator,
    check_loss,
    check_metric,
    check_optimizer,
    check_plugin,
    check_stage,
    tiny_recipe,
)
from limner.testing.tiny import TINY, make_plugin
from limner.training.loop import train
from limner_scenes.dataset import Scenes

BUNDLED = PluginHost()
NEEDY = ("pretrained", "clip", "clip-score", "coco", "folder", "hub", "shards", "nlvr-judge")
SMALL = {  # options that make a component small
    "convolutional generator": {"channels": [8, 8], "noise": 8},
    "convolutional discriminator": {"channels": [8, 8, 8], "head": 8},
    "flow-unet": {"channels": [8, 8], "mapping": 16, "steps": 2},
    "scales discriminator": {"channels": [8, 8, 8], "head": 8, "meet": 4},
    "dcgan generator": {"channels": [8, 8], "noise": 8, "text_width": 8},
    "dcgan discriminator": {"channels": [8, 8], "text_width": 8},
    "deep-fusion generator": {"channels": [8, 8], "noise": 8},
    "spatial-fusion generator": {"channels": [8, 8], "noise": 8, "hidden": 8, "mask": 8},
    "one-way discriminator": {"channels": [8, 8], "head": 8},
    "adaptive-kernels": {"channels": [8, 8], "noise": 8, "mapping": 8, "kernels": 2},
    "r3gan generator": {"channels": [8, 8], "noise": 8, "group": 4},
    "r3gan discriminator": {"channels": [8, 8], "group": 4},
    "initial": {"size": 4, "channels": [8]},
    "refinement": {"channels": 8},
    "stack-initial": {"size": 8, "channels": 4},
    "stack-second": {"channels": 4, "halvings": 1},
    "stacked discriminator": {"channels": 2},
}


@pytest.fixture(scope="module")
def host() -> PluginHost:
    """A host with everything that is installed, and the tiny components."""
    host = PluginHost()
    host.register(make_plugin(TINY))
    return host


def names(kind: str) -> list[str]:
    """The bundled components of a kind, without those that need a model or a folder."""
    return [name for name in BUNDLED.components(kind) if name not in NEEDY]


def options(kind: str, name: str) -> dict:
    """Small options as a recipe has them, made into arguments of the constructor."""
    given = SMALL.get(f"{name} {kind}", SMALL.get(name, {}))
    if name == "staged":
        given = {"stages": [{"name": "initial", "size": 8, "channels": [8, 8]}, {"name": "refinement", "channels": 8}]}
    return resolve_component(BUNDLED, kind, name, given, kind).options


@pytest.mark.parametrize("name", [plugin for plugin, found in BUNDLED.plugins.items() if not found.problem])
def test_plugins(name):
    check_plugin(import_module(f"limner_{name}"))


@pytest.mark.parametrize("name", names("encoder"))
def test_encoders(name):
    check_encoder(BUNDLED.load("encoder", name), width=16)


@pytest.mark.parametrize("name", names("attention"))
def test_attention(name):
    check_attention(BUNDLED.load("attention", name))


@pytest.mark.parametrize("name", names("stage"))
def test_stages(name):
    check_stage(BUNDLED.load("stage", name), first=name in ("initial", "stack-initial"), **options("stage", name))


@pytest.mark.parametrize("name", names("generator"))
def test_generators(name):
    check_generator(BUNDLED.load("generator", name), **options("generator", name))


@pytest.mark.parametrize("name", names("discriminator"))
def test_discriminators(name):
    check_discriminator(BUNDLED.load("discriminator", name), **options("discriminator", name))


@pytest.mark.parametrize("name", names("loss"))
def test_losses(name, host):
    recipe = tiny_recipe(data={"name": "scenes", "count": 64}, encoder={"name": "mlp", "width": 16, "hidden": 16})
    if name == "conditioning-divergence":
        recipe["generator"] = {"name": "convolutional", "channels": [8, 8], "noise": 8, "augmentation": 4}
    if name == "flow-matching":
        recipe["generator"] = {"name": "flow-unet", **SMALL["flow-unet"]}
    check_loss(BUNDLED.load("loss", name), host=host, recipe=recipe)


@pytest.mark.parametrize("name", names("dataset"))
def test_datasets(name):
    check_dataset(BUNDLED.load("dataset", name), count=16)


def test_folders(make_folder):
    check_dataset(BUNDLED.load("dataset", "folder"), root=str(make_folder(count=12)))


def test_shards(tmp_path):
    export("scenes-one", tmp_path / "shards", ["data.count=12"], shards=2)
    check_dataset(BUNDLED.load("dataset", "shards"), root=str(tmp_path / "shards"), shuffle=4)


@pytest.mark.parametrize("name", names("metric"))
def test_metrics(name, scoring_model):
    few = {"images": 12, "prompts": 12, "neighbors": 2}
    metric = BUNDLED.load("metric", name)
    options = {key: value for key, value in few.items() if key in option_model(metric).model_fields}
    trained = scoring_model if name in ("retrieval", "scene-captions") else None
    check_metric(metric, Scenes(16, count=120), trained, **options)


@pytest.fixture(scope="module")
def scoring_model(host):
    """A tiny trained model that can score and caption images."""
    recipe = tiny_recipe(
        data={"name": "scenes", "count": 64}, losses={"tiny": {}, "sentence-contrast": {}, "cycle": {}}
    )
    return train(recipe, plugins=host, callbacks=[])


@pytest.mark.parametrize("name", names("optimizer"))
def test_optimizers(name):
    check_optimizer(BUNDLED.load("optimizer", name))


def test_no_kind_is_forgotten():
    checks = {name.removeprefix("check_") for name in vars(sys.modules[__name__]) if name.startswith("check_")}
    assert set(COMPONENTS) <= checks
