"""`limner runs` and `limner show`: what they say of whole, unfinished and damaged folders."""

import json
import shutil
import subprocess
import sys

import pytest
import tomli_w


@pytest.fixture
def here(tmp_path, monkeypatch, trained, root):
    """A working folder with runs in every state, a comparison, and things that are neither."""
    monkeypatch.chdir(tmp_path)
    for name in ("whole", "deep/er", "half", "broken", "odd [red]", "cut"):
        shutil.copytree(trained, tmp_path / "runs" / name)
    runs = tmp_path / "runs"
    (runs / "whole/scores.json").write_text('{"trained/exact": 0.5, "trained/shape": 0.7, "diversity": 0.25}')
    (runs / "half/weights.safetensors").unlink()
    (runs / "half/state.safetensors").unlink()
    (runs / "half/recipe.toml").write_text((runs / "half/recipe.toml").read_text().replace("steps = 3", "steps = 30"))
    (runs / "broken/recipe.toml").write_text("[[[")
    (runs / "broken/pictures/note.txt").write_text("not a picture")
    (runs / "cut/weights.safetensors").write_bytes(b"\x10\x00")
    (runs / "empty").mkdir()
    (runs / "note.txt").write_text("")
    shutil.copytree(root / "comparisons/attention", runs / "attention")
    (runs / "spoiled").mkdir()
    (runs / "spoiled/results.json").write_text('{"runs": [')
    return tmp_path


def test_all_runs_and_comparisons_are_listed(command, here):
    status, out, err = command("runs")
    assert (status, err) == (0, "")
    assert "[red]" in out
    assert "damaged: " in out
    rows = {row["folder"]: row for row in json.loads(command("runs", "--json")[1])["runs"]}
    assert list(rows) == [
        f"runs/{name}" for name in ("attention", "broken", "cut", "deep/er", "half", "odd [red]", "spoiled", "whole")
    ]
    whole, half, found = (rows[f"runs/{name}"] for name in ("whole", "half", "attention"))
    assert (whole["kind"], whole["progress"], whole["finished"], whole["problem"]) == ("run", "3 of 3", True, None)
    assert whole["scores"] == {"trained/exact": 0.5, "trained/shape": 0.7, "diversity": 0.25}
    assert whole["bytes"] > 10_000
    assert (half["progress"], half["finished"]) == ("3 of 30", False)
    assert "weights" in half["problem"]
    assert "weights" in rows["runs/cut"]["problem"]
    assert (found["kind"], found["progress"]) == ("comparison", "12 of 12 runs, 1200 steps each")
    exact = [
        run["scores"]["trained/exact"] for run in json.loads((here / "runs/attention/results.json").read_text())["runs"]
    ]
    assert found["scores"]["trained/exact"] == pytest.approx([min(exact), max(exact)])
    for name, cause in (("broken", "is not valid TOML"), ("spoiled", "is damaged")):
        assert rows[f"runs/{name}"]["kind"] == "damaged"
        assert cause in rows[f"runs/{name}"]["problem"]


def test_no_runs_is_no_error_but_no_folder_is(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command("runs") == (0, "There are no runs in runs; `limner train quickstart` makes one.\n", "")
    assert json.loads(command("runs", "--json")[1]) == {"runs": []}
    status, out, err = command("runs", "nowhere")
    assert (status, out) == (1, "")
    assert err == "Error: There is no folder nowhere; name one that has run folders in it.\n"


def test_a_run_is_shown_with_what_can_be_done_next(command, here):
    status, out, err = command("show", "runs/whole")
    assert (status, err) == (0, "")
    assert "3 of 3" in out
    assert "limner train --resume runs/whole --set training.steps=6" in out
    assert "limner paint runs/whole" in out
    shown = json.loads(command("show", "runs/odd [red]", "--json")[1])
    assert shown["next"]["to evaluate it"] == "limner evaluate 'runs/odd [red]'"
    assert shown["machine"]["threads"] == "1"
    assert shown["parts"]["losses"] == "hinge, r1, sentence-contrast, noise-reading"
    half = json.loads(command("show", "runs/half", "--json")[1])
    assert list(half["next"]) == ["to see all of it"]


def test_changes_are_those_from_the_nearest_named_recipe(command, here, plugins):
    from limner.recipes.merging import resolve

    table = resolve(plugins, "quickstart", ["training.steps=7", "encoder={name='lstm'}", "losses.r1.weight=0.5"])
    (here / "runs/whole/recipe.toml").write_text(tomli_w.dumps(table))
    shown = json.loads(command("show", "runs/whole", "--json")[1])
    assert shown["recipe"] == "quickstart"
    assert shown["changes"]["training.steps"] == {"recipe": 2400, "run": 7}
    assert shown["changes"]["encoder.name"] == {"recipe": "phrase", "run": "lstm"}
    assert shown["changes"]["losses.r1.weight"] == {"recipe": 0.05, "run": 0.5}
    assert json.loads(command("show", "scenes-128", "--json")[1])["changes"] == {}
    only_precision = {"training.precision": {"recipe": "auto", "run": "float32"}}
    assert json.loads(command("show", "quickstart", "--json")[1])["changes"] == only_precision


@pytest.mark.parametrize(
    ("run", "message"),
    [
        ("nowhere", "There is no run folder nowhere"),
        ("runs/empty", "is not a run folder: it has no recipe.toml"),
        ("runs/broken", "is not valid TOML"),
        ("runs/attention", "is a comparison; `limner report runs/attention"),
        ("n" * 300, "File name too long"),
    ],
)
def test_what_cannot_be_shown_is_one_sentence(command, here, run, message):
    status, out, err = command("show", run)
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert message in err


@pytest.mark.parametrize("name", ["history.json", "scores.json"])
@pytest.mark.parametrize("content", ["[1]", "{}x", '{"a": "b"}', "[" * 100_000, "\x00"])
def test_damaged_files_are_told(command, here, name, content):
    (here / "runs/whole" / name).write_text(content)
    status, _, err = command("show", "runs/whole")
    assert (status, err.count("\n")) == (1, 1)
    assert f"{name} is damaged" in err
    assert command("runs")[0] == 0


@pytest.mark.slow
def test_neither_needs_torch(here):
    code = """
import sys
from limner.cli import main
try:
    main()
except SystemExit:
    print(sorted({'torch', 'pandas', 'transformers'} & set(sys.modules)), file=sys.stderr)
"""
    for words in (["runs"], ["show", "runs/whole"], ["show", "runs/whole", "--json"], ["models", "--json"]):
        done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=120)
        assert (done.returncode, done.stderr.strip()) == (0, "[]"), done.stderr
