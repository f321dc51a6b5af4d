"""Run folders of strangers, damaged ones, and a disk that is full: one sentence, no code, and no memory for nothing."""

import json
import re
import shutil
import signal
import tomllib

import limner
import pytest
import tomli_w
import torch
from limner import LimnerError
from limner.errors import LONGEST
from limner.models import run_folder
from safetensors import SafetensorError

PROMPT = "a red circle above a blue square"


@pytest.fixture
def run(trained, tmp_path):
    """A copy of a run folder, to be changed."""
    return shutil.copytree(trained, tmp_path / "run")


def change(file, **entries):
    """Replace entries of a JSON file; `a__b` is the key b of the table a."""
    table = json.loads(file.read_text())
    for key, value in entries.items():
        *tables, last = key.split("__")
        inner = table
        for name in tables:
            inner = inner[name]
        inner[last] = value
    file.write_text(json.dumps(table))


def change_recipe(run, **changes):
    table = tomllib.loads((run / "recipe.toml").read_text())
    for key, value in changes.items():
        *tables, last = key.split("__")
        inner = table
        for name in tables:
            inner = inner[name]
        inner[last] = value
    (run / "recipe.toml").write_text(tomli_w.dumps(table))


# --- of strangers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "entries"),
    [
        ("tokenizer/tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["evil.Evil", None]}}),
        ("tokenizer/config.json", {"model_type": "evil", "auto_map": {"AutoConfig": "evil.Evil"}}),
        ("encoder/config.json", {"model_type": "evil", "auto_map": {"AutoConfig": "evil.Evil"}}),
    ],
)
def test_code_of_a_run_folder_is_never_run(run, monkeypatch, file, entries):
    """transformers would ask whether to run it."""
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("the user was asked"))
    path = run / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps((json.loads(path.read_text()) if path.exists() else {}) | entries))
    (path.parent / "evil.py").write_text("raise SystemError('the code was run')")
    with pytest.raises(LimnerError, match=rf"{re.escape(str(path))} asks to run code of its own \('auto_map'\)"):
        limner.load(run)


def test_the_recipe_of_a_run_reads_no_other_file(run, tmp_path):
    (tmp_path / "secret.toml").write_text("title = 'secret'")
    for parent in (str(tmp_path / "secret.toml"), "../secret.toml", "scenes-one"):
        change_recipe(run, extends=parent)
        with pytest.raises(LimnerError, match="extends: the recipe of a run is complete") as caught:
            limner.load(run)
        assert "title" not in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"generator__noise": 100_000_000},
        {"generator__noise": 10**12},
        {"encoder__hidden": 10**9},
        {"image_size": 65536},
        {"image_size": 4096},
        {"text__length": 2_000_000_000},
        {"text__length": 4096},
        {"encoder": {"name": "transformer", "width": 4096}},
    ],
)
def test_a_recipe_takes_no_more_memory_than_the_weights_beside_it(run, monkeypatch, changes):
    change_recipe(run, **changes)

    def refuse(self, *_, **__):
        raise AssertionError("memory was taken for the weights")

    monkeypatch.setattr(torch.Tensor, "uniform_", lambda self, *a, **k: self if self.is_meta else refuse(self))
    monkeypatch.setattr(torch.Tensor, "normal_", lambda self, *a, **k: self if self.is_meta else refuse(self))
    with pytest.raises(LimnerError, match=r"does not fit|damaged|less than or equal|more memory|must|fits") as caught:
        limner.load(run)
    assert len(str(caught.value)) <= LONGEST


# --- damaged --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("history", "message"),
    [
        ([{"generator": 1.0}], "row 1 should be a table with a 'step'"),
        ([{"step": 1}, {"step": "2"}], "row 2 should be a table with a 'step'"),
        ([{"step": 1, "generator": []}], "'generator' in row 1 should be a number"),
        ({"step": 1}, "it should be a list"),
        ([7], "row 1 should be a table"),
    ],
)
def test_a_history_without_steps_is_damaged(run, history, message):
    (run / "history.json").write_text(json.dumps(history))
    with pytest.raises(LimnerError, match=rf"history\.json is damaged: {message}"):
        limner.load(run)


@pytest.mark.parametrize(
    ("file", "entries"),
    [
        ("tokenizer_config.json", {"model_max_length": []}),
        ("tokenizer_config.json", {"pad_token": {"content": 3}}),
        ("tokenizer.json", {"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(?="}, "behavior": "Isolated"}}),
        ("tokenizer.json", {"model": {}}),
        ("tokenizer.json", {"model__vocab": {"a": -1}}),
        ("words.json", {"words": 3}),
        ("words.json", {"words": [3]}),
        ("words.json", {"length": 7}),
        ("words.json", {"length": "24"}),
        ("words.json", {"length": -5}),
    ],
)
def test_a_damaged_tokenizer_is_one_sentence(run, file, entries):
    change(run / "tokenizer" / file, **entries)
    with pytest.raises(
        LimnerError, match=rf"The tokenizer in {re.escape(str(run / 'tokenizer'))} is damaged"
    ) as caught:
        limner.load(run)
    assert len(str(caught.value)) <= LONGEST


def test_rules_that_never_end_are_one_sentence(run):
    """A regular expression of a tokenizer may try more ways to match than there is time for."""
    rule = {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated", "invert": False}
    change(run / "tokenizer" / "tokenizer.json", pre_tokenizer=rule)
    model = limner.load(run)
    with pytest.raises(LimnerError, match=r"The tokenizer cannot read 'a+b': .*limit"):
        model.paint("a" * 40 + "b")


def test_deeply_nested_json_is_damaged(run):
    for file in ("history.json", "tokenizer/words.json"):
        (run / file).write_text("[" * 200_000)
        with pytest.raises(LimnerError, match="is damaged"):
            limner.load(run)
        (run / file).write_text("[]")


# --- what is shown --------------------------------------------------------------------------------------------------


def test_a_model_shows_no_html_of_its_recipe(trained):
    model = limner.load(trained)
    model.recipe.encoder.name = "<script>alert(1)</script>"
    assert "<script>" not in model._repr_html_()
    assert "&lt;script&gt;" in model._repr_html_()


# --- a full disk ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error", [SafetensorError("I/O error: No space left on device (os error 28)"), OSError(28, "full")]
)
def test_a_full_disk_leaves_the_old_weights(trained, run, monkeypatch, error):
    def fail(_, path, *__):
        path.write_bytes(b"half of it")
        raise error

    monkeypatch.setattr(run_folder, "save_file", fail)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with pytest.raises(
        LimnerError, match=rf"{re.escape(str(run / 'weights.safetensors'))} cannot be written: .*(28|full)"
    ):
        limner.load(trained).save(run)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("room", [0, 100, 1500, 10_000])
def test_a_full_disk_is_one_sentence_for_every_file(trained, tmp_path, room):
    """A process may have a limit for the size of files; what is longer cannot be written."""
    resource = pytest.importorskip("resource", reason="systems without limits")
    model, limits = limner.load(trained), resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        with pytest.raises(LimnerError, match=f"{tmp_path}.* cannot be written: .*File too large"):
            model.save(tmp_path / "run")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert list(tmp_path.rglob("*.partial")) == []


def test_whoever_may_read_the_recipe_may_read_the_weights(trained):
    """safetensors gives its files to their owner alone."""
    assert (trained / "weights.safetensors").stat().st_mode == (trained / "recipe.toml").stat().st_mode
