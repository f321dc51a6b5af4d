"""The result of a comparison: its numbers, its files, its frame and its chart."""

import json
import re
from dataclasses import replace
from statistics import mean, stdev

import limner
import pandas as pd
import pytest
from limner import Comparison, LimnerError
from limner.comparisons.results_file import Results, RunResult, read_results
from PIL import Image


def read(folder):
    return json.loads((folder / "results.json").read_text())


# --- results.json ---------------------------------------------------------------------------------------------------


def test_results_json_says_how_it_was_made(kept, judged_recipe, widths):
    _, folder = kept
    results = read(folder)
    assert list(results) == [
        *("command", "date", "source", "overrides", "vary", "seeds", "budget", "recipe", "recipes"),
        *("machine", "versions", "missing", "runs"),
    ]
    assert results["command"] == "limner compare RECIPE --vary encoder.width=8,16 --seeds 2 --steps 2 --out found"
    assert results["recipe"] == judged_recipe
    assert results["vary"] == widths
    assert results["budget"] == {"steps": 2}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", results["date"])
    assert results["machine"].keys() == {"processor", "instructions", "cores", "threads", "device"}
    assert results["machine"]["processor"]
    assert results["machine"]["threads"] == 1
    assert results["versions"]["limner"] == limner.__version__
    assert results["versions"].keys() == {"limner", "python", "torch", "plugins"}
    assert results["versions"]["plugins"]["scenes"] == f"limner {limner.__version__}"
    run = results["runs"][1]
    assert list(run) == [
        *("variant", "settings", "seed", "steps", "seconds", "images/s", "precision", "scores", "folder"),
    ]
    assert (run["variant"], run["settings"], run["seed"]) == ("16", {"encoder.width": 16}, 0)
    assert (run["steps"], run["precision"], run["folder"]) == (2, "float32", "runs/16-0")
    assert run["images/s"] == pytest.approx(16 / run["seconds"], rel=0.1)
    assert run["scores"].keys() >= {"trained/exact", "held out/exact", "diversity"}
    assert str(folder.parent) not in (folder / "results.json").read_text(), "no folder of this machine"


def test_the_kept_comparisons_of_the_repository_load(root):
    files = sorted((root / "comparisons").glob("*/results.json"))
    assert files
    for file in files:
        table = json.loads(file.read_text())
        assert read_results(file).to_json() == {"recipes": {}} | table
        comparison = limner.load_comparison(file.parent)
        assert len(comparison) == len(table["runs"])
        assert comparison.metrics


def test_results_are_written_back_as_they_were_read(kept, tmp_path):
    _, folder = kept
    results = read_results(folder)
    results.write(tmp_path / "again")
    assert (tmp_path / "again/results.json").read_bytes() == (folder / "results.json").read_bytes()


def test_only_a_diverged_run_has_a_problem_in_the_file(kept):
    run = read_results(kept[1]).runs[0]
    assert "problem" not in run.to_json()
    diverged = replace(run, scores={}, problem="At step 1 ...")
    assert list(diverged.to_json())[-2:] == ["folder", "problem"]
    assert RunResult.from_json(diverged.to_json()) == diverged


def test_what_is_not_a_comparison_is_refused(kept, tmp_path):
    with pytest.raises(LimnerError, match=r"There is no comparison .*nowhere/results\.json"):
        limner.load_comparison(tmp_path / "nowhere")
    strange = read(kept[1])
    strange["vary"] = {"encoder.width": [8]}
    for text in ("{", "[1]", "{}", '{"runs": [{}], "vary": {}}', json.dumps(strange)):
        (tmp_path / "results.json").write_text(text)
        with pytest.raises(LimnerError, match=r"results.json is damaged"):
            limner.load_comparison(tmp_path)


# --- the summary and the table --------------------------------------------------------------------------------------


def test_the_summary_has_the_mean_and_the_deviation_of_the_runs(kept):
    result, folder = kept
    summary = result.summary()
    lines = (folder / "table.md").read_text(encoding="utf-8").splitlines()
    for width in (8, 16):
        for name in ("trained/background", "diversity"):
            values = [r["scores"][name] for r in read(folder)["runs"] if r["settings"]["encoder.width"] == width]
            key = f"{width}/{name.replace('/', ' ')}"
            assert len(values) == 2
            assert summary[key] == pytest.approx(mean(values))
            assert summary.spread[key] == pytest.approx(stdev(values))
            line = next(line for line in lines if line.startswith(f"| {name.replace('/', ' ')} |"))
            assert f"{mean(values):.3f} ± {stdev(values):.3f}" in line.split("|")[2 if width == 8 else 3]
    assert "± standard deviation over the seeds" in "\n".join(lines)
    every = [line for line in lines if re.match(r"\| (8|16) \| [01] \| 2 \|", line)]
    assert len(every) == 4


def test_one_seed_has_no_spread(compare, out):
    summary = compare(seeds=1).summary()
    assert summary.spread == {}
    assert "±" not in (out / "table.md").read_text(encoding="utf-8")
    assert "One seed, so the spread is unknown" in (out / "table.md").read_text(encoding="utf-8")


# --- the frame and the chart ----------------------------------------------------------------------------------------


def test_a_comparison_is_a_frame_that_reads_back_unchanged(kept):
    result, folder = kept
    columns = ["variant", "encoder.width", "seed", "steps", "seconds", "images/s", *result.metrics]
    assert list(result.columns) == columns
    assert result["encoder.width"].tolist() == [8, 8, 16, 16]
    means = result.groupby("encoder.width")["diversity"].mean()
    assert means[8] == pytest.approx(result.summary()["8/diversity"])
    assert type(result[result["seed"] == 0]) is pd.DataFrame, "a part of it is a plain frame"
    again = limner.load_comparison(folder)
    assert isinstance(again, Comparison)
    pd.testing.assert_frame_equal(again, result)
    assert again.attrs == result.attrs == read(folder)
    assert again.results == Results.from_json(read(folder))
    pd.testing.assert_frame_equal(limner.load_comparison(folder / "results.json"), result)
    assert "<table" in result._repr_html_()


def test_the_chart_has_a_panel_per_score_with_bars_and_dots(kept):
    result, folder = kept
    with Image.open(folder / "chart.png") as picture:
        assert picture.size[0] > 800
    chart = result.plot()
    assert chart._repr_png_().startswith(b"\x89PNG")
    assert [panel.get_title() for panel in chart.axes] == [name.replace("/", " ") for name in result.metrics]
    panel = chart.axes[result.metrics.index("trained/background")]
    assert [text.get_text() for text in chart.axes[0].get_yticklabels()] == ["8", "16"]
    assert [bar.get_width() for bar in panel.patches] == [
        pytest.approx(result.summary()[f"{width}/trained background"]) for width in (8, 16)
    ]
    assert sum(len(dots.get_offsets()) for dots in panel.collections) == 4
    assert panel.get_xlim() == (0, 1)
    assert len(result.plot(["diversity", "trained/exact"]).axes) == 2
    with pytest.raises(LimnerError, match="No run has the score 'diversty', did you mean 'diversity'"):
        result.plot(["diversty"])
    with pytest.raises(LimnerError, match="nothing to plot"):
        result.plot([])
