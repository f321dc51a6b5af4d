"""The league: equal conditions for all entries, costs beside quality, and what happens to an entry that fails."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import limner
import pytest
import tomli_w
from limner import League, LimnerError, Loss, PluginHost, hookimpl, load_league
from limner.comparisons import league as module
from limner.comparisons import league_table
from limner.comparisons.entry_cost import EntryCost
from limner.comparisons.league_chart import DISTANCES, league_chart
from limner.comparisons.measure_entry import measure_apart, measure_entry
from limner.comparisons.results_file import Results, RunResult
from limner.recipes.merging import merge
from limner.testing import tiny_host, tiny_recipe
from matplotlib.text import Text
from PIL import Image

COST = EntryCost(
    1_000_000, 2_500_000, batch_size=32, multiply_adds=144e6, step_seconds=0.1, paint_seconds=0.006, memory=500_000_000
)


def league_of(qualities, **changes):
    """A league of made-up figures: the qualities of each entry, one for each seed; None for a run that failed."""
    runs = [
        RunResult(
            name, {"recipe": name}, seed, 2400, 300.0 + 20 * place, 250.0, "float32",
            {} if value is None else {"trained/exact": value, "held out/exact": value / 2, "diversity": 0.5},
            f"runs/{name}-{seed}", None if value else "It failed.",
        )
        for place, (name, values) in enumerate(qualities.items())
        for seed, value in enumerate(values)
    ]  # fmt: skip
    results = Results(
        "limner league", "2026-01-01", "scenes-64", [], {"recipe": list(qualities)}, 2, {"steps": 2400}, {}, {},
        {"processor": "a processor", "cores": 2, "threads": 1, "device": "cpu"},
        {"limner": "1", "python": "3", "torch": "2"}, 0, runs,
    )  # fmt: skip
    costs = dict.fromkeys(qualities, COST)
    return League.of(results, None, next(iter(qualities)), None, costs, **changes)


# --- the table and the chart ----------------------------------------------------------------------------------------


def test_the_best_entry_is_first_and_one_without_a_score_last():
    made = league_of({"scenes-64": [0.9, 0.92], "broken": [None, None], "better": [0.95, 0.97]})
    assert made.entries == ["better", "scenes-64", "broken"]
    first, _, last = made.rows()
    assert first["trained exact"] == "0.960 ± 0.014"
    assert first["held out exact"] == "0.480 ± 0.007"
    assert (first["generator weights"], first["all weights"]) == ("1.00 M", "2.50 M")
    assert (first["multiply-adds per image"], first["all multiply-adds"]) == ("144 M", "11.06 T")
    assert (first["ms to paint"], first["memory"], first["seconds"]) == ("6.0", "0.50 GB", "240")
    assert first["images/s"] == "320"
    assert first["runs"] == "[0](runs/better-0), [1](runs/better-1)"
    assert (last["trained exact"], last["runs"]) == ("", "[0 failed](runs/broken-0), [1 failed](runs/broken-1)")


def test_each_entry_is_compared_with_the_reference_in_a_sentence():
    made = league_of({"scenes-64": [0.9, 0.92], "better": [0.95, 0.97], "broken": [None, 0.1]})
    better, broken, problem = made.sentences()
    assert re.match(r"trained/exact: better is 0.050 above scenes-64 \(95 % interval .*, 2 seeds\)", better)
    assert re.match("trained/exact: broken is .* below scenes-64 with one seed", broken)
    assert problem == "broken, seed 0: It failed."
    assert all(sentence in made.markdown() for sentence in (better, problem))


def test_an_unknown_cost_is_told_and_its_entry_not_drawn():
    made = league_of({"a": [0.5], "b": [0.6]}).with_costs({"a": "its process died"}, {})
    assert "a: the cost is unknown, its process died" in made.sentences()
    assert made.rows()[1]["seconds"] == made.rows()[1]["all multiply-adds"] == ""
    assert [[text.get_text() for text in panel.texts] for panel in league_chart(made).axes] == [["b"], ["b"]]
    with pytest.raises(LimnerError, match="no entry has a score and a known cost"):
        league_chart(league_of({"a": [0.5]}).with_costs({"a": "its process died"}, {}))


def test_costs_with_other_figures_are_measured_again(tmp_path):
    old = {name: value for name, value in vars(COST).items() if name != "step_seconds"}
    costs = {"old": old, "new": vars(COST), "broken": "it failed"}
    (tmp_path / "league.json").write_text(json.dumps({"reference": "a", "quality": "b", "jobs": 2, "costs": costs}))
    read = league_table.read_league_file(tmp_path)
    assert read == {
        "reference": "a",
        "quality": "b",
        "measured_on": None,
        "costs": {"new": COST, "broken": "it failed"},
    }


def test_the_page_names_the_machines_of_the_trainings_and_of_the_costs():
    made = league_of({"a": [0.5]})
    assert "on a processor (2 cores, 1 thread, cpu)." in made.conditions()
    assert "while nothing else of the league runs, there: " in made.conditions()
    assert "runs, there: " in made.with_costs({"a": COST}, made.comparison.results.machine).conditions()
    other = {"processor": "another", "instructions": "AVX2", "cores": 4, "threads": 1, "device": "cpu"}
    made.comparison.attrs["other_machines"] = {"1": other}
    told = made.with_costs({"a": COST}, other).conditions()
    assert "(2 cores, 1 thread, cpu), seed 1 on another (AVX2, 4 cores, 1 thread, cpu). Multiply-adds" in told
    assert "runs, on another (AVX2, 4 cores, 1 thread, cpu): the seconds" in told


def test_names_cover_no_point_and_no_other_name():
    made = league_of({f"model-{place}": [0.9 + place / 200, 0.9] for place in range(8)})
    chart = made.chart()
    for panel in chart.axes:
        boxes = [Text.get_window_extent(text) for text in panel.texts]
        assert len(boxes) == 8
        assert not any(one.overlaps(other) for place, one in enumerate(boxes) for other in boxes[:place])
        assert all(panel.get_window_extent().contains(*corner) for box in boxes for corner in (box.p0, box.p1))
    assert max(DISTANCES) < 72


def test_without_any_score_there_is_a_table_but_no_chart():
    made = league_of({"a": [None], "b": [None]})
    with pytest.raises(LimnerError, match="nothing to draw"):
        made.chart()
    assert "a, seed 0: It failed." in made.markdown()


# --- what it costs --------------------------------------------------------------------------------------------------


def test_the_cost_is_that_of_the_recipe():
    plugins = tiny_host()
    cost = measure_entry(tiny_recipe(), 1, plugins)
    assert 0 < cost.generator < cost.weights
    assert cost.multiply_adds > 0 < cost.paint_seconds
    assert cost.images_per_second == cost.batch_size / cost.step_seconds > 0
    assert cost.total(10) == 10 * cost.batch_size * cost.multiply_adds


@pytest.mark.slow
def test_a_process_of_its_own_measures_the_same(recipe):
    apart, here = measure_apart(recipe, 1, limner.PluginHost()), measure_entry(recipe, 1)
    assert isinstance(apart, EntryCost)
    assert (apart.multiply_adds, apart.weights) == (here.multiply_adds, here.weights)
    told = measure_apart(recipe | {"training": {"steps": 3, "start_from": "nowhere"}}, 1, limner.PluginHost())
    assert "nowhere" in str(told)


# --- trainings ------------------------------------------------------------------------------------------------------


class Failing(Loss):
    """A loss that raises an error, or is not a number, as long as `Failing.how` says so."""

    how = ""

    def generator(self, step):
        if Failing.how == "error":
            raise RuntimeError("the generator is tired")
        return step.generated.match.mean() * (float("nan") if Failing.how == "nan" else 1)


class Plugin:
    """Brings that loss, and names two league entries."""

    @hookimpl
    def limner_losses(self):
        return {"failing": Failing}

    @hookimpl
    def limner_league_entries(self):
        return {"quickstart": "of-tests", "scenes-one": "of-tests"}


@pytest.fixture
def entries(recipe, tmp_path):
    """The files of two recipes."""
    files = []
    for name, changes in (("first", {}), ("second", {"encoder": {"width": 16}})):
        file = tmp_path / f"{name}.toml"
        file.write_text(tomli_w.dumps(merge(recipe | {"losses": {"hinge": {}, "failing": {}}}, changes)))
        files.append(str(file))
    return files


@pytest.fixture
def run_league(plugins, diary, entries, out, monkeypatch):
    """Runs a league of these two, whose costs are measured in this process."""
    plugins.register(diary)
    plugins.register(Plugin())
    monkeypatch.setattr(module, "measure_apart", measure_entry)
    monkeypatch.setattr(Failing, "how", "")

    def run(names=None, seeds=1, **options):
        options = {"reference": entries[0], "steps": 2, "out": out, "quiet": True, "plugins": plugins} | options
        return limner.league(entries[1:] if names is None else names, seeds, **options)

    return run


def test_all_entries_train_with_one_seed_before_any_with_the_next(run_league, diary, out, entries):
    made = run_league(seeds=2)
    trained = diary.runs[:4]
    assert trained == [(8, 0), (16, 0), (8, 1), (16, 1)]
    assert set(made.entries) == set(made.costs) == set(entries)
    written = {path.name for path in out.iterdir() if path.is_file()}
    assert written >= {"table.md", "results.json", "league.json", "chart.png", "painted.png"}
    assert json.loads((out / "results.json").read_text())["command"].startswith("limner league ")
    again = load_league(out)
    assert (again.rows(), again.sentences()) == (made.rows(), made.sentences())
    with Image.open(out / "painted.png") as picture:
        assert picture.width > 16


@pytest.mark.slow
def test_the_reference_is_trained_even_if_only_others_are_named(run_league, entries):
    assert run_league([entries[1]]).comparison["variant"].tolist() == entries


@pytest.mark.slow
def test_a_second_call_adds_what_is_missing(run_league, diary):
    run_league()
    before = len(diary.runs)
    made = run_league(seeds=2)
    assert [seed for _, seed in diary.runs[before:][:2]] == [1, 1]
    assert len(made.comparison) == 4


@pytest.mark.slow
@pytest.mark.parametrize("how", ["error", "nan"])
def test_a_failed_entry_is_reported_and_the_next_call_tries_it_again(run_league, diary, out, entries, recipe, how):
    Failing.how = how
    table = recipe | {"losses": {"hinge": {}}}
    (out.parent / "first.toml").write_text(tomli_w.dumps(table))
    made = run_league()
    told = {"error": "RuntimeError: the generator is tired.", "nan": "was nan"}[how]
    assert made.entries == entries
    assert [problem for problem in made.comparison.problems if told in problem] == made.comparison.problems != []
    assert "failed" in (out / "table.md").read_text()
    Failing.how = ""
    corrected = run_league()
    assert corrected.comparison.problems == []
    assert len(corrected.comparison) == 2


def test_an_interrupted_league_is_a_table_already(run_league, diary, out):
    diary.stop_at(2)
    with pytest.warns(UserWarning, match="Stopped with 1 of 2 runs finished"):
        made = run_league()
    assert made.comparison.results.missing == 1
    assert "1 runs are still missing." in (out / "table.md").read_text()


@pytest.mark.slow
def test_a_league_with_other_rules_is_not_mixed_in(run_league, entries):
    run_league()
    with pytest.raises(LimnerError, match=r"holds another comparison: .*steps is 2 there and 3 here"):
        run_league(steps=3)
    file = Path(entries[1])
    file.write_text(f"{file.read_text()}\n[sampling]\ntruncation = 1.0\n")
    with pytest.raises(LimnerError, match=r"cannot compare .*sampling"):
        run_league()


WRONG = {
    "another size": ({"image_size": 8}, "image_size is 8 in the one and 16 in the other. Leave"),
    "other data": ({"data": {"count": 17}}, "data.count is 17 in the one"),
    "another batch size": ({"training": {"batch_size": 4}}, "training.batch_size is 4 in the one and 8"),
    "another metric": ({"metrics": {"scene-diversity": {"prompts": 3}}}, "metrics.scene-diversity.prompts is 3"),
    "other prompts": ({"prompts": ["a blue square"]}, "prompts is"),
}


@pytest.mark.parametrize(("changes", "message"), WRONG.values(), ids=WRONG)
def test_an_entry_under_other_conditions_is_refused_before_any_training(
    run_league, diary, out, recipe, entries, changes, message
):
    (out.parent / "second.toml").write_text(tomli_w.dumps(merge(recipe, changes)))
    with pytest.raises(LimnerError, match=re.escape(message)):
        run_league()
    assert diary.runs == []
    assert not out.exists()


def test_names_that_do_not_exist_are_answered_with_the_nearest(run_league, diary):
    with pytest.raises(LimnerError, match="no recipe 'scenes-46', did you mean 'scenes-64'"):
        run_league(["scenes-46"])
    with pytest.raises(LimnerError, match="no league 'of-test', did you mean 'of-tests'"):
        run_league([], name="of-test")
    with pytest.raises(LimnerError, match="No run has the score 'trained/exakt'"):
        run_league(quality="trained/exakt")
    assert diary.runs == []


def test_plugins_name_the_entries_of_a_league(plugins):
    plugins.register(Plugin())
    assert module.entries_of(plugins, "of-tests") == ["quickstart", "scenes-one"]
    assert "scenes-64" in module.entries_of(plugins, "scenes")
    other = plugins.register(SimpleNamespace(limner_league_entries=hookimpl(lambda: ["scenes-64"]), __name__="odd"))
    assert "must return a dict" in str(other.problem)


@pytest.mark.slow
def test_all_entries_can_train_on_the_data_of_one_recipe(run_league, tmp_path, recipe):
    file = tmp_path / "data.toml"
    file.write_text(tomli_w.dumps(recipe | {"data": {"name": "scenes", "count": 20}, "text": {"length": 20}}))
    made = run_league(data_of=str(file), overrides=["data.count=24"])
    for table in made.comparison.results.recipes.values():
        assert (table["data"]["count"], table["text"]["length"]) == (24, 20)


def test_metrics_by_which_models_judge_themselves_are_left_out(run_league, tmp_path, recipe):
    file = tmp_path / "data.toml"
    itself = {"retrieval": {"trials": 2, "candidates": 2}}
    file.write_text(tomli_w.dumps(recipe | {"metrics": {"scene-diversity": {"prompts": 2, "images": 2}, **itself}}))
    with pytest.warns(UserWarning, match="leaves out the metric 'retrieval'. .* can match images with captions"):
        made = run_league(data_of=str(file))
    assert made.comparison.metrics == ["diversity"]
    file.write_text(tomli_w.dumps(recipe | {"metrics": itself}))
    with pytest.raises(LimnerError, match="can match images with captions"):
        run_league(data_of=str(file))


def test_the_bundled_entries_share_all_conditions():
    plugins = PluginHost()
    module.check_alike(plugins, module.entries_of(plugins, module.SCENES), [])


def test_a_damaged_league_file_is_one_sentence(tmp_path):
    (tmp_path / league_table.LEAGUE_FILE).write_text("{")
    with pytest.raises(LimnerError, match=r"league.json is damaged: .*Remove it"):
        load_league(tmp_path)
    with pytest.raises(LimnerError, match="There is no league in"):
        load_league(tmp_path / "none")
