"""The command line: what each command does, and that bad input ends with one line and no traceback."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import limner
import pytest
import tomli_w
from limner.cli import app
from PIL import Image
from typer.main import get_command

GROUP: Any = get_command(app)
COMMANDS = sorted(GROUP.commands)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch, recipe):
    """A working folder with the tiny recipe as `tiny.toml`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(tomli_w.dumps(recipe))
    return tmp_path


# --- what each command does -----------------------------------------------------------------------------------------


def test_the_commands(command):
    assert COMMANDS == [
        "caption",
        "compare",
        "data",
        "demo",
        "describe",
        "evaluate",
        "explain",
        "export",
        "export-data",
        "league",
        "models",
        "new-plugin",
        "paint",
        "plugins",
        "push",
        "recipes",
        "report",
        "runs",
        "show",
        "speedrun",
        "tradeoff",
        "train",
        "tutorials",
    ]
    status, out, _ = command("--help")
    assert status == 0
    assert all(name in out for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_help_has_an_example(command, name):
    status, out, _ = command(name, "--help")
    assert status == 0
    assert "Example" in out
    assert f"limner {name}" in out.split("Example")[1]


def test_python_m_limner_runs_the_command_line():
    done = subprocess.run([sys.executable, "-m", "limner", "recipes"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert "coco" in done.stdout


def test_train_writes_a_run_folder_with_pictures(command, here):
    status, out, err = command("train", "tiny.toml", "--set", "training.steps=2")
    assert status == 0
    assert out == f"The model is in {Path('runs/tiny')}, its pictures in {Path('runs/tiny/pictures')}.\n"
    assert "training: 100%" in err
    assert tomllib.loads((here / "runs/tiny/recipe.toml").read_text())["training"]["steps"] == 2
    pictures = sorted(path.name for path in (here / "runs/tiny/pictures").iterdir())
    assert pictures == ["film.png", "samples.png", "step_000000.png", "step_000001.png", "step_000002.png"]
    for name in pictures:
        with Image.open(here / "runs/tiny/pictures" / name) as picture:
            picture.verify()


def test_train_never_overwrites_a_run_folder(command, here):
    for number in ("", "-2", "-3"):
        status, _, err = command("train", "tiny.toml", "--quiet", "--set", "training.steps=1")
        assert (status, err) == (0, "")
        assert (here / f"runs/tiny{number}/weights.safetensors").is_file()
        assert (here / f"runs/tiny{number}/pictures/film.png").is_file()


def test_train_evaluate_keeps_the_scores(command, here):
    changes = ["--set", "metrics.scene-judge.prompts=5"]
    status, out, _ = command("train", "tiny.toml", "--out", "run", "--evaluate", "--quiet", *changes)
    assert status == 0
    assert "held out" in out
    scores = json.loads((here / "run/scores.json").read_text())
    assert 0 <= scores["trained/exact"] <= 1

    status, out, _ = command("evaluate", "run", "--json")
    assert status == 0
    everything = json.loads(out)
    assert scores.items() < everything.items(), "the same prompts and noise, and more metrics"
    assert everything == json.loads((here / "run/scores.json").read_text())


def test_paint_writes_a_row_for_each_prompt(command, trained, here):
    prompts = ["a red circle above a blue square", "a blue square"]
    status, out, err = command("paint", trained, *prompts, "-n", 3, "--seed", 5, "--out", "deep/red.png")
    assert (status, out.strip(), err) == (0, "deep/red.png", "")
    with Image.open(here / "deep/red.png") as picture:
        width, height = picture.size
    assert width > 3 * 128
    assert height > 2 * 128


def test_the_same_seed_paints_the_same_file(command, trained, here):
    for name, seed in (("one", 1), ("same", 1), ("other", 2)):
        command("paint", trained, "a red circle", "--seed", seed, "--out", f"{name}.png")
    one, same, other = ((here / f"{name}.png").read_bytes() for name in ("one", "same", "other"))
    assert one == same != other


def test_unknown_words_are_noted(command, trained, here):
    status, _, err = command("paint", trained, "a red elephant above a Blue giraffe!")
    assert status == 0
    assert (here / "painted.png").is_file()
    assert err == "Note: Training never showed the model: 'elephant', 'giraffe'.\n"


def test_plugins_and_recipes_are_listed(command):
    status, out, _ = command("plugins")
    assert status == 0
    assert "limner 0.1.0" in out
    assert "loss: caption-contrast, cycle, damsm," in out
    report = json.loads(command("plugins", "--json")[1])
    assert [plugin["name"] for plugin in report["plugins"] if plugin["problem"]] == []
    assert report["clashes"] == []
    status, out, _ = command("models")
    assert status == 0
    assert "quickstart" in out
    status, out, _ = command("recipes")
    assert status == 0
    assert "Photographs" in out or "photographs" in out


def test_broken_plugins_and_clashes_are_listed(command, install):
    clashing = "from limner.hooks import hookimpl\n\n@hookimpl\ndef limner_losses():\n    return {'hinge': 'a:B'}\n"
    install("limner-broken", "1.2", {"broken": "limner_broken"}, limner_broken="import no_such_module")
    install("limner-glow", "0.3", {"glow": "limner_glow"}, limner_glow=clashing)
    status, out, _ = command("plugins")
    out = " ".join(out.split())
    assert status == 0
    assert "limner-broken 1.2" in out
    assert "No module named 'no_such_module'" in out
    assert (
        "two plugins bring the loss 'hinge': plugin 'baseline' (limner 0.1.0) and plugin 'glow' (limner-glow 0.3)"
        in out
    )
    assert "encoder: lstm, mlp, phrase, transformer" in out
    status, _, err = command("train", "tiny.toml")
    assert status == 1
    assert "two plugins bring the loss 'hinge'" in err


# --- exported data --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_exported_scenes_train_like_the_original(command, here):
    status, out, _ = command("export-data", "tiny.toml", "--out", "scenes", "--set", "data.count=20")
    assert status == 0
    assert out == "20 images and their captions are in scenes.\n"
    table = json.loads((here / "scenes/captions.json").read_text())
    assert len(table["images"]) == len(list((here / "scenes/images").iterdir())) == 20
    assert all(isinstance(image["facts"], list) for image in table["images"])
    assert all(len(a["asked"]) == len(table["images"][0]["facts"]) for a in table["annotations"])
    assert all(a["distractors"] for a in table["annotations"])

    drawn = ["tiny.toml", "--quiet", "--set", "data.count=20"]
    assert command("train", *drawn, "--out", "from-scenes")[0] == 0
    assert command("train", *drawn[:2], "--set", "data={name='coco', root='scenes'}", "--out", "from-files")[0] == 0
    one, other = (limner.load(here / name).state_dict() for name in ("from-scenes", "from-files"))
    assert all((one[name] == other[name]).all() for name in one), "PNG files have the same pixels"


def test_part_of_a_folder_can_be_exported(command, make_folder, here):
    folder = make_folder(count=8)
    some = f"data={{name='coco', root='{folder.name}', limit=3}}"
    assert command("export-data", "tiny.toml", "--out", "part", "--set", some)[0] == 0
    listed = json.loads((here / "part/captions.json").read_text())["images"]
    assert {image["file_name"] for image in listed} == {path.name for path in (here / "part/images").iterdir()}
    assert len(listed) == 3
    again = command("export-data", "tiny.toml", "--out", "again", "--set", "data={name='coco', root='part'}")
    assert again[:2] == (0, "3 images and their captions are in again.\n")


def test_export_never_writes_outside_its_folder(command, make_folder, here):
    folder = make_folder(count=2)
    (folder / "images/000.png").rename(folder / "stray.png")
    text = (folder / "captions.json").read_text().replace("000.png", "../stray.png")
    (folder / "captions.json").write_text(text)
    stray = f"data={{name='coco', root='{folder.name}'}}"
    status, _, err = command("export-data", "tiny.toml", "--out", "deep/copy", "--set", stray)
    assert (status, err) == (
        1,
        f"Error: The image ../stray.png would be written outside {Path('deep/copy')}; give it a plain file_name.\n",
    )
    assert not (here / "deep").exists()


# --- bad input ends with one line -----------------------------------------------------------------------------------

BAD = {
    "unknown recipe": (["train", "coc"], "Error: There is no recipe 'coc', did you mean 'coco'"),
    "unknown file": (["train", "mine.toml"], "Error: There is no recipe file mine.toml."),
    "unknown component": (["train", "tiny.toml", "--set", "encoder.name=lstn"], "did you mean 'lstm'"),
    "unknown option": (["train", "tiny.toml", "--set", "encoder.widht=8"], "encoder.widht: .* did you mean 'width'"),
    "wrong type": (["train", "tiny.toml", "--set", "training.steps=many"], "training.steps: expected a valid integer"),
    "wrong setting": (["train", "tiny.toml", "--set", "steps"], "expected KEY=VALUE"),
    "folder in use": (["train", "tiny.toml", "--out", "."], "is there already and is not an empty folder"),
    "sizes that do not fit": (["train", "tiny.toml", "--set", "generator.channels=[8, 8, 8, 8]"], "4 levels make"),
    "no photographs": (
        ["train", "tiny.toml", "--set", "data={name='coco', root='x'}"],
        "data.root: there is no folder",
    ),
    "export over something": (["export-data", "tiny.toml", "--out", "."], "is there already"),
    "export of an unknown recipe": (["export-data", "coc", "--out", "x"], "There is no recipe 'coc'"),
    "no run": (["paint", "nowhere", "a red circle"], "There is no run folder nowhere"),
    "no run to measure": (["evaluate", "nowhere"], "There is no run folder nowhere"),
    "foreign folder": (["paint", ".", "a red circle"], "is not a run folder: it has no recipe.toml"),
    "half written": (["paint", "half", "a red circle"], "half is only half written"),
    "empty prompt": (["paint", "RUN", " "], "The prompt is empty"),
    "one empty prompt": (["paint", "RUN", "a red circle", ""], "The prompt is empty"),
    "long prompt": (["paint", "RUN", "red " * 30], "The prompt has 32 tokens and the model reads at most 24"),
    "another language": (["paint", "RUN", "красный круг"], "No word of the prompt 'красный круг' was in the training"),
    "no words": (["paint", "RUN", "?!"], "No word of the prompt"),
    "unknown ending": (
        ["paint", "RUN", "a red circle", "--out", "red.picture"],
        "red.picture: pictures are written as",
    ),
    "no ending": (["paint", "RUN", "a red circle", "--out", "red"], "red: pictures are written as .png"),
    "file for a folder": (["paint", "RUN", "a red circle", "--out", "tiny.toml/red.png"], "cannot be written"),
    "seed too large": (["paint", "RUN", "a red circle", "--seed", str(2**64)], "seed: expected a number from 0"),
}


@pytest.mark.parametrize(("arguments", "message"), BAD.values(), ids=BAD)
def test_bad_input_ends_with_one_line(command, trained, here, arguments, message):
    (here / "half").mkdir()
    (here / "half/recipe.toml").write_text((here / "tiny.toml").read_text())
    before = sorted(here.rglob("*"))
    status, out, err = command(*[trained if argument == "RUN" else argument for argument in arguments])
    assert status == 1
    assert out == ""
    assert err.startswith("Error: ")
    assert err.count("\n") == 1
    assert re.search(message, err)
    assert sorted(here.rglob("*")) == before, "no file is left behind"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["paint", "RUN", "a red circle", "-n", "0"], "'-n'"),
        (["paint", "RUN", "a red circle", "-n", "many"], "'-n'"),
        (["paint", "RUN", "a red circle", "--seed", "-1"], "'--seed'"),
        (["paint", "RUN"], "prompts"),
        (["train"], "recipe"),
        (["trian"], "trian"),
        (["train", "tiny.toml", "--step", "3"], "--step"),
    ],
)
def test_a_wrong_argument_is_named(command, arguments, named):
    status, _, err = command(*arguments)
    assert status == 2
    assert named in err.lower()  # some versions of Typer write an argument in capitals
    assert "Traceback" not in err


def test_a_broken_plugin_does_not_stop_other_commands(command, install, trained, here):
    install("limner-broken", "1.2", {"broken": "limner_broken"}, limner_broken="raise SystemExit(3)")
    assert command("paint", trained, "a red circle")[0] == 0
