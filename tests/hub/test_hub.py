"""Models on the hub: published with a card, loaded with the checks of a run folder, one sentence for each refusal."""

import json
import shutil
import tomllib

import limner
import numpy as np
import pytest
import tomli_w
import torch
import yaml
from limner import LimnerError
from limner.models.hub import hub_model, is_on_hub
from limner.models.publish import publishable
from limner.recipes.schema import Recipe

PROMPT = "a red circle above a blue square"
NAME = "ann/limner-red-circles"

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*is at commit:UserWarning"),
    pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning"),  # of huggingface_hub's own uploads
]


@pytest.fixture
def run(trained, tmp_path):
    """A copy of a run folder, to be changed."""
    return shutil.copytree(trained, tmp_path / "run")


@pytest.fixture
def published(hub, run):
    """The repository of a model that was pushed."""
    limner.load(run).push_to_hub(NAME)
    hub.asked.clear()
    return hub.repositories[NAME]


def files_of(repository) -> dict[str, bytes]:
    return repository.commits[repository.branches["main"]]


# --- there and back -------------------------------------------------------------------------------------------------


def test_a_pushed_model_is_loaded_and_paints_the_same(hub, run):
    model = limner.load(run)
    address = model.push_to_hub(NAME)
    [commit] = hub.repositories[NAME].commits
    assert address == f"hf://{NAME}@{commit}"
    loaded = limner.load(f"hf://{NAME}")
    assert loaded.source == address
    assert commit in loaded._repr_html_()
    for name, value in model.state_dict().items():
        assert torch.equal(value, loaded.state_dict()[name])
    assert np.array_equal(np.asarray(model.paint(PROMPT)[0]), np.asarray(loaded.paint(PROMPT)[0]))
    assert not hub.repositories[NAME].private


def test_only_the_files_of_a_run_are_published_and_downloaded(hub, published):
    of_a_run = {
        "config.json",
        "recipe.toml",
        "history.json",
        "weights.safetensors",
        "tokenizer/tokenizer.json",
        "tokenizer/tokenizer_config.json",
        "tokenizer/words.json",
    }
    assert set(files_of(published)) == of_a_run | {"README.md", "film.png"}
    published.commit(
        {"evil.py": b"import os", "weights.bin": b"pickle", "state.safetensors": b"", "tokenizer/x.py": b""}
    )
    limner.load(f"hf://{NAME}")
    assert hub.downloaded() == of_a_run


def test_a_revision_is_a_branch_a_tag_or_a_commit(hub, published):
    [first] = published.commits
    table = tomllib.loads(files_of(published)["recipe.toml"].decode())
    second = published.commit({"recipe.toml": tomli_w.dumps(table | {"title": "the second"}).encode()})
    published.branches["v1"] = first
    assert limner.load(f"hf://{NAME}").recipe.title == "the second"
    assert limner.load(f"hf://{NAME}@v1").source == f"hf://{NAME}@{first}"
    assert limner.load(f"hf://{NAME}@{second}").recipe.title == "the second"


@pytest.mark.filterwarnings("default:.*is at commit:UserWarning")
def test_the_commit_is_told_unless_it_was_named(hub, published):
    [commit] = published.commits
    with pytest.warns(UserWarning, match=f"hf://{NAME} is at commit {commit}; hf://{NAME}@{commit} always"):
        limner.load(f"hf://{NAME}")


def test_what_was_downloaded_is_there_without_the_hub(hub, published, monkeypatch):
    from huggingface_hub import constants

    limner.load(f"hf://{NAME}")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert limner.load(f"hf://{NAME}").paint(PROMPT)


@pytest.mark.slow
def test_commands_take_a_model_on_the_hub(hub, run, command, tmp_path):
    status, out, err = command("push", run, NAME)
    assert (status, out.strip().rpartition("@")[0]) == (0, f"hf://{NAME}")
    picture = tmp_path / "painted.png"
    status, out, err = command("paint", f"hf://{NAME}", PROMPT, "--out", picture)
    assert status == 0, err
    assert picture.is_file()
    assert "is at commit" in err
    status, _, err = command("paint", run, PROMPT, "--with", f"hf://{NAME}", "--out", picture)
    assert status == 0, err
    status, out, err = command("evaluate", f"hf://{NAME}", "--metric", "prompt-diversity", "--json")
    assert status == 0, err
    assert "painted/pixel distance" in json.loads(out)


def test_training_starts_from_a_model_on_the_hub(published, recipe):
    recipe["training"]["start_from"] = f"hf://{NAME}"
    with pytest.warns(UserWarning, match="Loaded from"):
        limner.train(recipe, callbacks=[])


def test_a_second_push_is_a_second_commit(hub, published, run):
    limner.load(run).push_to_hub(NAME, private=True)
    assert len(published.commits) == 2


# --- the model card -------------------------------------------------------------------------------------------------


def card_of(repository) -> tuple[dict, str]:
    _, metadata, text = files_of(repository)["README.md"].decode().split("---\n", 2)
    return yaml.safe_load(metadata), text


def test_the_card_has_metadata_recipe_and_how_to_load_it(published):
    metadata, text = card_of(published)
    assert metadata["license"] == "apache-2.0"
    assert (metadata["library_name"], metadata["pipeline_tag"]) == ("limner", "text-to-image")
    assert f"limner.load('hf://{NAME}')" in text
    assert "![Prompts in the course of the training](film.png)" in text
    assert f"| limner | {limner.__version__} |" in text
    assert "## Figures" not in text  # it was not evaluated
    recipe = text.split("~~~~toml\n")[1].split("~~~~")[0]
    assert tomllib.loads(recipe) == tomllib.loads(files_of(published)["recipe.toml"].decode())


def test_the_card_has_the_scores_without_a_spread_if_there_is_one_run(hub, run):
    (run / "scores.json").write_text('{"trained/exact": 0.9375, "diversity": 0.5, "odd": NaN}')
    limner.load(run).push_to_hub(NAME, license="cc-by-4.0")
    metadata, text = card_of(hub.repositories[NAME])
    assert "One run, so the spread is unknown." in text
    assert "0.938" in text
    assert "±" not in text
    [index] = metadata["model-index"]
    metrics = {metric["name"]: metric["value"] for result in index["results"] for metric in result["metrics"]}
    assert metrics == {"trained/exact": 0.9375, "diversity": 0.5}
    assert metadata["license"] == "cc-by-4.0"
    report = limner.load(f"hf://{NAME}").report
    assert report
    assert report["diversity"] == 0.5


@pytest.mark.slow
def test_the_card_of_a_run_of_a_comparison_has_the_spread(hub, recipe, tmp_path, command):
    recipe["metrics"] = {"prompt-diversity": {"prompts": 2, "images": 3}}
    recipe["training"]["steps"] = 2
    found = limner.compare(recipe, {"encoder.width": [8]}, seeds=2, out=tmp_path / "widths", quiet=True)
    folder = tmp_path / "widths" / found.results.runs[1].folder
    status, _, err = command("push", folder, NAME)
    assert status == 0, err
    _, text = card_of(hub.repositories[NAME])
    assert "Mean ± standard deviation." in text
    assert "Over 2 seeds of 8; this model is the one of seed 1." in text
    row = next(name for name in found.metrics if name.startswith("painted"))
    assert f"{found[row].mean():.3f} ± {found[row].std():.3f}" in text


def test_a_model_that_was_just_trained_brings_its_film(hub, recipe):
    limner.train(recipe, callbacks=[]).push_to_hub(NAME)
    assert files_of(hub.repositories[NAME])["film.png"].startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "root", ["/data/of/ann/photos", r"C:\Users\ann\photos", r"\\server\ann\photos", "~/ann/photos"]
)
def test_nothing_of_this_machine_is_published(plugins, recipe, root):
    recipe["data"] = {"name": "folder", "root": root}
    recipe["training"] |= {"trackers": [{"name": "mlflow", "uri": "http://secret"}], "start_from": "~/runs/first"}
    table = publishable(Recipe.read(plugins, recipe))
    assert table["data"]["root"] == "photos"
    assert table["training"]["start_from"] == "first"
    assert "secret" not in json.dumps(table)


# --- models of strangers --------------------------------------------------------------------------------------------


def test_a_missing_plugin_is_named_with_its_command(published):
    published.commit({"config.json": json.dumps({"plugins": {"limner": "1", "limner-glow": "0.2"}}).encode()})
    with pytest.raises(LimnerError, match=r"not installed: limner-glow\. .*pip install limner-glow\."):
        limner.load(f"hf://{NAME}")


@pytest.mark.parametrize(
    "config", ["[]", "{", '{"plugins": ["x"]}', '{"plugins": {"x; rm -rf": "1"}}', '{"plugins": {"x": 1}}', '"\\u001b"']
)
def test_a_damaged_list_of_plugins_is_one_sentence(published, config):
    published.commit({"config.json": config.encode()})
    with pytest.raises(LimnerError, match=rf"config.json of hf://{NAME} is damaged"):
        limner.load(f"hf://{NAME}")


def test_code_of_a_tokenizer_is_refused(published):
    config = json.loads(files_of(published)["tokenizer/tokenizer_config.json"]) | {"auto_map": {"AutoTokenizer": "x.X"}}
    published.commit({"tokenizer/tokenizer_config.json": json.dumps(config).encode()})
    with pytest.raises(LimnerError, match="asks to run code of its own"):
        limner.load(f"hf://{NAME}")


def test_damaged_scores_are_one_sentence(published):
    published.commit({"scores.json": b'{"exact": "high"}'})
    with pytest.raises(LimnerError, match=r"scores.json is damaged: 'exact' should be a number"):
        limner.load(f"hf://{NAME}")


def test_a_model_of_another_library_is_refused(hub):
    from .conftest import Repository

    hub.repositories["bob/bert"] = Repository()
    hub.repositories["bob/bert"].commit({"config.json": b"{}", "pytorch_model.bin": b"pickle"})
    with pytest.raises(LimnerError, match=r"hf://bob/bert is no model of Limner: it has no recipe.toml"):
        limner.load("hf://bob/bert")
    assert hub.downloaded() == {"config.json"}


# --- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["hf://", "hf://red", "hf://ann/red/weights.safetensors", "hf://ann/red@", "hf://ann/../red", "hf://ann/r d"],
)
def test_a_name_that_is_none_is_one_sentence(name, hub):
    with pytest.raises(LimnerError, match="expected hf://NAME/REPOSITORY"):
        limner.load(name)
    assert hub.asked == []


def test_a_path_keeps_the_name(tmp_path):
    from pathlib import Path

    assert is_on_hub(Path("hf://ann/red@v1"))
    assert str(hub_model(Path("hf://ann/red@v1"))) == "hf://ann/red@v1"
    assert not is_on_hub(tmp_path / "hf")


@pytest.mark.parametrize("out", [True, False])
def test_a_name_that_does_not_exist(hub, logged_out, out):
    if out:
        logged_out()
    with pytest.raises(LimnerError, match=r"There is no model hf://ann/rde, or it is private; check its name"):
        limner.load("hf://ann/rde")


def test_a_private_model_of_somebody_else(hub, published, logged_out):
    published.private = True
    logged_out()
    with pytest.raises(LimnerError, match=r"or it is private; .*hf auth login"):
        limner.load(f"hf://{NAME}")


def test_a_gated_model(published):
    published.gated = True
    with pytest.raises(LimnerError, match=rf"hf://{NAME} is gated: ask for access on its page"):
        limner.load(f"hf://{NAME}")


def test_a_revision_that_does_not_exist(published):
    with pytest.raises(LimnerError, match=rf"hf://{NAME} has no revision 'v9'; name a branch, a tag or a commit"):
        limner.load(f"hf://{NAME}@v9")


def test_offline_without_a_copy(hub, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(LimnerError, match=rf"HF_HUB_OFFLINE is set, and hf://{NAME} is not in the cache; unset it"):
        limner.load(f"hf://{NAME}")


def test_a_hub_that_does_not_listen(hub, monkeypatch, run):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(LimnerError, match=r"The hub at http://127.0.0.1:9 cannot be reached, and hf://"):
        limner.load(f"hf://{NAME}")
    with pytest.raises(LimnerError, match=r"The hub at http://127.0.0.1:9 cannot be reached: "):
        limner.load(run).push_to_hub(NAME)


def test_a_hub_in_trouble(hub, run, monkeypatch):
    hub.status = 418
    with pytest.raises(LimnerError, match=r"The hub answered 418"):
        limner.load(f"hf://{NAME}")
    with pytest.raises(LimnerError, match=r"The hub answered 418"):
        limner.load(run).push_to_hub(NAME)


def test_pushing_without_a_token(hub, run, logged_out):
    logged_out()
    with pytest.raises(LimnerError, match=r"The hub does not know who you are; log in with `hf auth login`"):
        limner.load(run).push_to_hub(NAME)


def test_pushing_to_somebody_else(hub, run):
    with pytest.raises(LimnerError, match=r"You may not write to hf://bob/red"):
        limner.load(run).push_to_hub("bob/red")


@pytest.mark.parametrize("name", ["red", "ann/red/x", "hf://ann/red", "ann/red@v1 x"])
def test_pushing_to_a_name_that_is_none(hub, run, name):
    with pytest.raises(LimnerError):
        limner.load(run).push_to_hub(name)
    assert hub.asked == []


def test_a_license_is_an_identifier(hub, run):
    with pytest.raises(LimnerError, match="license: expected an identifier"):
        limner.load(run).push_to_hub(NAME, license="Mine! All mine!")
    assert hub.asked == []
