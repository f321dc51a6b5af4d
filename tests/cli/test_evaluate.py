"""`limner evaluate` and `limner paint`: how their options combine with the recipe's sampling settings."""

import json
import shutil
from pathlib import Path

import pytest
from limner import Report
from limner.models.painter import TrainedPainter
from limner.recipes.schema import Sampling

SAMPLING = '\n[sampling]\ntruncation = 0.8\ncandidates = 3\nby = "sentence-contrast"\n'
ONE_METRIC = ("--metric", "scene-diversity", "--json")


@pytest.fixture
def run(trained, tmp_path) -> Path:
    """A run whose recipe has sampling settings of its own."""
    folder = tmp_path / "run"
    shutil.copytree(trained, folder)
    (folder / "scores.json").unlink(missing_ok=True)
    recipe = (folder / "recipe.toml").read_text().partition("\n[sampling]")[0]
    (folder / "recipe.toml").write_text(recipe + SAMPLING)
    return folder


@pytest.fixture
def asked(monkeypatch) -> list[Sampling | None]:
    """The sampling settings with which models were evaluated; the evaluation itself is skipped."""
    found = []

    def evaluate(self, size=None, sampling=None, metrics=None):
        found.append(sampling)
        return Report({"score": 1.0})

    monkeypatch.setattr(TrainedPainter, "evaluate", evaluate)
    return found


CHANGES = {
    "nothing": ([], {}),
    "truncation": (["--truncation", 0.5], {"truncation": 0.5}),
    "best of 1": (["--best-of", 1], {"candidates": 1}),
    "best of 8": (["--best-of", 8], {"candidates": 8}),
    "by": (["--by", "caption"], {"by": "caption"}),
    "two": (["--best-of", 2, "--by", "matching"], {"candidates": 2, "by": "matching"}),
    "the recipe's own": (["--truncation", 0.8, "--best-of", 3, "--by", "sentence-contrast"], {}),
}


@pytest.mark.parametrize(("options", "changes"), CHANGES.values(), ids=CHANGES)
def test_options_replace_sampling_settings_one_by_one(command, run, asked, options, changes):
    assert command("evaluate", run, *options)[0] == 0
    own = Sampling(truncation=0.8, candidates=3, by="sentence-contrast")
    assert asked == [own.model_copy(update=changes) if changes else None]
    assert (run / "scores.json").exists() == (not changes), "scores of changed settings are not kept"


def test_an_ensemble_keeps_the_recipes_sampling(command, run, trained, asked):
    assert command("evaluate", run, "--with", trained)[0] == 0
    assert command("evaluate", run, "--with", trained, "--truncation", 0.5)[0] == 0
    assert asked == [None, Sampling(truncation=0.5, candidates=3, by="sentence-contrast")]
    assert not (run / "scores.json").exists()


def test_changed_sampling_changes_the_scores(command, run):
    best_of_three = json.loads(command("evaluate", run, *ONE_METRIC)[1])
    one = json.loads(command("evaluate", run, *ONE_METRIC, "--best-of", 1)[1])
    assert one != best_of_three
    assert json.loads((run / "scores.json").read_text()) == best_of_three


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate", "RUN", "--by", "caption"], "--by chooses among several images; say how many with --best-of."),
        (["evaluate", "RUN", "--truncation", 0], "--truncation 0.0: expected a number above 0."),
        (["evaluate", "RUN", "--truncation", "nan"], "--truncation nan: expected a number above 0."),
        (["paint", "RUN", "a red circle", "--by", "caption"], "--by chooses among several images; say how many with"),
    ],
)
def test_an_option_without_effect_is_an_error(command, trained, arguments, message):
    status, out, err = command(*[trained if argument == "RUN" else argument for argument in arguments])
    assert (status, out) == (1, "")
    assert err.startswith(f"Error: {message}")


@pytest.fixture
def quick(monkeypatch):
    """The full report without its measurements."""
    from limner.models.full_report import FullReport, Measured

    asked = []

    def full_report(self, size=None, sampling=None):
        asked.append(self.recipe.metrics)
        return FullReport([Measured("scene-judge", {"exact": 0.5}, "12 prompts, seed 0"), Measured("odd", {}, "no")])

    monkeypatch.setattr(TrainedPainter, "full_report", full_report)
    return asked


def test_the_full_suite_is_kept_beside_the_scores(command, run, quick):
    status, out, _ = command("evaluate", run, "--suite", "full")
    assert status == 0
    assert "12 prompts, seed 0" in out
    rows = json.loads((run / "scores_full.json").read_text())
    assert rows[0] == {"metric": "scene-judge", "score": "exact", "value": 0.5, "about": "12 prompts, seed 0"}
    assert json.loads(command("evaluate", run, "--suite", "full", "--json")[1]) == rows
    assert not (run / "scores.json").exists()


def test_options_of_metrics_can_be_set(command, run, quick):
    settings = ["--set", "metrics.distribution.images=20", "--set", "metrics.clip-score.model=folder"]
    assert command("evaluate", run, "--suite", "full", *settings)[0] == 0
    assert quick[0]["distribution"].options == {"images": 20}
    assert quick[0]["clip-score"].options == {"model": "folder"}
    assert "scene-judge" in quick[0], "those of the data stay"
    assert not (run / "scores_full.json").exists(), "scores of changed options are not kept"


def test_the_suite_of_the_data(command, run):
    few = ["--set", "metrics.scene-judge.prompts=4", "--set", "metrics.scene-diversity={prompts = 2, images = 2}"]
    own = json.loads(command("evaluate", run, "--suite", "own", "--json", *few)[1])
    assert "trained/exact" in own
    assert "FID" not in own


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "data.count=3"], "--set data.count=3: only options of metrics can be changed here"),
        (["--set", "metrics.distribution.imagse=3"], "metrics.distribution"),
        (["--suite", "full", "--metric", "retrieval"], "--metric runs single metrics, and --suite full all of them"),
    ],
)
def test_settings_that_do_not_fit_are_one_sentence(command, run, arguments, message):
    status, out, err = command("evaluate", run, *arguments)
    assert (status, out) == (1, "")
    assert message in err
