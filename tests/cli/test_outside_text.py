"""What comes from outside, in names, titles and prompts, is shown as it is; and output is never lost."""

import io
import json
import re
import shutil

import pytest
import tomli_w

ODD = "[/b] [red]x[/red] \x1b]0;title\x07 \u202e :cat:"
SHOWN = r"[/b] [red]x[/red] \x1b]0;title\x07 \u202e :cat:"

RECIPES = """
from limner.hooks import hookimpl

@hookimpl
def limner_recipes():
    return {"missing": "limner_glow_recipes:gone.toml", "odd": "limner_glow_recipes:odd.toml",
            "module": "json.decoder:gone.toml", "nowhere": "no_such_package:gone.toml",
            "noise": "limner_glow_recipes:noise.toml"}

@hookimpl
def limner_losses():
    return {ODD: "limner.testing:LeastSquares"}
"""


@pytest.fixture
def here(tmp_path, monkeypatch, recipe):
    """A working folder with the tiny recipe."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(tomli_w.dumps(recipe))
    return tmp_path


@pytest.fixture
def odd_plugin(install):
    """A plugin whose recipes are all wrong, and whose names and titles are markup and control characters."""
    site = install("limner-glow", "1.2", {"glow": "limner_glow"}, limner_glow=f"ODD = {ODD!r}\n{RECIPES}")
    folder = site / "limner_glow_recipes"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "odd.toml").write_text(tomli_w.dumps({"title": ODD}))
    (folder / "noise.toml").write_bytes(b"\xff\x00[[[")


# --- plugins --------------------------------------------------------------------------------------------------------


def test_wrong_recipes_of_a_plugin_are_listed(command, odd_plugin):
    status, out, _ = command("recipes")
    assert status == 0
    assert SHOWN in out
    assert "quickstart" in out
    assert out.count("broken: ") == 4
    words = " ".join(out.replace("│", " ").split())
    assert "there is no file" in words
    assert "is not valid TOML" in words
    assert "no_such_package" in words
    for name in ("missing", "module", "nowhere", "noise"):
        status, _, err = command("train", name)
        assert status == 1
        assert err.startswith("Error: ")
        assert err.count("\n") == 1
        assert command("describe", "recipe", name)[0] == 1
    assert command("describe", "recipe")[0] == 0


def test_names_are_no_markup(command, odd_plugin):
    for words in (["plugins"], ["plugins", "--timing"], ["describe", "loss"], ["describe", "recipe", "odd"]):
        status, out, _ = command(*words)
        assert status == 0
        assert "\x07" not in out
        assert "\u202e" not in out
    assert f"loss: {SHOWN}" in command("plugins")[1]
    assert SHOWN in command("train", "quickstart", "--set", "losses.x={}")[2]


@pytest.mark.parametrize("words", [["plugins"], ["describe", "loss"], ["describe", "loss", "loud"], ["describe"]])
def test_a_plugin_that_prints_leaves_json_alone(command, install, words):
    source = "print('hello')\nfrom limner.hooks import hookimpl\n@hookimpl\ndef limner_losses():\n    print('hook')\n"
    source += "    return {'loud': 'limner_louder:Loud'}\n"
    louder = "print('louder')\nfrom limner.testing import LeastSquares\nclass Loud(LeastSquares):\n    'Loud.'\n"
    install("limner-loud", "1.2", {"loud": "limner_loud"}, limner_loud=source, limner_louder=louder)
    status, out, err = command(*words, "--json")
    assert status == 0
    assert json.loads(out)
    assert err.startswith("hello\nhook\n")


def test_what_an_empty_variable_hides_is_told(command, monkeypatch):
    monkeypatch.setenv("LIMNER_PLUGINS", "")
    for words in (["plugins"], ["recipes"]):
        assert "hidden: LIMNER_PLUGINS='' leaves out attention, baseline" in command(*words)[1]
    assert "scenes" in json.loads(command("plugins", "--json")[1])["hidden"]
    assert "LIMNER_PLUGINS='' leaves out attention, baseline" in command("train", "quickstart")[2]
    monkeypatch.delenv("LIMNER_PLUGINS")
    assert "hidden" not in command("plugins")[1]


def test_a_new_plugin_takes_no_name_that_is_there(command, here):
    status, _, err = command("new-plugin", "limner-hinge", "--kind", "loss")
    assert (status, err) == (
        1,
        "Error: limner-hinge: plugin 'baseline' (limner 0.1.0) already brings a loss 'hinge'; choose another name.\n",
    )
    assert "there is already a plugin 'scenes'" in command("new-plugin", "scenes", "--kind", "loss")[2]
    assert list(here.iterdir()) == [here / "tiny.toml"]
    assert command("new-plugin", "limner-hinge", "--kind", "attention")[0] == 0


def test_printed_hints_can_be_pasted(command, here):
    out = command("new-plugin", "limner-glow", "--kind", "loss", "--out", "my plugins/it's")[1]
    assert """pip install -e 'my plugins/it'"'"'s[dev]'""" in out


# --- prompts, names and folders -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["paint", "RUN", "a red \udcff circle"], "has characters that are no text"),
        (["explain", "RUN", "a red \udcff circle"], "has characters that are no text"),
        (["paint", "RUN", "a red circle", "--truncation", "nan"], "truncation: expected how far .* above 0, got nan"),
        (["paint", "RUN", "a red circle", "--truncation", "-inf"], "truncation: expected how far .* above 0, got -inf"),
        (["paint", "RUN", "--with", "RUN", "a red circle", "--weights", "nan,1"], "weights: expected 2 numbers from 0"),
        (["paint", "RUN", "--with", "RUN", "a red circle", "--weights", "inf,1"], "weights: expected 2 numbers from 0"),
        (["paint", "RUN", "a red circle", "--out", "n" * 300 + ".png"], "cannot be written: File name too long"),
        (["paint", "n" * 300, "a red circle"], "cannot be read: File name too long"),
        (["train", "tiny.toml", "--out", "n" * 300], "cannot be written: File name too long"),
        (["train", "tiny.toml", "--out", "run\udcff"], "is not valid text"),
        (["train", "tiny.toml", "--set", "title=\udcff"], "title: expected text"),
        (["train", "n" * 5000], "There is no recipe 'nnn|File name too long"),
        (["train", "tiny.toml", "--set", f"image_size={'9' * 5000}"], "image_size: expected a valid integer"),
        (["new-plugin", "limner-glow", "--kind", "loss", "--out", "n" * 300], "File name too long"),
        (["tutorials", "n" * 300], "File name too long"),
        (["compare", "tiny.toml", "--vary", "encoder.width=8,16", "--out", "n" * 300], "File name too long"),
    ],
)
def test_odd_input_ends_with_one_line(command, trained, here, arguments, message):
    before = sorted(here.rglob("*"))
    status, out, err = command(*[trained if argument == "RUN" else argument for argument in arguments])
    assert (status, out) == (1, "")
    assert err.count("\n") == 1
    assert len(err) < 620
    assert re.search(message, err)
    assert sorted(here.rglob("*")) == before


def test_control_characters_of_a_prompt_do_not_reach_the_terminal(command, trained, here):
    _, out, err = command("paint", trained, "a red circle \x1b[31m \x1b]0;evil\x07 \x9b2J", "--out", "o.png")
    assert "\x1b" not in out + err
    assert "\x9b" not in out + err
    _, out, err = command("paint", trained, "\x1b[31mevil")
    assert r"\x1b[31mevil" in err
    _, out, err = command("paint", trained, "a red circle", "--out", "\x1b[31m.png")
    assert out == "\\x1b[31m.png\n"


def test_a_terminal_without_unicode_shows_what_it_can(command, trained, here, monkeypatch):
    shown = io.BytesIO()
    terminal = io.TextIOWrapper(shown, "ascii", write_through=True)
    with monkeypatch.context() as patch:
        patch.setattr("sys.stdout", terminal)
        assert command("paint", trained, "a red circle", "--out", "ü.png")[0] == 0
    assert shown.getvalue() == b"\\xfc.png\n"
    assert (here / "ü.png").is_file()


# --- scores that cannot be kept -------------------------------------------------------------------------------------


def test_scores_that_cannot_be_written_are_still_shown(command, trained, here):
    run = shutil.copytree(trained, here / "run")
    (run / "scores.json").mkdir()
    small = ["--metric", "scene-diversity"]
    status, out, err = command("evaluate", run, *small)
    assert status == 1
    assert "diversity" in out
    assert err.startswith(f"Error: {run / 'scores.json'} cannot be written: ")
    assert err.count("\n") == 1
    status, out, _ = command("evaluate", run, *small, "--json")
    assert status == 1
    assert json.loads(out).keys() == {"diversity"}


def test_train_evaluate_tells_before_training_what_cannot_be_measured(command, here):
    odd = ["--set", "metrics={retrieval={trials=100000}}"]
    status, _, err = command("train", "tiny.toml", "--out", "run", "--evaluate", "--quiet", *odd)
    assert status == 1
    assert "retrieval: the data has" in err
    assert not (here / "run").exists()
