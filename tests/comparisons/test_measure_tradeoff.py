"""The trade-off: its frontier, one training for all ways to sample, and what is written and read back."""

import json

import limner
import numpy as np
import pytest
import tomli_w
from limner import LimnerError, Tradeoff
from limner.comparisons.results import Comparison
from limner.comparisons.results_file import Results, RunResult

METRICS = {
    "scene-judge": {"name": "scene-judge", "prompts": 4},
    "scene-diversity": {"name": "scene-diversity", "prompts": 2, "images": 8},
}
TRUNCATIONS = {"sampling.truncation": [0.05, 1.0, 4.0]}


@pytest.fixture
def small(recipe):
    """The recipe of the comparisons with quick metrics, and a loss that can be varied."""
    return recipe | {"metrics": METRICS, "losses": {"hinge": {}, "noise-reading": {}}}


def tradeoff_of(points):
    """A trade-off of made-up scores, given as a list of (consistency, diversity) for each variant, a pair per seed."""
    runs = [
        RunResult(v, {"key": v}, seed, 1, 1.0, 1.0, "float32", {"trained/exact": x, "diversity": y}, None)
        for v, seeds in points.items()
        for seed, (x, y) in enumerate(seeds)
    ]
    vary, made = {"key": list(points)}, {"machine": {}, "versions": {}, "recipe": {}, "recipes": {}, "overrides": []}
    results = Results("", "", "made up", vary=vary, seeds=2, budget={"steps": 1}, missing=0, runs=runs, **made)
    return Tradeoff(Comparison.of(results), "trained/exact", "diversity", real=(1.0, 1.0))


def test_the_frontier_has_the_variants_that_no_other_beats():
    made = tradeoff_of({"a": [(0.9, 0.2)], "b": [(0.5, 0.5)], "c": [(0.4, 0.4)], "d": [(0.1, 0.9)], "e": [(0.5, 0.3)]})
    assert made.frontier() == ["d", "b", "a"]
    table = made.table()
    assert table["d */diversity"] == 0.9
    assert table["c/trained exact"] == 0.4
    assert table["real data/diversity"] == 1.0


def test_points_are_means_over_the_seeds_with_their_spread():
    made = tradeoff_of({"a": [(0.2, 0.4), (0.4, 0.8)]})
    assert made.points() == {"a": (pytest.approx(0.3), pytest.approx(0.6))}
    assert made.table().spread["a */diversity"] == pytest.approx(0.2 * 2**0.5)


def test_the_chart_has_the_variants_the_frontier_and_real_data():
    made = tradeoff_of({"a": [(0.9, 0.2)], "b": [(0.5, 0.5)], "c": [(0.4, 0.4)]})
    panel = made.chart().axes[0]
    assert panel.get_title() == "key: 2 seeds, 1 steps each"
    assert [text.get_text() for text in panel.texts] == ["a", "b", "c"]
    assert panel.get_legend_handles_labels()[1] == ["frontier", "real data"]
    assert np.asarray(panel.lines[0].get_xydata()).tolist() == [[0.5, 0.5], [0.9, 0.2]]


def test_the_kept_tradeoff_of_the_repository_loads(root):
    found = limner.load_tradeoff(root / "comparisons" / "tradeoff")
    table = json.loads((root / "comparisons" / "tradeoff" / "tradeoff.json").read_text())
    assert {name: list(point) for name, point in found.points().items()} == table["points"]
    assert found.frontier() == table["frontier"]


def test_ways_to_sample_share_one_training(small, tmp_path):
    found = limner.tradeoff(small, TRUNCATIONS, seeds=2, out=tmp_path / "out", quiet=True)
    assert len(list((tmp_path / "out" / "runs").iterdir())) == 2  # one for each seed
    diversities = [point[1] for point in found.points().values()]
    assert diversities == sorted(diversities)
    assert diversities[0] < 0.2 * diversities[-1], "truncation costs diversity"
    assert found.real == (1.0, pytest.approx(1, abs=0.3))
    again = limner.load_tradeoff(tmp_path / "out")
    assert again.points() == found.points()
    assert again.real == found.real
    written = json.loads((tmp_path / "out" / "tradeoff.json").read_text())
    assert set(written["points"]) == {"0.05", "1.0", "4.0"}
    assert (tmp_path / "out" / "tradeoff.png").stat().st_size > 5000


@pytest.mark.slow
def test_without_a_folder_the_scores_are_the_same(small, tmp_path):
    vary = {"losses.noise-reading.weight": [0.0, 1.0], **TRUNCATIONS}
    here = limner.tradeoff(small, vary, seeds=1, quiet=True)
    there = limner.tradeoff(small, vary, seeds=1, out=tmp_path / "out", quiet=True)
    assert here.points() == there.points()
    assert len(here.points()) == 6
    assert len(list((tmp_path / "out" / "runs").iterdir())) == 2


@pytest.mark.slow
def test_more_ways_to_sample_need_no_training(small, tmp_path, monkeypatch):
    limner.tradeoff(small, {"sampling.truncation": [1.0]}, seeds=1, out=tmp_path / "out", quiet=True)

    def refuse(*_, **__):
        raise AssertionError("nothing needs to be trained")

    monkeypatch.setattr("limner.comparisons.trainer.train", refuse)
    found = limner.tradeoff(small, TRUNCATIONS, seeds=1, out=tmp_path / "out", quiet=True)
    assert set(found.points()) == {"0.05", "1.0", "4.0"}


def test_what_is_not_a_tradeoff_is_refused(small, tmp_path):
    with pytest.raises(LimnerError, match="No run has the score 'exact', did you mean"):
        limner.tradeoff(small, {"sampling.truncation": [1.0]}, seeds=1, consistency="exact", quiet=True)
    with pytest.raises(LimnerError, match="There is no trade-off"):
        limner.load_tradeoff(tmp_path)
    (tmp_path / "tradeoff.json").write_text("{}")
    with pytest.raises(LimnerError, match="is damaged: KeyError"):
        limner.load_tradeoff(tmp_path)


@pytest.mark.slow
def test_the_command_draws_and_prints(command, small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(tomli_w.dumps(small))
    words = ["tradeoff", "tiny.toml", "--vary", "sampling.truncation=0.1,3", "--seeds", 1, "--out", "out", "--quiet"]
    status, out, _ = command(*words)
    assert status == 0
    assert "on the frontier" in out
    assert "out/tradeoff.png" in out
    status, out, _ = command(*words, "--json")
    assert json.loads(out)["consistency"] == "trained/exact"


@pytest.mark.slow
def test_the_command_line_paints_and_measures_all_ways_to_sample(command, trained, tmp_path):
    other = limner.load(trained).recipe
    limner.train(other, tmp_path / "other", ["training.seed=1"], quiet=True)
    prompt = "a red circle above a blue square"
    out = tmp_path / "out.png"
    paint = ["paint", trained, prompt, "-n", 2, "--out", out]
    drawn = []
    for more in ([], ["--truncation", 0.2], ["--best-of", 6], ["--best-of", 6, "--by", "diversity"],
                 ["--with", tmp_path / "other", "--weights", "0,1"]):  # fmt: skip
        assert command(*paint, *more)[0] == 0
        drawn.append(out.read_bytes())
    assert len(set(drawn)) == len(drawn)
    assert "expected numbers between commas" in command(*paint, "--weights", "two")[2]
    words = ["evaluate", tmp_path / "other", "--metric", "scene-diversity", "--json"]
    plain = json.loads(command(*words)[1])
    near = json.loads(command(*words, "--truncation", 0.1)[1])
    assert set(plain) == set(near) == {"diversity"}
    assert near["diversity"] < plain["diversity"]
    assert json.loads((tmp_path / "other" / "scores.json").read_text()) == plain
    both = json.loads(command(*words, "--with", trained)[1])
    assert both["diversity"] > plain["diversity"]
