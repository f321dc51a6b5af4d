"""With `--json`, a command that prints a table prints JSON and nothing else, which every program can read."""

import json
import math
import shutil

import pytest
import tomli_w
from limner.cli.output import print_json


@pytest.mark.parametrize(
    "words",
    [
        ["plugins"],
        ["recipes"],
        ["models"],
        ["runs", "."],
        ["show", "RUN"],
        ["describe", "loss", "hinge"],
        ["evaluate", "RUN", "--metric", "scene-diversity"],
        ["train", "tiny.toml", "--dry-run"],
        ["data", "folder", "--root", "photos"],
        ["data", "coco", "--root", "photos"],
    ],
    ids=" ".join,
)
def test_json_is_all_that_is_printed(command, trained, recipe, make_folder, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    make_folder(count=2)
    (tmp_path / "tiny.toml").write_text(tomli_w.dumps(recipe))
    run = shutil.copytree(trained, tmp_path / "run")  # `evaluate` keeps scores in it
    _, out, _ = command(*[run if word == "RUN" else word for word in words], "--json")
    assert json.loads(out)
    assert out.isascii()


def test_a_folder_tells_whether_it_is_complete(command, make_folder):
    folder = make_folder(count=4)
    status, out, _ = command("data", "folder", "--root", folder, "--json")
    found = json.loads(out)
    assert (status, found["images"], found["captions"], found["complete"]) == (0, 4, 8, True)
    (folder / "images/001.png").unlink()
    status, out, _ = command("data", "folder", "--root", folder, "--json")
    found = json.loads(out)
    assert (status, found["missing"], found["complete"]) == (1, 1, False)


def test_shards_are_counted(command, make_folder, tmp_path, recipe, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(tomli_w.dumps(recipe))
    command("export-data", "tiny.toml", "--out", "s", "--shards", "2", "--set", "data.count=6")
    status, out, _ = command("data", "shards", "--root", "s", "--json")
    found = json.loads(out)
    assert (status, found["shards"], found["images"], found["complete"], found["notes"]) == (0, 2, 6, True, [])


def test_json_of_a_training_needs_a_dry_run(command):
    status, out, err = command("train", "quickstart", "--json")
    assert (status, out) == (2, "")
    assert "--dry-run" in err


def test_numbers_that_json_lacks_are_null(capsys, tmp_path):
    print_json({"a": [math.nan, 1.5], 2: (math.inf,), "ü": tmp_path})
    assert json.loads(capsys.readouterr().out) == {"a": [None, 1.5], "2": [None], "ü": str(tmp_path)}
