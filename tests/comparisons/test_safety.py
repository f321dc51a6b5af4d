"""Comparisons that must not start, must not end silently, or must not lose anything."""

import json
import os
import re
from pathlib import Path
from typing import Any, cast

import limner
import pytest
from limner import LimnerError, Metric, hookimpl
from limner.comparisons.results_file import Results, read_results
from limner.locks import LOCK_FILE
from limner.models.trial import StandIn, try_metrics
from limner.recipes.schema import Recipe

WIDTHS = {"encoder.width": [8, 16]}


@pytest.mark.slow
def test_two_comparisons_at_once_lose_nothing(compare, diary, out):
    """One of them trains, the other says who does; started again, it adds its variants."""
    told = []

    def start_another():
        if not told:
            with pytest.raises(LimnerError) as caught:
                compare({"encoder.width": [12, 20]}, seeds=1)
            told.append(str(caught.value))

    diary.act = start_another
    compare(seeds=1)
    assert told[0].startswith(f"{out} is in use by process {os.getpid()} on ")
    compare({"encoder.width": [12, 20]}, seeds=1)
    assert {run.variant for run in read_results(out).runs} == {"8", "16", "12", "20"}
    assert not (out / LOCK_FILE).exists()


class Steps:
    """Counts the steps of the trainings of `compare`, and kills the one of that number, if any, after its step."""

    def __init__(self, kill_at=0):
        self.kill_at, self.made = kill_at, 0

    @hookimpl
    def limner_checkpoint_saved(self):
        if self.kill_at and self.made >= self.kill_at:
            raise SystemExit

    @hookimpl
    def limner_step_finished(self):
        self.made += 1


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_where_it_was_saved(plugins, recipe, tmp_path):
    """The weights and the scores are those of a comparison that was never stopped; no step is made twice."""
    recipe["training"] |= {"steps": 8, "checkpoint_every": 0.25}
    whole = limner.compare(recipe, WIDTHS, 1, out=tmp_path / "whole", quiet=True, plugins=plugins)
    killed, rest = Steps(kill_at=12), Steps()
    with plugins.registered(killed), pytest.raises(SystemExit):
        limner.compare(recipe, WIDTHS, 1, out=tmp_path / "found", quiet=True, plugins=plugins)
    with plugins.registered(rest):
        found = limner.compare(recipe, WIDTHS, 1, out=tmp_path / "found", quiet=True, plugins=plugins)
    assert (killed.made, rest.made) == (12, 4)
    for one, other in zip(whole.results.ordered_runs(), found.results.ordered_runs(), strict=True):
        assert (one.scores, one.steps) == (other.scores, other.steps)
        weights = [tmp_path / name / "runs" for name in ("whole", "found")]
        files = [folder / Path(str(one.folder)).name / "weights.safetensors" for folder in weights]
        assert files[0].read_bytes() == files[1].read_bytes()


def test_a_run_that_was_killed_before_it_was_measured_is_only_measured(plugins, recipe, tmp_path):
    killed, rest = Steps(kill_at=2), Steps()
    with plugins.registered(killed), pytest.raises(SystemExit):
        limner.compare(recipe, WIDTHS, 1, out=tmp_path / "found", quiet=True, plugins=plugins)
    with plugins.registered(rest):
        limner.compare(recipe, {"encoder.width": [8]}, 1, out=tmp_path / "found", quiet=True, plugins=plugins)
    assert (killed.made, rest.made) == (2, 0)


def test_a_run_that_was_killed_before_its_result_was_written_is_only_measured(plugins, recipe, tmp_path, monkeypatch):
    write, rest = Results.write, Steps()

    def die(results, folder):
        if results.runs:
            raise SystemExit
        write(results, folder)

    monkeypatch.setattr(Results, "write", die)
    with pytest.raises(SystemExit):
        limner.compare(recipe, {"encoder.width": [8]}, 1, out=tmp_path / "found", quiet=True, plugins=plugins)
    monkeypatch.setattr(Results, "write", write)
    with plugins.registered(rest):
        limner.compare(recipe, {"encoder.width": [8]}, 1, out=tmp_path / "found", quiet=True, plugins=plugins)
    assert rest.made == 0
    assert not list(tmp_path.glob("found/runs/*/state.safetensors")), "it is large, and needed no more"


class Picky(Metric):
    """A metric that finds out while it measures that it cannot."""

    def measure(self, painter):
        raise LimnerError("picky: the data has too few captions.")


class Curious(Metric):
    """A metric that looks at the weights of a model."""

    def measure(self, painter):
        weights = cast(Any, painter).parameters()
        return {"weights": float(sum(weight.numel() for weight in weights))}


class Brings:
    @hookimpl
    def limner_metrics(self):
        return {"picky": Picky, "curious": Curious}


@pytest.fixture
def metrics(plugins):
    """The plugin host with two more metrics."""
    plugins.register(Brings())
    return plugins


def test_a_metric_that_cannot_measure_is_told_before_any_training(compare, metrics, diary, out, recipe):
    recipe["metrics"] = {"picky": {}}
    with pytest.raises(LimnerError, match="8: picky: the data"):
        compare(recipe=recipe)
    assert diary.runs == []
    assert not out.exists()


def test_a_model_without_captioner_is_told_before_any_training(compare, diary, recipe):
    recipe["metrics"] = {"scene-captions": {}}
    with pytest.raises(LimnerError, match=r"8: This model will have no captioner; .* the loss 'cycle'"):
        compare(recipe=recipe)
    recipe["metrics"] = {"retrieval": {"trials": 2, "candidates": 2}}
    with pytest.raises(LimnerError, match="8: by: no loss of this model can score images"):
        compare(recipe=recipe)
    assert diary.runs == []


def test_a_metric_that_needs_the_real_model_is_not_in_the_way(compare, metrics, recipe):
    recipe["metrics"] = {"curious": {}}
    assert try_metrics(metrics, Recipe.read(metrics, recipe)) == {}
    assert compare(recipe=recipe, seeds=1)["weights"].min() > 100


def test_the_names_of_scores_are_those_of_the_real_model(kept, judged_recipe, plugins):
    comparison, _ = kept
    recipe = Recipe.read(plugins, judged_recipe)
    assert list(try_metrics(plugins, recipe)) == comparison.metrics
    stand_in = StandIn(plugins, recipe)
    assert stand_in.paint(["a red circle", "a blue square"], 2)[0].size == (16, 16)


def test_an_unknown_score_of_a_tradeoff_is_told_before_any_training(plugins, diary, recipe, tmp_path):
    plugins.register(diary)
    vary = {"sampling.truncation": [1.0, 2.0]}
    with pytest.raises(LimnerError, match="No run has the score"):
        limner.tradeoff(recipe, vary, 1, consistency="divers", out=tmp_path / "out", quiet=True, plugins=plugins)
    assert diary.runs == []
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "damage",
    [
        lambda table: table.update(machine={}),
        lambda table: table.update(versions=[]),
        lambda table: table["runs"][0].update(scores=[]),
        lambda table: table["runs"][0].update(scores={"a": "b"}),
        lambda table: table["runs"][0].update(folder="../../elsewhere"),
        lambda table: table["runs"][0].update(seed="0"),
        lambda table: table.update(vary=3),
        lambda table: table.update(runs=[3]),
    ],
)
def test_damaged_results_are_one_sentence(kept, tmp_path, damage):
    table = json.loads((kept[1] / "results.json").read_text())
    damage(table)
    (tmp_path / "results.json").write_text(json.dumps(table))
    with pytest.raises(LimnerError, match=r"results\.json is damaged"):
        limner.load_comparison(tmp_path)


def test_a_page_has_no_markup_of_its_values(kept, tmp_path):
    table = json.loads((kept[1] / "results.json").read_text())
    for run in table["runs"]:
        run["variant"] = f"<script>|{run['variant']}"
    (tmp_path / "results.json").write_text(json.dumps(table | {"source": "<b>"}))
    found = limner.load_comparison(tmp_path)
    assert "<script>" not in found.summary()._repr_html_()
    assert "<script>" not in str(found._repr_html_())
    assert "<" not in found.markdown()


def test_hints_can_be_pasted_into_a_shell(tmp_path):
    folder = tmp_path / "my runs"
    for load in (limner.load_comparison, limner.load_tradeoff, limner.load):
        with pytest.raises(LimnerError, match=re.escape(f"--out '{folder}'")):
            load(folder)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_told_before_any_training(compare, diary, tmp_path):
    (tmp_path / "kept").mkdir(mode=0o500)
    with pytest.raises(LimnerError, match=r"read-only|cannot be written"):
        compare(out=tmp_path / "kept" / "found")
    assert diary.runs == []


def test_a_folder_that_cannot_be_made_is_told_before_any_training(compare, diary, tmp_path):
    (tmp_path / "file").touch()
    for out in (tmp_path / "file" / "found", tmp_path / ("n" * 300), tmp_path / "\udcff"):
        with pytest.raises(LimnerError, match=r"cannot be (created|written|read|the name)"):
            compare(out=out)
    assert diary.runs == []


@pytest.mark.slow
def test_another_version_of_a_plugin_is_not_mixed_in_but_a_new_plugin_may_be(compare, out):
    compare(seeds=1)
    file = out / "results.json"
    table = json.loads(file.read_text())
    del table["versions"]["plugins"]["trackers"]  # as if it was installed since
    file.write_text(json.dumps(table))
    compare(seeds=2)
    table["versions"]["plugins"]["scenes"] = "limner-scenes 0.9"
    file.write_text(json.dumps(table))
    with pytest.raises(LimnerError, match=r"versions.plugins.scenes is .*limner-scenes 0.9.* there and"):
        compare(seeds=3)
